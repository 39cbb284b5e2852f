"""The middle of the data path: one job's function is run, and how that ended is said as an outcome."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import anyio
import attrs

from pacer import events
from pacer._context import CurrentJob, enter_job, leave_job
from pacer._errors import Throttled
from pacer._job import JobRecord, Outcome, OutcomeKind
from pacer._signals import Announcer, cancellations, pass_on_cancellation
from pacer._tasks import Task, TaskRegistry
from pacer.protocols import Codec, Ledger


@attrs.define(eq=False)
class LocalCall:
    """A call that lives in this process only, and the job that was made for it."""

    record: JobRecord
    task: Task
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@attrs.define(eq=False)
class Runner:
    """Runs jobs in the tasks of its callers, and knows which ones it is running."""

    ledger: Ledger
    codec: Codec
    registry: TaskRegistry
    announce: Announcer
    local_calls: dict[str, LocalCall] = attrs.field(init=False, factory=dict)
    _running: dict[str, tuple[JobRecord, anyio.CancelScope]] = attrs.field(init=False, factory=dict)
    # The slots are the limit. Another one would count threads that were given up, on trio, and keep jobs from running.
    _limiter: anyio.CapacityLimiter = attrs.field(init=False, factory=lambda: anyio.CapacityLimiter(math.inf))

    async def run(self, record: JobRecord, scope: anyio.CancelScope) -> Outcome:
        """Run the job's function under its time-out; `scope` is what `cancel` cancels."""
        if record.cancel_requested:
            return Outcome(OutcomeKind.IGNORED, error="cancelled before it started")
        started_at = self.ledger.now() if record.started_at is None else record.started_at
        waited = started_at - max(record.ready_at, record.created_at)
        self.announce(events.JobStarted(started_at, record.id, record.task, record.attempt, waited))
        self._running[record.id] = (record, scope)
        current = CurrentJob(record, self._on_progress)
        token = enter_job(current)
        before = cancellations()
        try:
            return await self._call(record)
        except (Exception, BaseExceptionGroup, anyio.get_cancelled_exc_class()) as error:
            await pass_on_cancellation(error, before)
            # If this is a cancellation, then of another task: nobody has cancelled this one.
            return _outcome_of(error)
        finally:
            leave_job(current, token)
            del self._running[record.id]

    async def _call(self, record: JobRecord) -> Outcome:
        try:
            task, args, kwargs = self._resolve(record)
        except Exception as error:
            problem = f"its arguments cannot be read back: {one_line(error)}"
            return Outcome(OutcomeKind.IGNORED, error=problem)
        timeout = task.timeout if record.timeout is None else record.timeout
        if timeout is None:
            return Outcome(OutcomeKind.SUCCEEDED, await task.call(args, kwargs, self._limiter))
        with anyio.move_on_after(timeout):
            return Outcome(OutcomeKind.SUCCEEDED, await task.call(args, kwargs, self._limiter))
        return Outcome(OutcomeKind.FAILED, error=f"timed out after {timeout:g} s")

    def _resolve(self, record: JobRecord) -> tuple[Task, Any, Any]:
        local = self.local_calls.get(record.id)
        if local is not None:
            return local.task, local.args, local.kwargs
        task = self.registry.named(record.task)
        if task is None:
            msg = f"no function is registered as {record.task!r}"
            raise LookupError(msg)
        args, kwargs = self.codec.decode_call(record.payload)
        return task, args, kwargs

    def _on_progress(self, record: JobRecord) -> None:
        fraction = record.progress or 0.0
        self.announce(events.JobProgressed(self.ledger.now(), record.id, fraction, record.message))

    @property
    def running(self) -> list[JobRecord]:
        """The jobs that run here now."""
        return [record for record, _ in self._running.values()]

    def cancel(self, job_id: str) -> None:
        """Cancel the job if it runs here."""
        found = self._running.get(job_id)
        if found is not None:
            record, scope = found
            record.cancel_requested = True
            scope.cancel()


def one_line(error: BaseException) -> str:
    """Type and message, without line breaks."""
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def _outcome_of(error: BaseException) -> Outcome:
    """Throttled, if that is all there is to it: a task group in the function wraps what its tasks raise."""
    errors = list(_leaves(error))
    throttles = [one for one in errors if isinstance(one, Throttled)]
    if not throttles or len(throttles) < len(errors):
        return Outcome(OutcomeKind.FAILED, error=one_line(error))
    longest = max(throttles, key=lambda one: -1.0 if one.retry_after is None else one.retry_after)
    return Outcome(
        OutcomeKind.THROTTLED,
        error=longest.reason,
        retry_after=longest.retry_after,
        cost=longest.cost,
        limits=longest.limits,
    )


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
