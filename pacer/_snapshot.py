"""The queue at one moment: what forecasts and status are made from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from pacer.protocols import JobFacts


@attrs.frozen
class QueueState:
    """All that a queue has learned, as one value. It is written in the same transaction as the job that taught it.

    Attributes:
        pacing: The pacing policy's own state.
        estimator: The duration estimator's own state.
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
    """

    pacing: Any
    estimator: Any
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

    def learned(self, pacing: Any, estimator: Any, succeeded: int = 0, failed: int = 0) -> QueueState:
        """The same with new states of the strategies, and so many more jobs that succeeded or failed for good."""
        if pacing is self.pacing and estimator is self.estimator and not succeeded and not failed:
            return self
        # Spelled out because this is the hot path: `attrs.evolve` takes four times as long.
        return QueueState(
            pacing,
            estimator,
            self.failures,
            self.first_failed_at,
            self.last_failed_at,
            self.last_delay,
            self.hold_until,
            self.hold_reason,
            self.paused,
            self.succeeded + succeeded,
            self.failed + failed,
            self.throttled,
        )

    def to_json(self) -> dict[str, Any]:
        """As plain data for a store."""
        return attrs.asdict(self, recurse=False)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> QueueState:
        """From what `to_json` gave; unknown fields (of another version) are ignored."""
        known = {field.name for field in attrs.fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in known})


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
    """

    now: float
    queue: QueueState
    waiting: int
    running: tuple[Running, ...]
    oldest_at: float | None = None
