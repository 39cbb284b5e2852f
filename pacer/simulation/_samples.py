"""Many numbers in little memory."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final

import attrs

KEPT: Final = 65_536
"""So many numbers are kept as they are; of more, only how many there are of each size."""

# Buckets grow by 1 %, so a quantile is at most 0.5 % off (as in DDSketch, Masson et al. 2019).
_GROWTH: Final = 1.01
_PER_LOG: Final = 1 / math.log(_GROWTH)
_MIDDLE: Final = 2 / (1 + _GROWTH)
_LEAST: Final = 1e-9
_ZERO: Final = -(10**9)


@attrs.frozen
class Spread:
    """How numbers are spread, such as the waits of all jobs. All in seconds; 0 where there are none.

    Attributes:
        count: How many there are.
        mean: Their mean.
        percentiles: 101 numbers: the least, the one that 1 % do not exceed, ..., the greatest. Exact for up to
            65,536 numbers; of more they are up to 0.5 % off.
    """

    count: int
    mean: float
    percentiles: Sequence[float] = attrs.field(repr=False)

    @property
    def p50(self) -> float:
        """The median."""
        return self.percentiles[50]

    @property
    def p95(self) -> float:
        """What 95 % do not exceed."""
        return self.percentiles[95]

    @property
    def p99(self) -> float:
        """What 99 % do not exceed."""
        return self.percentiles[99]

    @property
    def most(self) -> float:
        """The greatest."""
        return self.percentiles[100]


@attrs.define(eq=False)
class Samples:
    """Takes numbers, 0 or more, and says how they are spread. Its size does not grow with their number."""

    _count: int = attrs.field(init=False, default=0)
    _sum: float = attrs.field(init=False, default=0.0)
    _least: float = attrs.field(init=False, default=math.inf)
    _most: float = attrs.field(init=False, default=0.0)
    _fresh: array[float] = attrs.field(init=False, factory=lambda: array("d"))
    _buckets: Counter[int] = attrs.field(init=False, factory=Counter)

    def add(self, value: float) -> None:
        """One more."""
        self._fresh.append(value)
        if len(self._fresh) >= KEPT:
            self._fold()

    def extend(self, values: array[float]) -> None:
        """These, as if they had come one by one."""
        first = 0
        while first < len(values):
            room = KEPT - len(self._fresh)
            self._fresh.extend(values[first : first + room])
            first += room
            if len(self._fresh) >= KEPT:
                self._fold()

    def merge(self, other: Samples) -> None:
        """All that the other has taken."""
        if other._buckets:
            self._fold()
            self._buckets.update(other._buckets)
            self._count += other._count
            self._sum += other._sum
            self._least, self._most = min(self._least, other._least), max(self._most, other._most)
        self.extend(other._fresh)

    def spread(self) -> Spread:
        """Of all so far."""
        if self._buckets:
            self._fold()
            steps = [self._least, *(_middle(index) for index in sorted(self._buckets)), self._most]
            counts = [0, *(self._buckets[index] for index in sorted(self._buckets)), 0]
            values = [min(max(step, self._least), self._most) for step in steps]
            return Spread(self._count, self._sum / self._count, _percentiles(values, counts))
        values = sorted(self._fresh)
        if not values:
            return Spread(0, 0.0, (0.0,) * 101)
        return Spread(len(values), math.fsum(values) / len(values), _percentiles(values, [1] * len(values)))

    def _fold(self) -> None:
        if not self._fresh:
            return
        self._buckets.update(map(_bucket, self._fresh))
        self._count += len(self._fresh)
        self._sum += math.fsum(self._fresh)
        least, most = min(self._fresh), max(self._fresh)
        self._least, self._most = min(self._least, least), max(self._most, most)
        self._fresh = array("d")


def _bucket(value: float) -> int:
    return math.ceil(math.log(value) * _PER_LOG) if value > _LEAST else _ZERO


def _middle(bucket: int) -> float:
    return 0.0 if bucket == _ZERO else _GROWTH**bucket * _MIDDLE


def _percentiles(values: Sequence[float], counts: Iterable[int]) -> tuple[float, ...]:
    """The smallest value that a share does not exceed, for each whole percentage."""
    reached = list(accumulate(counts))
    total, index, found = reached[-1], 0, []
    for percent in range(100):
        while reached[index] * 100 < max(1, percent * total):
            index += 1
        found.append(values[index])
    return (*found, values[-1])
