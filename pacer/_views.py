"""What people get to see: a job, its result, and the state of the queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import attrs

from pacer._errors import JobCancelledError, JobFailedError, JobStaleError, ResultUnavailableError
from pacer._forecast import forecast_start
from pacer._job import Estimate, Job, JobRecord, JobState
from pacer._rules import Rules
from pacer._snapshot import LOOK_AHEAD, Snapshot
from pacer.protocols import Codec


@attrs.frozen(kw_only=True)
class Status:
    """A queue at one moment, over all processes.

    Attributes:
        queue: Its name.
        pending: Waiting jobs.
        running: Running jobs.
        capacity: How many jobs may wait.
        concurrency: How many jobs may run.
        succeeded: Jobs that succeeded, ever.
        failed: Jobs that failed for good, ever; stale and dead ones are not among them.
        throttled: Runs that the upstream sent back, ever.
        paused: A person has paused it.
        failures_in_a_row: Of the queue; what the backoff policy counts.
        hold_seconds: Seconds for which no job starts because of a backoff or of what the upstream said; 0 without.
        hold_reason: Why; empty without.
        next_start_seconds: Seconds until a job that waits now could start; None if that depends on an event.
        waiting_for: Why nothing starts right now, for people; empty if nothing stands in the way.
        estimate: Time until a job enqueued now would start; None if no time can be named (paused).
        average_duration: Expected seconds of one job.
        oldest_waiting_seconds: Age of the job that has waited longest, delays included; None if none waits.
        ready_seconds: How long the job that has waited longest could have started as far as it is concerned: its delay
            and those of its retries do not count. None if no job is ready. Of more than 1000 that are ready, the age
            of the oldest waiting job may stand in.
        working: Whether this process takes jobs.
        rate_limit: Starts a second that the pacing policy lets there be in the long run; None if it is not about a
            rate, as with a pause after each job.
        numbers_by_hand: Numbers of the parts that a person has set, by path.
    """

    queue: str
    pending: int
    running: int
    capacity: int
    concurrency: int
    succeeded: int
    failed: int
    throttled: int
    paused: bool
    failures_in_a_row: int
    hold_seconds: float
    hold_reason: str
    next_start_seconds: float | None
    waiting_for: str
    estimate: Estimate | None
    average_duration: float
    oldest_waiting_seconds: float | None
    ready_seconds: float | None
    working: bool
    rate_limit: float | None
    numbers_by_hand: Mapping[str, float]


def make_status(name: str, rules: Rules, snapshot: Snapshot, working: bool, *, forecast: bool = True) -> Status:
    """Status from a snapshot: everything that can be derived is derived here. The estimate takes most of the time."""
    queue, now = snapshot.queue, snapshot.now
    rules = rules.tuned(queue)
    newcomer = JobRecord("", "", created_at=now, ready_at=now)
    when = rules.next_start(queue, now, newcomer, len(snapshot.running))
    held = max(0.0, queue.hold_until - now)
    return Status(
        queue=name,
        pending=snapshot.waiting,
        running=len(snapshot.running),
        capacity=rules.queue.capacity,
        concurrency=rules.concurrency,
        succeeded=queue.succeeded,
        failed=queue.failed,
        throttled=queue.throttled,
        paused=queue.paused,
        failures_in_a_row=queue.failures,
        hold_seconds=held,
        hold_reason=queue.hold_reason if held else "",
        next_start_seconds=None if when.at == float("inf") else max(0.0, when.at - now),
        waiting_for=when.reason if when.at > now else "",
        estimate=forecast_start(rules, snapshot, newcomer, snapshot.waiting + 1) if forecast else None,
        average_duration=rules.predict(queue, newcomer).mean,
        oldest_waiting_seconds=None if snapshot.oldest_at is None else max(0.0, now - snapshot.oldest_at),
        ready_seconds=_ready_seconds(snapshot),
        working=working,
        rate_limit=rules.rate_limit(queue, now),
        numbers_by_hand=dict(queue.numbers),
    )


def _ready_seconds(snapshot: Snapshot) -> float | None:
    if not snapshot.ahead:
        return None
    longest = max(snapshot.now - max(job.ready_at, job.created_at) for job in snapshot.ahead)
    if len(snapshot.ahead) >= LOOK_AHEAD and snapshot.oldest_at is not None:
        longest = max(longest, snapshot.now - snapshot.oldest_at)
    return max(0.0, longest)


def view(record: JobRecord, position: int | None, utc: Callable[[float], datetime], codec: Codec | None) -> Job:
    """The job for people; its result is left out without a codec."""
    return Job(
        id=record.id,
        task=record.task,
        state=record.state,
        position=position,
        key=record.key,
        priority=record.priority,
        batch_id=record.batch_id,
        cost=record.cost,
        created_at=utc(record.created_at),
        ready_at=utc(record.ready_at),
        expires_at=None if record.expires_at is None else utc(record.expires_at),
        started_at=None if record.started_at is None else utc(record.started_at),
        ended_at=None if record.ended_at is None else utc(record.ended_at),
        worker=record.worker,
        attempt=max(1, record.failures) if record.state.final else record.attempt,
        throttles=record.throttles,
        recoveries=record.recoveries,
        progress=record.progress,
        message=record.message,
        error=record.error,
        result=None if codec is None or record.state is not JobState.SUCCEEDED else codec.decode_result(record.result),
    )


def result(record: JobRecord, codec: Codec) -> Any:
    """What the function of a job that has ended returned. Raises the JobError that fits any other end."""
    match record.state:
        case JobState.SUCCEEDED if not record.error:
            return codec.decode_result(record.result)
        case JobState.SUCCEEDED:
            raise ResultUnavailableError(record.id, record.error)
        case JobState.CANCELLED | JobState.DROPPED | JobState.EXPIRED:
            raise JobCancelledError(record.id, record.error)
        case JobState.STALE:
            raise JobStaleError(record.id, record.error)
        case _:
            raise JobFailedError(record.id, record.error)
