"""What happened when, in a bounded number of equal stretches of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import attrs

BINS: Final = 1024
"""At most so many stretches; when there would be more, they become twice as long."""
_FIRST_WIDTH: Final = 2.0**-10

COUNTED: Final = ("arrived", "asked", "succeeded", "throttled", "failed", "oracle")


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
        present: The most jobs at once that waited or ran.
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
    """A timeline that is being made: one row of counts a kind of event."""

    width: float = attrs.field(init=False, default=_FIRST_WIDTH)
    counts: dict[str, list[int]] = attrs.field(init=False, factory=lambda: {name: [0] * BINS for name in COUNTED})
    present: list[int] = attrs.field(init=False, factory=lambda: [0] * BINS)
    _last: int = attrs.field(init=False, default=-1)

    def bin(self, at: float) -> int:
        """The number of the stretch that holds this time. It holds until the next call."""
        index = int(at / self.width)
        while index >= BINS:
            self._widen()
            index = int(at / self.width)
        self._last = max(self._last, index)
        return index

    def add(self, kind: str, at: float) -> None:
        """One more."""
        self.counts[kind][self.bin(at)] += 1

    def level(self, at: float, present: int) -> None:
        """So many jobs are there now."""
        index = self.bin(at)
        self.present[index] = max(self.present[index], present)

    def _widen(self) -> None:
        self.width *= 2
        self._last //= 2
        for row in self.counts.values():
            row[:] = [row[index] + row[index + 1] for index in range(0, BINS, 2)] + [0] * (BINS // 2)
        row = self.present
        row[:] = [max(row[index], row[index + 1]) for index in range(0, BINS, 2)] + [0] * (BINS // 2)

    def timeline(self, rate: Callable[[float], float | None], until: float) -> Timeline:
        """As far as `until`."""
        self.bin(until)
        used = int(until / self.width) + 1
        return Timeline(
            width=self.width,
            present=tuple(self.present[:used]),
            limit=tuple(rate(index * self.width) for index in range(used)),
            **{name: tuple(row[:used]) for name, row in self.counts.items()},
        )
