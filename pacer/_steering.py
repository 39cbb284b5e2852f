"""How a running scheduler is steered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import anyio
import attrs

from pacer import events
from pacer._errors import NotRetryableError, QueueFullError, UnknownJobError
from pacer._job import ENDED_WITHOUT_SUCCESS, JobState
from pacer._overview import Listing, Rerun
from pacer._pages import found
from pacer._session import Session
from pacer._validation import optional_seconds

_AT_ONCE: Final = 100


@attrs.frozen
class Retried:
    """What came of jobs that were to be enqueued again.

    Attributes:
        count: How many came back, and were not dropped again for others.
        refused: Why others could not be, by id.
        full: Why it ended before all were looked at; None if all were.
    """

    count: int
    refused: Mapping[str, str]
    full: QueueFullError | None = None


class Steering:
    """The orders."""

    @property
    def _running(self) -> Session:
        """Raises NotRunningError."""
        raise NotImplementedError

    async def cancel(self, job_id: str) -> bool:
        """Cancel a job, waiting or running. True if it did either; False if it had ended already.

        A running coroutine is cancelled where it waits; a thread cannot be stopped, its result is dropped. A job that
        runs in another process is cancelled at that process's next heartbeat.

        Raises:
            UnknownJobError: No job has this id.
        """
        worker = self._running.worker
        record = await found(worker.ledger, job_id)  # first: a store may forget what has ended
        state = await worker.ledger.cancel(job_id)
        if state is None:
            raise UnknownJobError(job_id)
        if state is JobState.QUEUED:
            worker.announce(events.JobCancelled(worker.ledger.now(), job_id, record.task))
            worker.forget(attrs.evolve(record, state=JobState.CANCELLED))
        elif state is JobState.RUNNING:
            worker.cancel(job_id)
        return not state.final

    async def pause(self) -> None:
        """Start no more jobs, in any process; those that run go on. Survives a restart."""
        await self._set_paused(True)

    async def resume(self) -> None:
        """Start jobs again."""
        await self._set_paused(False)

    async def end_hold(self) -> bool:
        """Start jobs again at once that are held back after failures, or because the upstream asked for it.

        For when you know that the upstream works again. A pause that was to follow the hold begins now. Pace, pause by
        hand and the delays of single jobs stay as they are; failures in a row are still counted, so that the next one
        holds the queue again, for longer.

        Returns:
            Whether the queue was held.
        """
        worker = self._running.worker
        ended = await worker.ledger.end_hold()
        if ended:
            worker.announce(events.HoldEnded(worker.ledger.now()))
            worker.wake()
        return ended

    async def set_rate(self, rate: float | None) -> None:
        """Start jobs at this rate from now on, in all processes; waiting jobs are timed anew. Survives a restart.

        Args:
            rate: Starts per `per` seconds of the `ManualPace` that is the pacing policy, or that is combined with
                others by `&`. 0 starts none; None goes back to the rate of the recipe.

        Raises:
            TypeError: The pacing policy has no rate that can be set.
            ValueError: The rate is negative or not finite.
        """
        worker = self._running.worker
        await worker.ledger.set_rate(rate)
        worker.announce(events.RateSet(worker.ledger.now(), rate))
        worker.wake()

    async def set_numbers(self, numbers: Mapping[str, float | None]) -> None:
        """Set numbers of the parts from now on, in all processes: `{"pacing.seconds": 5}`. Survives a restart.

        Jobs that wait already are timed anew, and are not placed anew. A part of another class, at the next start,
        begins with the numbers of its recipe.

        Args:
            numbers: By path, as `numbers` lists them; "pacing.rate" will do for "pacing.policies.0.rate" where there is
                no other. None goes back to the number of the recipe.

        Raises:
            ValueError: There is no such number, or the part does not take it.
        """
        worker = self._running.worker
        await worker.ledger.set_numbers(numbers)
        worker.announce(events.NumbersSet(worker.ledger.now(), dict(numbers)))
        worker.wake()
        worker.changed.fire()  # there may be room now

    async def retry(self, job_id: str) -> None:
        """Enqueue a job again that ended without success. It takes its old place, and begins anew: attempt 1.

        Raises:
            UnknownJobError: No job has this id.
            NotRetryableError: It waits or runs or has succeeded, or its arguments are not kept, or its unique key is
                taken.
            QueueFullError: There is no room.
        """
        rerun = await self._rerun([job_id])
        if rerun.full is not None:
            raise rerun.full
        if job_id in rerun.refused:
            await found(self._running.worker.ledger, job_id)
            raise NotRetryableError(job_id, rerun.refused[job_id])

    async def retry_all(self, state: JobState | str = JobState.STALE) -> Retried:
        """Enqueue all jobs again that ended so, the last first, until the queue takes no more.

        Args:
            state: One of the final states but "succeeded"; "stale" by default.

        Raises:
            ValueError: Another state.
        """
        state = JobState(state)
        if state not in ENDED_WITHOUT_SUCCESS:
            msg = f"retry_all: jobs that are {state} cannot be run again; give one of the states of failure"
            raise ValueError(msg)
        ledger, waiting, refused, after = self._running.worker.ledger, set[str](), dict[str, str](), None
        while True:
            listed = await ledger.listed(Listing(state=state, limit=_AT_ONCE, after=after))
            rerun = await self._rerun([record.id for _, record in listed.jobs])
            waiting.update(record.id for record in rerun.jobs)
            waiting.difference_update(record.id for record in rerun.dropped)  # as a queue that drops the oldest does
            refused.update(rerun.refused)
            after = listed.after
            if rerun.full is not None or after is None:
                return Retried(len(waiting), refused, rerun.full)

    async def _rerun(self, job_ids: Sequence[str]) -> Rerun:
        worker = self._running.worker
        rerun = await worker.ledger.rerun(job_ids)
        now = worker.ledger.now()
        for record in rerun.jobs:
            worker.announce(events.JobRetried(now, record.id, record.task))
        for record in rerun.dropped:
            worker.announce(events.JobDropped(now, record.id, record.task))
            worker.forget(record)
        if rerun.jobs:
            worker.wake()
            worker.expires()
        return rerun

    async def drain(self, timeout: float | timedelta | None = None) -> bool:
        """Wait until no job waits and none runs.

        Args:
            timeout: Seconds; None (default) waits as long as it takes.

        Returns:
            True when the queue is empty, False when the time is up.

        Raises:
            NotRunningError: The scheduler stopped before either.
        """
        worker = self._running.worker
        with anyio.move_on_after(optional_seconds(timeout)):
            while True:
                changed = worker.changed.next()
                snapshot = await worker.ledger.snapshot(0)
                if not snapshot.waiting and not snapshot.running:
                    return True
                with anyio.move_on_after(worker.ledger.poll):
                    await changed.wait()
                worker.check_open()
        return False

    async def _set_paused(self, paused: bool) -> None:
        worker = self._running.worker
        await worker.ledger.set_paused(paused)
        now = worker.ledger.now()
        worker.announce(events.QueuePaused(now) if paused else events.QueueResumed(now))
        if paused:
            await worker.withdraw()
        worker.wake()
