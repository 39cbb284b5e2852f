"""First come, first served; and urgency that grows with waiting."""

from __future__ import annotations

import attrs

from pacer._validation import positive, seconds
from pacer.protocols import JobFacts


@attrs.frozen
class Fifo:
    """First come, first served. Priorities are not looked at."""

    def sort_key(self, job: JobFacts) -> float:
        """The same for all: arrival decides."""
        return 0.0


@attrs.frozen
class Priority:
    """Higher priority first; waiting makes up for it, so that nothing starves.

    Formula: `key = created_at - priority * ageing`. A job of priority p is overtaken by nothing of the next higher
    priority that arrives more than `ageing` seconds after it.

    Not for absolute urgency: with a small `ageing` an old job of low priority goes first.

    Args:
        ageing: Seconds of waiting that are worth one step of priority, above 0; 600 by default.
    """

    ageing: float = attrs.field(default=600.0, converter=seconds, validator=positive)

    def sort_key(self, job: JobFacts) -> float:
        """Earlier arrival and higher priority make it smaller."""
        return job.created_at - job.priority * self.ageing
