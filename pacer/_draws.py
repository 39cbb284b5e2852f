"""Choices of how long jobs will take: a few courses that the future could equally well take."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from statistics import fmean

import attrs

from pacer._durations import Durations

# Up to so many jobs the rules are rolled forward with MANY courses; of 15 equally likely ones the second and the last
# but one stand at 10 % and 90 %. Beyond, the sum of so many durations is known well: two courses, at 10 % and 90 %,
# stand for the rest, with the weights that make the mean of their totals exact.
FEW_JOBS = 100
MANY = 15
_SHARES = [(index + 0.5) / MANY for index in range(MANY)]
_OUTER = (0.1, 0.9)
_COLUMNS = 4096
_LARGEST_FACTOR = 1e100
# A relative deviation up to this is one of rounding, and too small for arithmetic with quantiles.
_NO_SPREAD = 1e-9


@attrs.frozen
class Course:
    """One choice of all durations on the way.

    Attributes:
        rests: Seconds that are left of each running job.
        durations: Seconds that each of the jobs ahead takes.
        weight: How much this course counts; the weights of all courses add up to 1.
    """

    rests: Sequence[float]
    durations: Sequence[float]
    weight: float


def courses(running: Sequence[tuple[Durations, float]], ahead: Sequence[Durations]) -> list[Course]:
    """Courses for running jobs, each with the seconds that it has run so far, and for the jobs ahead.

    A Latin hypercube: over the courses every duration takes each of 15 equally likely values once, in an order of its
    own, so that its mean is exact. Then every course is stretched to make its total a quantile of the total, which is
    taken as log-normal: its quantiles are known better than a few sums show them.
    """
    rests = [whole.remaining(elapsed) for whole, elapsed in running]
    total = spread(rests, ahead)
    if total.sd <= _NO_SPREAD * total.mean:
        return [Course([rest.mean for rest in rests], [one.mean for one in ahead], 1.0)]
    shares = _SHARES if len(ahead) <= FEW_JOBS else _OUTER
    tables = [
        strata([whole.remaining_quantile(elapsed, share) for share in _SHARES], rest.mean)
        for rest, (whole, elapsed) in zip(rests, running, strict=True)
    ]
    known = dict[int, list[float]]()  # jobs of one kind share their Durations
    for one in ahead:
        table = known.get(id(one))
        if table is None:
            table = known[id(one)] = strata([one.quantile(share) for share in _SHARES], one.mean)
        tables.append(table)
    columns = [[table[index] for index in _shuffled(slot)[: len(shares)]] for slot, table in enumerate(tables)]
    rows = [list(row) for row in zip(*columns, strict=True)]
    weights, totals = [1 / MANY] * MANY, [total.quantile(share) for share in shares]
    if shares is _OUTER:
        upper = min(max((total.mean - totals[0]) / (totals[1] - totals[0]), 0.0), 1.0)
        weights = [1 - upper, upper]
    else:
        totals = strata(totals, total.mean)
    if len(tables) > 1:
        rows = _stretched(rows, totals)
    split = len(running)
    return [Course(row[:split], row[split:], weight) for row, weight in zip(rows, weights, strict=True)]


def spread(rests: Sequence[Durations], ahead: Sequence[Durations], times: float = 1.0) -> Durations:
    """The total of all of these, with `times` as many jobs ahead.

    Jobs of one kind share the error of their mean, so that it adds up; what is between kinds adds up as squares.
    """
    kinds = Counter(map(id, ahead))
    by_id = {id(one): one for one in ahead}
    parts = [by_id[kind].total(count * times) for kind, count in kinds.items()]
    mean = math.fsum(part.mean for part in (*parts, *rests))
    return Durations(mean, math.hypot(*(part.sd for part in (*parts, *rests))))


def strata(quantiles: list[float], mean: float) -> list[float]:
    """These quantiles, with the last raised to make the mean exact: it stands for all of a long tail."""
    last = mean * len(quantiles) - math.fsum(quantiles[:-1])
    return [*quantiles[:-1], last] if last >= quantiles[-1] else _scaled(quantiles, mean)


def _scaled(values: Sequence[float], mean: float) -> list[float]:
    """The same values in proportion, with this mean."""
    found = fmean(values)
    factor = mean / found if found > 0 else math.inf
    # There are no proportions among values that are nothing beside the mean.
    return [value * factor for value in values] if factor < _LARGEST_FACTOR else [mean] * len(values)


def _stretched(rows: Sequence[Sequence[float]], totals: Sequence[float]) -> list[list[float]]:
    """The rows with these totals: the row with the least sum gets the least of them."""
    by_sum = sorted(rows, key=sum)
    return [_scaled(row, total / len(row)) for row, total in zip(by_sum, sorted(totals), strict=True)]


@lru_cache(maxsize=_COLUMNS)
def _shuffled(slot: int) -> Sequence[int]:
    order = list(range(MANY))
    Random(slot).shuffle(order)  # noqa: S311 - the same for the same slot is what it has to be
    return order
