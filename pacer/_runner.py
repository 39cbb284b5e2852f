"""The middle of the data path: one job's function is run, and how that ended is said as an outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import anyio
import anyio.lowlevel
import attrs

from pacer import events
from pacer._context import CurrentJob, enter_job, leave_job
from pacer._errors import Throttled
from pacer._job import JobRecord, Outcome, OutcomeKind
from pacer._signals import Announcer, cancellations, pass_on_cancellation
from pacer._tasks import Task, TaskRegistry
from pacer._upstream._answers import answer_of
from pacer._upstream._refusals import read_refusal
from pacer._upstream._reports import checked_cost, checked_limits
from pacer.protocols import Codec, Ledger, LimitReport


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
    # Not by job: one that was lost and has been claimed again may run here twice for a while.
    _running: dict[anyio.CancelScope, JobRecord] = attrs.field(init=False, factory=dict)
    _loop: anyio.lowlevel.EventLoopToken | None = attrs.field(init=False, default=None)
    # The slots are the limit. Another one would count threads that were given up, on trio, and keep jobs from running.
    _limiter: anyio.CapacityLimiter = attrs.field(init=False, factory=lambda: anyio.CapacityLimiter(math.inf))

    async def run(self, record: JobRecord, scope: anyio.CancelScope) -> Outcome:
        """Run the job's function under its time-out; `scope` is what `break_off` cancels."""
        if record.cancel_requested:
            return Outcome(OutcomeKind.IGNORED, error="cancelled before it started", unused=True)
        started_at = self.ledger.now() if record.started_at is None else record.started_at
        waited = started_at - max(record.ready_at, record.created_at)
        self.announce(events.JobStarted(started_at, record.id, record.task, record.attempt, waited, _promised(record)))
        self._running[scope] = record
        current = CurrentJob(record, self._on_progress, self.ledger, self._event_loop())
        token = enter_job(current)
        before = cancellations()
        try:
            with self.announce.running(record, record.headers):
                outcome = await self._call(record)
        except (Exception, BaseExceptionGroup, anyio.get_cancelled_exc_class()) as error:
            await pass_on_cancellation(error, before)
            # If this is a cancellation, then of another task: nobody has cancelled this one.
            outcome = _outcome_of(error, self._unix_time)
        finally:
            feedback = leave_job(current, token)
            del self._running[scope]
        return outcome if feedback is None else feedback.added_to(outcome, self.ledger.now())

    def _event_loop(self) -> anyio.lowlevel.EventLoopToken:
        if self._loop is None:
            self._loop = anyio.lowlevel.current_token()
        return self._loop

    def _unix_time(self) -> float:
        return self.ledger.utc(self.ledger.now()).timestamp()

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
        return [*self._running.values()]

    def break_off(self, record: JobRecord) -> None:
        """Cancel this run of a job, if it is running."""
        for scope, running in self._running.items():
            if running is record:
                scope.cancel()


def _promised(record: JobRecord) -> tuple[float, float] | None:
    """When it was forecast to start, if forecasts are judged by it and this is its first start."""
    low, high = record.promised_low, record.promised_high
    return None if low is None or high is None or record.fence > 1 else (low, high)


def one_line(error: BaseException) -> str:
    """Type and message, without line breaks."""
    name = type(error).__name__
    try:
        text = " ".join(str(error).split())
    except Exception:  # of somebody else's class
        return name
    return f"{name}: {text}" if text else name


def _outcome_of(error: BaseException, unix_time: Callable[[], float]) -> Outcome:
    """Throttled, if that is all there is to it: a task group in the function wraps what its tasks raise."""
    outcomes = [_outcome_of_one(leaf, unix_time) for leaf in _leaves(error)]
    if len(outcomes) == 1 and not isinstance(error, BaseExceptionGroup):
        return outcomes[0]
    longest = max(outcomes, key=lambda one: -1.0 if one.retry_after is None else one.retry_after)
    limits = _latest(limit for one in outcomes for limit in one.limits)
    if all(one.kind is OutcomeKind.THROTTLED for one in outcomes):
        return attrs.evolve(longest, limits=limits)
    return Outcome(OutcomeKind.FAILED, error=one_line(error), retry_after=longest.retry_after, limits=limits)


def _outcome_of_one(error: BaseException, unix_time: Callable[[], float]) -> Outcome:
    """What the upstream's answer says, if the exception carries one or was raised from one that does."""
    answer = answer_of(error)
    said = Outcome(OutcomeKind.FAILED) if answer is None else read_refusal(answer, unix_time())
    if isinstance(error, Throttled):
        try:
            return _throttled(error, said)
        except Exception as mistake:  # in a number that it was given, or in a class made of it
            error = mistake
    return said if said.kind is OutcomeKind.THROTTLED else attrs.evolve(said, error=one_line(error))


def _throttled(error: Throttled, said: Outcome) -> Outcome:
    return Outcome(
        OutcomeKind.THROTTLED,
        error=str(error.reason) or said.error,
        retry_after=said.retry_after if error.retry_after is None else error.retry_after,
        cost=None if error.cost is None else checked_cost(error.cost, "Throttled"),
        limits=_latest((*said.limits, *checked_limits(error.limits, "Throttled"))),
    )


def _latest(limits: Iterable[LimitReport]) -> tuple[LimitReport, ...]:
    return tuple({one.name: one for one in limits}.values())


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error
