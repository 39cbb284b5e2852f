"""Urgency that grows with waiting."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from pacer._validation import positive, seconds
from pacer.protocols import JobFacts


@attrs.frozen
class Priority:
    """Higher priority first; waiting makes up for it, so that nothing starves.

    Formula: `key = created_at - priority * ageing`. A job of priority p is overtaken by nothing of the next higher
    priority that arrives more than `ageing` seconds after it.

    Not for absolute urgency: with a small `ageing` an old job of low priority goes first.

    State: none.

    Args:
        ageing: Seconds of waiting that are worth one step of priority, above 0; 600 by default.
    """

    ageing: float = attrs.field(default=600.0, converter=seconds, validator=positive)

    def initial_state(self) -> None:
        """There is no state."""
        return

    def place(self, state: None, job: JobFacts, expected: Callable[[], float]) -> tuple[float, None]:
        """Earlier arrival and higher priority make the key smaller."""
        return job.created_at - job.priority * self.ageing, None

    def started(self, state: None, job: JobFacts, sort_key: float) -> None:
        """Nothing to learn."""
        return
