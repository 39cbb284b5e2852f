"""The oracle: what a client would reach that knows the limits."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Final

import attrs

from pacer.simulation._arrivals import Arrival
from pacer.simulation._upstream import LimitStates, Upstream

# A limit may name another time whenever its time has come; so often it is believed.
_MOST_STEPS: Final = 1000


@attrs.define(eq=False)
class Oracle:
    """Sends each job that has come into the queue as soon as all limits admit it, first come, first served.

    It has as many slots as it likes, knows when outages end, and is never refused. That is the most that any schedule
    can do for jobs that cost the same; jobs of different costs could be packed a little tighter.
    """

    _upstream: Upstream
    _sent: Callable[[float], None]
    """Is told when it sends a job."""
    _free: bool = attrs.field(init=False)
    """Nothing keeps a job from being sent when it comes."""
    _limits: LimitStates = attrs.field(init=False)
    _at: float = attrs.field(init=False, default=0.0)
    _ahead: deque[float] = attrs.field(init=False, factory=deque)
    """When it sent the jobs that have not succeeded in the run."""
    seconds: float = attrs.field(init=False, default=0.0)
    """When it had sent as many jobs as have succeeded in the run so far."""

    def __attrs_post_init__(self) -> None:
        self._free = not self._upstream.limits and not self._upstream.troubles
        self._limits = LimitStates(self._upstream.limits)

    def entered(self, now: float, request: Arrival) -> None:
        """A job has come into the queue. With one lane, all that is before it has been sent already."""
        if self._free:
            self._ahead.append(now)
            self._sent(now)
            return
        at = self._admitted(max(now, self._at), request)
        if at < math.inf:
            self._send(at, request)

    def succeeded(self, now: float) -> None:
        """A job has succeeded in the run."""
        if self._ahead:
            self.seconds = self._ahead.popleft()

    def _send(self, at: float, request: Arrival) -> None:
        self._limits.take(at, request)
        self._at = at
        self._ahead.append(at)
        self._sent(at)

    def _admitted(self, at: float, request: Arrival) -> float:
        """The first time from then on at which all limits admit it; `inf` for never."""
        troubles = self._upstream.troubles
        for _ in range(_MOST_STEPS):
            clear = max(trouble.over_at(at) for trouble in troubles) if troubles else at
            wait = self._limits.wait(clear, request)
            if wait == 0 and clear == at:
                return at
            if wait == math.inf:
                return math.inf
            at = max(clear + wait, math.nextafter(at, math.inf)) if wait else clear
        return math.inf


@attrs.define(eq=False)
class OracleOfLanes(Oracle):
    """The same where keys have limits of their own: a job waits only for those before it in its lane."""

    _lanes: dict[str | None, deque[tuple[float, Arrival]]] = attrs.field(init=False, factory=dict)

    def entered(self, now: float, request: Arrival) -> None:
        """It joins its lane."""
        self._advance(now)
        self._lanes.setdefault(request.key, deque()).append((now, request))
        self._advance(now)

    def succeeded(self, now: float) -> None:
        """First it sends what it would have sent by now."""
        self._advance(now)
        super().succeeded(now)

    def _advance(self, now: float) -> None:
        while self._lanes:
            heads = [(self._admitted(max(lane[0][0], self._at), lane[0][1]), key) for key, lane in self._lanes.items()]
            at, key = min(heads, key=lambda head: head[0])
            if at > now:
                return
            lane = self._lanes[key]
            self._send(at, lane.popleft()[1])
            if not lane:
                del self._lanes[key]


def oracle(upstream: Upstream, sent: Callable[[float], None]) -> Oracle:
    """The one that fits the upstream."""
    by_key = any(getattr(limit, "by_key", False) for limit in upstream.limits)
    return (OracleOfLanes if by_key else Oracle)(upstream, sent)
