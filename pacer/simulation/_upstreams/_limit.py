"""The seam of limits."""

from __future__ import annotations

from typing import Any, Final, Protocol

from pacer.protocols import LimitReport
from pacer.simulation._arrivals import Arrival

EDGE: Final = 1e-9
"""Seconds by which a request may come too early: sums of floats end up beside the moment they mean."""


class Limit(Protocol):
    """One limit of an upstream: a recipe. Its state belongs to one run, and may be changed in place."""

    def initial_state(self) -> Any:
        """The state of an upstream that has never been asked."""

    def wait(self, state: Any, now: float, request: Arrival) -> float:
        """Seconds until it would admit this request; 0: now; `inf`: never. Changes nothing."""

    def take(self, state: Any, now: float, request: Arrival) -> Any:
        """It is admitted: the state after it."""

    def report(self, state: Any, now: float, request: Arrival) -> LimitReport:
        """What the headers of an answer to this request would say."""

    def rate(self, now: float) -> tuple[str, float]:
        """The dimension that it counts, and how much of it a second it allows in the long run."""
