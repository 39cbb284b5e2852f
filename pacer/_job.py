"""Values: what a job is, the states it passes through, and how it can end."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import attrs
from typing_extensions import TypeVar

from pacer._limit_report import LimitReport
from pacer._validation import whole

if TYPE_CHECKING:
    from pacer.protocols import BackoffPolicy

T = TypeVar("T", default=Any)

ONE_REQUEST: Mapping[str, float] = {"requests": 1.0}
"""What a job costs unless it says otherwise."""


class JobState(enum.StrEnum):
    """Where a job stands. The values are stable: they are what stores and APIs hold."""

    QUEUED = "queued"
    """Waits for its turn, for the end of its delay, or for its next attempt."""
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Its function raised, timed out, or was throttled too often, and no attempt is left."""
    CANCELLED = "cancelled"
    DROPPED = "dropped"
    """Pushed out of a full queue by a newer job; or another had taken its unique key when its transaction ended."""
    EXPIRED = "expired"
    """Had not started by the time after which it was of no use."""
    STALE = "stale"
    """A crash interrupted it and it will not be run again unless somebody asks."""
    DEAD = "dead"
    """It was running in too many crashes to be tried again."""

    @property
    def final(self) -> bool:
        """Whether a job in this state never runs again, unless somebody asks for it (`Scheduler.retry`)."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


ENDED_WITHOUT_SUCCESS = frozenset(state for state in JobState if state.final) - {JobState.SUCCEEDED}
"""Jobs in these states can be run again, if somebody asks for it; their arguments are kept."""

TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.CANCELLED, JobState.DROPPED, JobState.EXPIRED, JobState.STALE}
    ),
    JobState.RUNNING: frozenset(set(JobState) - {JobState.RUNNING, JobState.DROPPED, JobState.EXPIRED}),
}
"""Every change of state that comes of itself. A person may also have `ENDED_WITHOUT_SUCCESS` enqueued again."""


class OutcomeKind(enum.StrEnum):
    """The ways in which one run of a job can end."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    THROTTLED = "throttled"
    IGNORED = "ignored"
    """Ended before the upstream answered (cancelled, undecodable, crashed): teaches nothing."""


@attrs.frozen
class Outcome:
    """How one run of a job ended, as policies and estimators see it.

    Attributes:
        kind: One of the four ways.
        result: What the function returned (succeeded).
        error: One line: type and message (failed), or the reason (throttled, ignored).
        retry_after: Seconds that the upstream asked to wait (throttled or failed); None if it did not say.
        cost: What the run really cost, where that is known; None otherwise.
        limits: What the upstream said of its limits.
        hold: Seconds for which the backoff policy holds the queue because of this outcome. Filled in by the rules.
        foretold: The run is one of a forecast, which takes it to succeed: settle what it was charged, but learn nothing
            from it.
        unused: The job was given a start, and given back before its function was called (ignored): nothing was used.
    """

    kind: OutcomeKind
    result: Any = None
    error: str = ""
    retry_after: float | None = None
    cost: Mapping[str, float] | None = None
    limits: tuple[LimitReport, ...] = ()
    hold: float = 0.0
    foretold: bool = False
    unused: bool = False


@attrs.frozen
class Retry:
    """How often and when a failed job is tried again.

    Args:
        attempts: How many runs in all, the first included; 1 or more. Throttles, crashes and shutdowns do not count.
        backoff: Delay of this job after its n-th failure. It delays this job only; the queue's own backoff policy
            decides about the others.
    """

    attempts: int = attrs.field(validator=whole(1))
    backoff: BackoffPolicy


@attrs.define(eq=False)
class JobRecord:
    """One job as a store holds it: a row, mutable, times in seconds on the store's clock.

    Policies and estimators see it through the `JobFacts` protocol, which is the read-only part of it.
    """

    id: str
    task: str
    payload: Any = None
    home: str | None = None
    """The only worker that can run it, for a job whose function or arguments live in one process."""
    key: str | None = None
    priority: int = 0
    cost: Mapping[str, float] = ONE_REQUEST
    delay: float = 0.0
    timeout: float | None = None
    retry: Retry | None = None
    unique: str | None = None
    batch_id: str | None = None
    expires: float | None = None
    """Seconds after its enqueueing by which it has to have started."""
    # From here on: what the store fills in.
    state: JobState = JobState.QUEUED
    seq: int = 0
    sort_key: float = 0.0
    created_at: float = 0.0
    ready_at: float = 0.0
    expires_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    failures: int = 0
    first_failed_at: float | None = None
    retry_delay: float = 0.0
    """Seconds that followed its last failure."""
    promised_low: float | None = None
    promised_high: float | None = None
    """When it was expected to start, for a job by which forecasts are judged; None for others."""
    throttles: int = 0
    recoveries: int = 0
    worker: str | None = None
    fence: int = 0
    lease_until: float = 0.0
    cancel_requested: bool = False
    progress: float | None = None
    message: str = ""
    error: str = ""
    result: Any = None
    headers: Mapping[str, str] | None = None
    """What observers have given with it when it was enqueued, such as the context of a trace."""

    @property
    def attempt(self) -> int:
        """The number of the current or next run, from 1; only failures count."""
        return self.failures + 1

    def copy(self) -> JobRecord:
        """Another record with the same content. It is made anew: `copy.copy` takes eight times as long."""
        return JobRecord(*_content(self))


_content = attrgetter(*(field.name for field in attrs.fields(JobRecord)))


@attrs.frozen(kw_only=True)
class Job:
    """One job, as seen at one moment. Times are aware UTC datetimes.

    Attributes:
        id: Its id.
        task: The name of its function.
        state: Where it stands.
        position: 1-based place among the waiting jobs; None when it does not wait, or was not asked for.
        cost: What it is expected to use, by dimension.
        expires_at: The time by which it has to have started; None if it may wait for ever.
        worker: The worker that runs it; None if it does not run.
        attempt: The number of the current, next or last run, from 1; only failures count.
        throttles: How often the upstream sent it back.
        recoveries: How often a crash interrupted it.
        progress: Between 0 and 1, as reported by its function; None if it never reported.
        message: As reported by its function.
        error: One line on why it has not succeeded (yet); empty if nothing went wrong.
        result: What its function returned.
    """

    id: str
    task: str
    state: JobState
    position: int | None
    key: str | None
    priority: int
    batch_id: str | None
    cost: Mapping[str, float]
    created_at: datetime
    ready_at: datetime
    expires_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    worker: str | None
    attempt: int
    throttles: int
    recoveries: int
    progress: float | None
    message: str
    error: str
    result: Any


@attrs.frozen
class Estimate:
    """A waiting time, honest about what it does not know.

    Attributes:
        seconds: The expected time from now.
        low: A 10 % chance that it is sooner than this.
        high: A 10 % chance that it is later than this.
    """

    seconds: float
    low: float
    high: float


@attrs.frozen(kw_only=True)
class BatchProgress:
    """How far a batch is.

    Attributes:
        batch_id: The batch.
        total: Jobs in it.
        counts: Jobs in it by state; states without jobs are left out.
    """

    batch_id: str
    total: int
    counts: Mapping[JobState, int]

    @property
    def finished(self) -> int:
        """Jobs that will not run again."""
        return sum(count for state, count in self.counts.items() if state.final)

    @property
    def fraction(self) -> float:
        """Share of the jobs that will not run again, 0 to 1."""
        return self.finished / self.total if self.total else 1.0
