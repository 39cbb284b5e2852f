"""So many in each minute of the clock."""

from __future__ import annotations

import math

import attrs

from pacer._validation import not_negative, positive, seconds
from pacer.protocols import LimitReport
from pacer.simulation._arrivals import Arrival
from pacer.simulation._upstreams._limit import EDGE


@attrs.frozen
class FixedWindowLimit:
    """Allows `limit` in each window of `per` seconds; the windows begin at `offset`, `offset + per`, and so on.

    Twice the limit passes across an edge. Refused requests cost nothing.

    State: the number of the window and what has been used in it.

    Args:
        limit: How much is allowed a window, above 0.
        per: Seconds that a window lasts, above 0; 60 by default.
        offset: When the first window begins, in seconds, 0 or more; 0 by default.
        of: The dimension that is counted; "requests" by default.
    """

    limit: float = attrs.field(validator=positive)
    per: float = attrs.field(default=60.0, converter=seconds, validator=positive)
    offset: float = attrs.field(default=0.0, converter=seconds, validator=not_negative, kw_only=True)
    of: str = attrs.field(default="requests", kw_only=True)

    def initial_state(self) -> tuple[float, float]:
        """Nothing used."""
        return (-math.inf, 0.0)

    def wait(self, state: tuple[float, float], now: float, request: Arrival) -> float:
        """Until the next window, if this one is used up."""
        amount = request.amount(self.of)
        if amount > self.limit:
            return math.inf
        window = self._window(now)
        if window != state[0] or state[1] + amount <= self.limit:
            return 0.0
        return self.offset + (window + 1) * self.per - now

    def take(self, state: tuple[float, float], now: float, request: Arrival) -> tuple[float, float]:
        """Counted in the window of now."""
        window = self._window(now)
        return (window, request.amount(self.of) + (state[1] if window == state[0] else 0.0))

    def report(self, state: tuple[float, float], now: float, request: Arrival) -> LimitReport:
        """`reset_in` is the time until the next window."""
        window = self._window(now)
        used = state[1] if window == state[0] else 0.0
        reset_in = self.offset + (window + 1) * self.per - now
        return LimitReport(
            name=self.of, limit=self.limit, remaining=self.limit - used, reset_in=reset_in, window=self.per
        )

    def rate(self, now: float) -> tuple[str, float]:
        """The same at all times."""
        return self.of, self.limit / self.per

    def _window(self, now: float) -> float:
        return math.floor((now - self.offset + EDGE) / self.per)
