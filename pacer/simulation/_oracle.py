"""The oracle: what a client would reach that knows the limits."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import attrs

from pacer.simulation._arrivals import Arrival
from pacer.simulation._upstream import LimitStates, Upstream

# A limit may name another time whenever its time has come; so often it is believed.
_MOST_STEPS: Final = 1000


@attrs.define(eq=False)
class Oracle:
    """Sends each job that has come into the queue as soon as all limits admit it, and none of them sooner.

    It has as many slots as it likes, knows when outages end, and is never refused; first come, first served within a
    lane that has limits of its own. That is the most that any schedule can do for jobs that cost the same; jobs of
    different costs could be packed tighter by a few.
    """

    _upstream: Upstream
    _limits: LimitStates = attrs.field(init=False)
    _at: float = attrs.field(init=False, default=0.0)
    _ahead: deque[float] = attrs.field(init=False, factory=deque)
    """When it started the jobs that have not succeeded in the run."""
    seconds: float = attrs.field(init=False, default=0.0)
    """When it had started as many jobs as have succeeded in the run so far."""

    def __attrs_post_init__(self) -> None:
        self._limits = LimitStates(self._upstream.limits)

    def entered(self, now: float, request: Arrival) -> float:
        """A job has come into the queue; returns when the oracle starts it, `inf` for never."""
        at = self._admitted(max(now, self._at), request)
        if at < math.inf:
            self._limits.take(at, request)
            self._at = at
            self._ahead.append(at)
        return at

    def succeeded(self) -> None:
        """A job has succeeded in the run."""
        if self._ahead:
            self.seconds = self._ahead.popleft()

    def _admitted(self, at: float, request: Arrival) -> float:
        for _ in range(_MOST_STEPS):
            clear = max((trouble.over_at(at) for trouble in self._upstream.troubles), default=at)
            wait = self._limits.wait(clear, request)
            if wait == 0 and clear == at:
                return at
            if wait == math.inf:
                return math.inf
            at = max(clear + wait, math.nextafter(at, math.inf))
        return math.inf
