"""What can be asked of a running scheduler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, TypeVar, overload

import anyio

from pacer._errors import ArgumentsUnavailableError, UnknownJobError
from pacer._forecast import forecast_start
from pacer._job import BatchProgress, Estimate, Job, JobState
from pacer._minutes import KEPT, SECONDS, Minute, minute_of, number_of, without_gaps
from pacer._numbers import Number
from pacer._overview import WorkerSeen
from pacer._pages import MOST_COUNTED, Explanation, JobPage, Upcoming, explanation, found, list_jobs, upcoming_jobs
from pacer._receipt import Receipt
from pacer._session import Session
from pacer._signals import Subscription
from pacer._views import Status, make_status, result, view
from pacer.protocols import Store

R = TypeVar("R")


class Asking:
    """The questions."""

    name: str
    store: Store

    @property
    def _running(self) -> Session:
        """Raises NotRunningError."""
        raise NotImplementedError

    async def status(self) -> Status:
        """The queue now, over all processes."""
        worker = self._running.worker
        return make_status(self.name, worker.rules, await worker.ledger.snapshot(), worker.working)

    async def job(self, job_id: str) -> Job:
        """One job as it is now. Raises UnknownJobError."""
        ledger = self._running.worker.ledger
        record = await found(ledger, job_id)
        return view(record, await ledger.position(job_id), ledger.utc, self.store.codec)

    async def estimate(self, job_id: str) -> Estimate | None:
        """Time from now until the job starts; None if it does not wait or no time can be named (paused).

        Raises:
            UnknownJobError: No job has this id.
        """
        worker = self._running.worker
        record, position = await found(worker.ledger, job_id), await worker.ledger.position(job_id)
        if position is None:
            return None
        return forecast_start(worker.rules, await worker.ledger.snapshot(), record, position)

    async def jobs(
        self,
        *states: JobState | str,
        task: str | None = None,
        key: str | None = None,
        limit: int = 50,
        after: str | None = None,
    ) -> JobPage:
        """Some of the jobs in a state, page by page. However many there are, few are read.

        Waiting jobs come in the order in which they are to start, delayed ones last; running ones as they started;
        ended ones by their end, the last first.

        Args:
            *states: `JobState.QUEUED` (default), `JobState.RUNNING`, or any of the final states.
            task: Only of this function.
            key: Only of this lane.
            limit: How many at most, 1 or more; 50 by default.
            after: `JobPage.after` of the page before; None (default) is the first page.

        Raises:
            ValueError: States that have no order in common, a limit below 1, or a mark that is none.
        """
        return await list_jobs(self._running.worker, [JobState(state) for state in states], task, key, limit, after)

    async def tally(self) -> Mapping[JobState, int]:
        """How many jobs that have ended are kept, by state; of each no more than 1000 are counted."""
        return await self._running.worker.ledger.tally(MOST_COUNTED)

    async def upcoming(self, limit: int = 10) -> Sequence[Upcoming]:
        """The next jobs, and when each is expected to start.

        Not for many: each is forecast by itself, the ones behind from further away, and while that goes on nothing else
        happens on the event loop. Ten take milliseconds, hundreds a second.

        Args:
            limit: How many at most, 1 or more; 10 by default.

        Raises:
            ValueError: Less than 1.
        """
        return await upcoming_jobs(self._running.worker, limit)

    async def explain(self, job_id: str) -> Explanation:
        """Why a job has not started yet, and when it will. Raises UnknownJobError."""
        worker = self._running.worker
        return await explanation(worker, await found(worker.ledger, job_id))

    async def arguments(self, job_id: str) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """What a job's function is called with.

        Raises:
            UnknownJobError: No job has this id.
            ArgumentsUnavailableError: They are not kept: the job has succeeded, or its function is not registered.
        """
        record = await found(self._running.worker.ledger, job_id)
        if record.payload is None:
            raise ArgumentsUnavailableError(job_id)
        return self.store.codec.decode_call(record.payload)

    async def history(self, minutes: int = 60) -> Sequence[Minute]:
        """What happened in each of the last minutes, over all processes; the current one is the last.

        Args:
            minutes: How many, 1 to 1440; 60 by default.

        Raises:
            ValueError: Another number of minutes.
        """
        if not isinstance(minutes, int) or not 1 <= minutes <= KEPT:
            msg = f"history: minutes must be 1 to {KEPT}, got {minutes!r}"
            raise ValueError(msg)
        ledger = self._running.worker.ledger
        last = number_of(ledger.now())
        tallies = without_gaps(await ledger.history(last - minutes + 1), last - minutes + 1, last)
        return [minute_of(tally, ledger.utc(tally[0] * SECONDS)) for tally in tallies]

    async def workers(self) -> Sequence[WorkerSeen]:
        """Those who have the queue open, this scheduler included, and those that have just vanished."""
        return await self._running.worker.ledger.workers()

    async def numbers(self) -> Sequence[Number]:
        """All numbers of the parts that `set_numbers` can set, as they are now."""
        worker = self._running.worker
        snapshot = await worker.ledger.snapshot(0)
        return worker.rules.numbers(snapshot.queue)

    async def batch(self, batch_id: str) -> BatchProgress:
        """How far a batch is. Raises UnknownJobError."""
        progress = await self._running.worker.ledger.batch(batch_id)
        if progress is None:
            raise UnknownJobError(batch_id)
        return progress

    @overload
    async def wait(self, job: Receipt[R]) -> R: ...

    @overload
    async def wait(self, job: str) -> Any: ...

    async def wait(self, job: Receipt[R] | str) -> R | Any:
        """Wait until a job has ended, and return what its function returned.

        Args:
            job: Its id, or the receipt that `enqueue` gave.

        Raises:
            JobFailedError: It failed for good, or is dead.
            JobCancelledError: It was cancelled, dropped, or has expired.
            JobStaleError: A crash interrupted it and it is not run again.
            ResultUnavailableError: It succeeded, but its result was not kept.
            UnknownJobError: No job has this id.
            NotRunningError: The scheduler stopped before the job ended.
        """
        worker = self._running.worker
        job_id = job if isinstance(job, str) else job.job_id
        while True:
            with worker.ended.waiting(job_id) as ended:
                record = await found(worker.ledger, job_id)
                if record.state.final:
                    return result(record, self.store.codec)
                with anyio.move_on_after(worker.ledger.poll):
                    await ended.wait()
            worker.check_open()

    def subscribe(self, buffer: int = 1000) -> AbstractContextManager[Subscription]:
        """Events of this process as they happen: `with scheduler.subscribe() as events: async for event in events`.

        A reader that is slow loses the oldest events once `buffer` are waiting for it, and slows nobody down; its
        `missed` counts them. The loop ends when the scheduler stops.
        """
        return self._running.worker.announce.subscribed(buffer)

    def utc(self, at: float) -> datetime:
        """A time on the store's clock, such as an event's `at`, as an aware UTC datetime."""
        return self._running.worker.ledger.utc(at)
