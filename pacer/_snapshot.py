"""The queue at one moment: what forecasts and status are made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from pacer._minutes import NOTHING, Tally, counted

if TYPE_CHECKING:
    from pacer._job import JobRecord
    from pacer.protocols import JobFacts


LOOK_AHEAD = 1000
"""So many of the waiting jobs a snapshot names at most."""

RECENT = 60.0
"""Seconds in which what has happened lately fades to a share of 1/e."""


class Stance(Protocol):
    """What of a queue's state decides when a job may start."""

    @property
    def pacing(self) -> Any: ...
    @property
    def paused(self) -> bool: ...
    @property
    def failures(self) -> int: ...
    @property
    def hold_until(self) -> float: ...
    @property
    def hold_reason(self) -> str: ...


@attrs.frozen(slots=False)
class QueueState:
    """All that a queue has learned, as one value. It is written in the same transaction as the job that taught it.

    Attributes:
        pacing: The pacing policy's own state.
        estimator: The duration estimator's own state.
        order: The state of the order of the waiting jobs.
        failures: Failures in a row.
        first_failed_at: When the row began.
        last_failed_at: When its last counted failure became known.
        last_delay: Seconds of backoff that followed it.
        hold_until: No job starts before this time.
        hold_reason: Why.
        paused: A person has paused the queue.
        succeeded: Jobs that succeeded, ever.
        failed: Jobs that failed for good, ever.
        throttled: Runs that the upstream sent back, ever.
        recent_successes: Jobs that succeeded lately: each counts 1 when it does, and fades with `RECENT` seconds.
        recent_retries: The same for jobs that are to be retried after a failure.
        recent_at: The time at which both were that much.
        low_scale: By how much the lower bounds of forecasts are further from the mean than the rules rolled forward
            say, because too many jobs started sooner; the logarithm of a factor.
        high_scale: The same for the upper bounds.
        promised_at: When a job was last promised a time to start.
        claimed_to: The latest start that was given out ahead of the clock. For the pacing policy it is at least that
            time, so that its time never goes back.
        numbers: Numbers of the parts that a person has set, by path.
        ticks: Of each periodic schedule the last time for which it has enqueued a job, or has passed over.
        minute: What has happened in the current minute.
        past: The same of minutes that are over and that the store has not put away yet.
    """

    pacing: Any
    estimator: Any
    order: Any = None
    failures: int = 0
    first_failed_at: float = 0.0
    last_failed_at: float | None = None
    last_delay: float = 0.0
    hold_until: float = 0.0
    hold_reason: str = ""
    paused: bool = False
    succeeded: int = 0
    failed: int = 0
    throttled: int = 0
    recent_successes: float = 0.0
    recent_retries: float = 0.0
    recent_at: float = 0.0
    low_scale: float = 0.0
    high_scale: float = 0.0
    promised_at: float = 0.0
    claimed_to: float = 0.0
    numbers: Mapping[str, float] = attrs.field(factory=dict)
    ticks: Mapping[str, float] = attrs.field(factory=dict)
    minute: Tally = NOTHING
    past: Sequence[Tally] = ()

    def paced(self, now: float) -> float:
        """What time it is for the pacing policy."""
        return now if now >= self.claimed_to else self.claimed_to

    def recent(self, now: float) -> tuple[float, float]:
        """Successes and retries of the recent past, faded to this moment."""
        fade = math.exp(min(0.0, self.recent_at - now) / RECENT)
        return self.recent_successes * fade, self.recent_retries * fade

    def after_start(self, now: float, pacing: Any, waited: float) -> QueueState:
        """A run has started, after so many seconds of waiting: new state of the pacing policy."""
        minute, past = counted(self.minute, self.past, now, waited=waited)
        return self._changed(pacing=pacing, minute=minute, past=past)

    def after_run(
        self,
        now: float,
        pacing: Any,
        estimator: Any,
        *,
        succeeded: bool,
        failed: bool,
        retried: bool,
        throttled: bool,
    ) -> QueueState:
        """A run has ended: new states of the strategies; the job has succeeded, failed for good, or comes back."""
        successes, retries = self.recent(now)
        minute, past = counted(
            self.minute, self.past, now, succeeded=succeeded, failed=failed, retried=retried, throttled=throttled
        )
        return self._changed(
            minute=minute,
            past=past,
            throttled=self.throttled + throttled,
            pacing=pacing,
            estimator=estimator,
            succeeded=self.succeeded + succeeded,
            failed=self.failed + failed,
            recent_successes=successes + succeeded,
            recent_retries=retries + retried,
            recent_at=now,
        )

    def with_pacing(self, pacing: Any) -> QueueState:
        """The same with another state of the pacing policy."""
        return self if pacing is self.pacing else self._changed(pacing=pacing)

    def _changed(self, **changes: Any) -> QueueState:
        """What `attrs.evolve` does, in a fraction of its time: this is done for every step of every job."""
        new = object.__new__(QueueState)
        new.__dict__.update(self.__dict__, **changes)
        return new

    def to_json(self) -> dict[str, Any]:
        """As plain data for a store."""
        return attrs.asdict(self, recurse=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> QueueState:
        """From what `to_json` gave; unknown fields (of another version) are ignored."""
        known = {field.name for field in attrs.fields(cls)}
        state = cls(**{name: value for name, value in data.items() if name in known})
        # As they were: JSON knows no tuples.
        return attrs.evolve(state, minute=tuple(state.minute), past=tuple(map(tuple, state.past)))


@attrs.define(eq=False)
class Facts:
    """What strategies may know of a job, as it was at one moment; without its arguments and its result."""

    id: str
    task: str
    key: str | None
    priority: int
    cost: Mapping[str, float]
    created_at: float
    ready_at: float
    expires_at: float | None
    started_at: float | None = None


def facts(job: JobFacts) -> Facts:
    """A copy that stays as it is while the job goes on."""
    return Facts(
        job.id,
        job.task,
        job.key,
        job.priority,
        job.cost,
        job.created_at,
        job.ready_at,
        job.expires_at,
    )


def arriving(job: JobRecord, now: float) -> Facts:
    """The same of a job that would come into the queue now, and be ready at once."""
    known = facts(job)
    known.created_at = known.ready_at = now
    known.expires_at = None if job.expires is None else now + job.expires
    return known


@attrs.frozen
class Running:
    """One running job, frozen at the moment of the snapshot."""

    job: JobFacts
    started_at: float


@attrs.frozen
class Snapshot:
    """The queue at one moment.

    Attributes:
        now: The moment, on the store's clock.
        queue: Learned state, holds and totals.
        waiting: Waiting jobs, those with a delay included.
        running: Running jobs, on all workers.
        oldest_at: When the first of the waiting jobs was enqueued; None if none waits or it was not looked up.
        ahead: The first of the waiting jobs that are ready, in order, as many as were looked up.
    """

    now: float
    queue: QueueState
    waiting: int
    running: tuple[Running, ...]
    oldest_at: float | None = None
    ahead: Sequence[JobFacts] = ()
