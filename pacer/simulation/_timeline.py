"""What happened when, in a bounded number of equal stretches of time."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import sub
from typing import Final

import attrs

BINS: Final = 1024
"""At most so many stretches; when there would be more, they become twice as long."""
_FIRST_WIDTH: Final = 2.0**-10

FOLD: Final = 65_536
"""So many times are kept before they are counted."""

COUNTED: Final = ("arrived", "asked", "succeeded", "throttled", "failed", "oracle")
RECORDED: Final = (*COUNTED, "entered", "left")


@attrs.frozen(kw_only=True)
class Timeline:
    """What happened in each stretch of time, from 0 on; stretch n begins at `n * width`.

    Attributes:
        width: Seconds that a stretch lasts, the last one included.
        arrived: Jobs that arrived.
        asked: Requests that reached the upstream.
        succeeded: Jobs that succeeded.
        throttled: Requests that were answered 429.
        failed: Requests that ended in an error.
        oracle: Jobs that would have reached the upstream if the limits had been known to the oracle.
        present: Jobs that waited or ran at its end.
        limit: Requests a second that the upstream allows in the long run, at the beginning of the stretch; None if it
            does not limit them.
    """

    width: float
    arrived: Sequence[int]
    asked: Sequence[int]
    succeeded: Sequence[int]
    throttled: Sequence[int]
    failed: Sequence[int]
    oracle: Sequence[int]
    present: Sequence[int]
    limit: Sequence[float | None]

    def between(self, start: float, end: float) -> Stretch:
        """The sums over the stretches that begin from `start` on and before `end`, in seconds."""
        indices = [index for index in range(len(self.arrived)) if start <= index * self.width < end]
        counts = {name: sum(getattr(self, name)[index] for index in indices) for name in COUNTED}
        return Stretch(seconds=len(indices) * self.width, **counts)


@attrs.frozen(kw_only=True)
class Stretch:
    """Sums over a part of a timeline; the names are those of `Timeline`.

    Attributes:
        seconds: How long the part is.
    """

    seconds: float
    arrived: int
    asked: int
    succeeded: int
    throttled: int
    failed: int
    oracle: int

    @property
    def goodput(self) -> float:
        """Jobs that succeeded a second."""
        return self.succeeded / self.seconds if self.seconds else 0.0

    @property
    def throttled_share(self) -> float:
        """Share of the requests that were answered 429."""
        return self.throttled / self.asked if self.asked else 0.0

    @property
    def of_oracle(self) -> float:
        """Jobs that succeeded, as a share of those that the oracle would have started."""
        return self.succeeded / self.oracle if self.oracle else 0.0


@attrs.define(eq=False)
class Recording:
    """A timeline that is being made. Times of one kind come in order; they are counted by the thousand."""

    width: float = attrs.field(init=False, default=_FIRST_WIDTH)
    _counts: dict[str, list[int]] = attrs.field(init=False, factory=lambda: {name: [0] * BINS for name in RECORDED})
    fresh: dict[str, array[float]] = attrs.field(init=False, factory=lambda: {name: array("d") for name in RECORDED})
    """Times that have not been counted yet."""
    _room: int = attrs.field(init=False, factory=lambda: FOLD)

    def add(self, kind: str, at: float) -> None:
        """One more."""
        self.fresh[kind].append(at)
        self._room -= 1
        if self._room == 0:
            self.fold()

    def fold(self) -> None:
        """Count what has come in since the last time."""
        self._room = FOLD
        for name, times in self.fresh.items():
            if times:
                self._widen(times[-1])
                self._count(self._counts[name], times)
                del times[:]

    def _count(self, row: list[int], times: array[float]) -> None:
        first = 0
        while first < len(times):
            index = int(times[first] / self.width)
            # The width is a power of 2, so this product is the very time at which the stretch ends.
            beyond = bisect_left(times, (index + 1) * self.width, first)
            row[index] += beyond - first
            first = beyond

    def _widen(self, until: float) -> None:
        while until / self.width >= BINS:
            self.width *= 2
            for row in self._counts.values():
                row[:] = [row[index] + row[index + 1] for index in range(0, BINS, 2)] + [0] * (BINS // 2)

    def timeline(self, rate: Callable[[float], float | None], until: float) -> Timeline:
        """As far as `until`."""
        self.fold()
        self._widen(until)
        used = int(until / self.width) + 1
        rows = {name: tuple(row[:used]) for name, row in self._counts.items()}
        there = map(sub, accumulate(rows.pop("entered")), accumulate(rows.pop("left")))
        limits = tuple(rate(index * self.width) for index in range(used))
        return Timeline(width=self.width, present=tuple(there), limit=limits, **rows)
