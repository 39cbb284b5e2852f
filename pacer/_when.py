"""When a job may start."""

from __future__ import annotations

import math

import attrs


@attrs.frozen
class When:
    """When a job may start, and why not sooner.

    Attributes:
        at: A time, in seconds on the clock of the question; in the past means now, `inf` means no time can be named.
        on_event: True if the answer may become sooner when something else happens (a job ends, the queue is resumed).
        reason: One phrase for people: "pause of 10 s after the last job".
        lane: True if the answer holds for jobs with this job's key only; others may start sooner.
        by_hand: True if it is a person who stopped it. Waiting for an event while no job runs is a mistake otherwise.
    """

    at: float
    on_event: bool = False
    reason: str = ""
    lane: bool = False
    by_hand: bool = False

    @property
    def never(self) -> bool:
        """Whether the job can never start, as one that costs more than a limit allows: it stops none of the others."""
        return self.at == math.inf and not self.on_event


NOW = When(-math.inf)
"""Nothing stands in the way."""
