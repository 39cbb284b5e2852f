"""No pace at all."""

from __future__ import annotations

import attrs

from pacer._job import Outcome
from pacer.pacing._all_of import Combinable
from pacer.protocols import NOW, JobFacts, When


@attrs.frozen
class Unpaced(Combinable):
    """Every job may start at once; only the scheduler's `concurrency` and the backoff hold it back.

    Not for an upstream with a rate limit.
    """

    starts_ahead = True

    def initial_state(self) -> None:
        """There is no state."""
        return

    def earliest(self, state: None, now: float, job: JobFacts, running: int) -> When:
        """Always now."""
        return NOW

    def started(self, state: None, now: float, job: JobFacts, running: int) -> None:
        """Nothing to charge."""
        return

    def ended(self, state: None, now: float, job: JobFacts, outcome: Outcome, running: int) -> None:
        """Nothing to learn."""
        return
