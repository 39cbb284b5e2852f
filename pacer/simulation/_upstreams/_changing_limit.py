"""A limit that is raised or lowered."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

import attrs

from pacer.protocols import LimitReport
from pacer.simulation._arrivals import Arrival
from pacer.simulation._upstreams._limit import EDGE, Limit


def _steps(value: Sequence[tuple[float, Limit]]) -> tuple[tuple[float, Limit], ...]:
    return tuple((float(start), limit) for start, limit in value)


@attrs.frozen
class ChangingLimit:
    """One limit after the other, each from its own time on: `ChangingLimit([(0, fast), (300, slow)])`.

    A new limit begins as if nothing had been used.

    State: the number of the limit in force, and its state.

    Args:
        steps: Pairs of a time in seconds and the limit that holds from then on; the first time is 0, and they rise.
    """

    steps: Sequence[tuple[float, Limit]] = attrs.field(converter=_steps)

    @steps.validator
    def _check(self, attribute: attrs.Attribute[Any], value: Sequence[tuple[float, Limit]]) -> None:
        times = [start for start, _ in value]
        if not times or times[0] != 0 or any(not early < late for early, late in itertools.pairwise(times)):
            msg = f"ChangingLimit: steps must begin at 0 and rise, got the times {times!r}"
            raise ValueError(msg)

    def initial_state(self) -> list[Any]:
        """The first limit in its own initial state."""
        return [0, self.steps[0][1].initial_state()]

    def wait(self, state: list[Any], now: float, request: Arrival) -> float:
        """As the limit in force says, or until the next one is."""
        limit, inner = self._current(state, now)
        wait = limit.wait(inner, now, request)
        return wait if wait == 0 else min(wait, self._next(state) - now)

    def take(self, state: list[Any], now: float, request: Arrival) -> list[Any]:
        """The limit in force counts it."""
        limit, inner = self._current(state, now)
        state[1] = limit.take(inner, now, request)
        return state

    def report(self, state: list[Any], now: float, request: Arrival) -> LimitReport:
        """Of the limit in force."""
        limit, inner = self._current(state, now)
        return limit.report(inner, now, request)

    def rate(self, now: float) -> tuple[str, float]:
        """Of the limit in force."""
        return self.steps[self._index(now)][1].rate(now)

    def _index(self, now: float) -> int:
        return max(0, bisect_right(self.steps, now + EDGE, key=lambda step: step[0]) - 1)

    def _current(self, state: list[Any], now: float) -> tuple[Limit, Any]:
        index = self._index(now)
        if index > state[0]:
            state[0], state[1] = index, self.steps[index][1].initial_state()
        return self.steps[state[0]][1], state[1]

    def _next(self, state: list[Any]) -> float:
        return self.steps[state[0] + 1][0] if state[0] + 1 < len(self.steps) else math.inf
