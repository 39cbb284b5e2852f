"""So many in any minute."""

from __future__ import annotations

import math
from collections import deque

import attrs
from typing_extensions import TypedDict

from pacer._validation import positive, seconds
from pacer.protocols import LimitReport
from pacer.simulation._arrivals import Arrival
from pacer.simulation._upstreams._limit import EDGE


class SlidingWindowLimitState(TypedDict):
    """What was admitted within the last window, with its times, and the sum of it."""

    log: deque[tuple[float, float]]
    used: float


@attrs.frozen
class SlidingWindowLimit:
    """Allows `limit` in any `per` seconds: every window `(t - per, t]` is counted, from a log of what was admitted.

    Refused requests cost nothing.

    State: one entry for each admitted request of the last window.

    Args:
        limit: How much is allowed a window, above 0.
        per: Seconds that a window lasts, above 0; 60 by default.
        of: The dimension that is counted; "requests" by default.
    """

    limit: float = attrs.field(validator=positive)
    per: float = attrs.field(default=60.0, converter=seconds, validator=positive)
    of: str = attrs.field(default="requests", kw_only=True)

    def initial_state(self) -> SlidingWindowLimitState:
        """An empty log."""
        return {"log": deque(), "used": 0.0}

    def wait(self, state: SlidingWindowLimitState, now: float, request: Arrival) -> float:
        """Until enough of the log is older than the window."""
        amount = request.amount(self.of)
        if amount > self.limit:
            return math.inf
        self._forget(state, now)
        excess = state["used"] + amount - self.limit
        if excess <= EDGE:
            return 0.0
        for at, used in state["log"]:
            excess -= used
            if excess <= EDGE:
                return at + self.per - now
        return math.inf  # not reached: the whole log is as much as is used

    def take(self, state: SlidingWindowLimitState, now: float, request: Arrival) -> SlidingWindowLimitState:
        """One more entry."""
        amount = request.amount(self.of)
        state["log"].append((now, amount))
        state["used"] += amount
        return state

    def report(self, state: SlidingWindowLimitState, now: float, request: Arrival) -> LimitReport:
        """`reset_in` is the time until the oldest entry leaves the window."""
        self._forget(state, now)
        reset_in = state["log"][0][0] + self.per - now if state["log"] else 0.0
        remaining = max(0.0, self.limit - state["used"])
        return LimitReport(name=self.of, limit=self.limit, remaining=remaining, reset_in=reset_in, window=self.per)

    def rate(self, now: float) -> tuple[str, float]:
        """The same at all times."""
        return self.of, self.limit / self.per

    def _forget(self, state: SlidingWindowLimitState, now: float) -> None:
        log = state["log"]
        while log and log[0][0] + self.per <= now + EDGE:
            state["used"] -= log.popleft()[1]
        if not log:
            state["used"] = 0.0  # sums of floats do not always come back to 0
