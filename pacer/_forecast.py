"""When will position k start? The rules rolled forward."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from functools import lru_cache
from random import Random
from statistics import fmean
from typing import TYPE_CHECKING

from pacer._durations import Durations
from pacer._job import Estimate, Outcome, OutcomeKind
from pacer._snapshot import QueueState, Snapshot
from pacer.protocols import JobFacts

if TYPE_CHECKING:
    from pacer._rules import Rules

# Rolled job by job up to here; beyond, the last quarter of the way is taken as the pace of the rest.
EXACT_JOBS = 200
# So many times, each time with other durations; of 15 equally likely ones the second and the last but one stand at
# 10 % and 90 %.
PATHS = 15
# A policy may name another time whenever its time has come; so often it is believed.
_MOST_STEPS = 1000
_SHARES = [(index + 0.5) / PATHS for index in range(PATHS)]
_LEVELS = (0.1, 0.9)
_SUCCESS = Outcome(OutcomeKind.SUCCEEDED)


def forecast_start(rules: Rules, snapshot: Snapshot, job: JobFacts, position: int) -> Estimate | None:
    """How long from now until the job at this 1-based position starts; None if no time can be named.

    The rules are rolled forward a few times, with other durations each time, and mean and 80 % interval of the starts
    are the answer. (Once with expected durations would not do: with a minimum interval between starts a cycle takes
    E[max(S, P)] and not max(E[S], P), and the first of several running jobs ends sooner than the expected one.) The
    jobs ahead are taken to be like `job`. The choice of durations is fixed: the same question has the same answer.
    """
    own = rules.predict(snapshot.queue, job)
    running = [(rules.predict(snapshot.queue, run.job), snapshot.now - run.started_at) for run in snapshot.running]
    steps = min(position, EXACT_JOBS)
    rolled = [_roll(rules, snapshot, job, steps, *path) for path in _paths(running, own, steps - 1)]
    ways = [way for way in rolled if way is not None]
    if len(ways) < len(rolled):
        return None
    seconds, low, high = _summary([way[-1] for way in ways])
    if position > steps:
        pace = seconds - fmean(way[3 * steps // 4 - 1] for way in ways)
        # The independent part of the deviation grows with the square root of the way, the common part with the way.
        known = own.total(steps - 1).sd
        growth = own.total(position - 1).sd / known if known else 1.0
        low, high = (seconds - low) * growth, (high - seconds) * growth
        seconds += (position - steps) * pace / (steps - 3 * steps // 4)
        low, high = seconds - low, seconds + high
    own_delay = job.ready_at - snapshot.now
    return Estimate(max(seconds, own_delay), max(0.0, low, own_delay), max(high, own_delay))


def forecast_end(rules: Rules, snapshot: Snapshot, job: JobFacts, position: int) -> Estimate | None:
    """How long from now until the job at this position has run once; None if no time can be named."""
    start = forecast_start(rules, snapshot, job, position)
    if start is None:
        return None
    own = rules.predict(snapshot.queue, job)
    low, high = (own.quantile(level) for level in _LEVELS)
    seconds = start.seconds + own.mean
    # Waiting and running are taken as independent: deviations add as squares.
    below = math.hypot(start.seconds - start.low, own.mean - min(low, own.mean))
    above = math.hypot(start.high - start.seconds, max(high, own.mean) - own.mean)
    return Estimate(seconds, max(start.low, seconds - below), seconds + above)


def _summary(starts: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the quantiles at 10 % and 90 %; the mean is between them."""
    mean, ordered = fmean(starts), sorted(starts)
    edge = len(ordered) // 10
    return mean, min(ordered[edge], mean), max(ordered[-1 - edge], mean)


def _paths(
    running: Sequence[tuple[Durations, float]], own: Durations, ahead: int
) -> list[tuple[list[float], list[float]]]:
    """Choices of all durations on the way: what is left of each running job, and each of the jobs ahead.

    A Latin hypercube: over the paths every duration takes each of PATHS equally likely values once, in an order of its
    own, so that its mean is exact. Then every path is stretched to make its total one of PATHS equally likely values
    of the total, which is taken as log-normal: its quantiles are known better than a few sums show them.
    """
    rests = [whole.remaining(elapsed) for whole, elapsed in running]
    waiting = own.total(ahead) if ahead else Durations(0.0, 0.0)
    mean = waiting.mean + sum(rest.mean for rest in rests)
    total = Durations(mean, math.hypot(waiting.sd, *(rest.sd for rest in rests)))
    if total.sd == 0:
        return [([rest.mean for rest in rests], [own.mean] * ahead)]
    tables = [
        _strata([whole.remaining_quantile(elapsed, share) for share in _SHARES], rest.mean)
        for rest, (whole, elapsed) in zip(rests, running, strict=True)
    ]
    common = _strata([own.quantile(share) for share in _SHARES], own.mean)
    columns = [[table[index] for index in _shuffled(slot)] for slot, table in enumerate(tables + [common] * ahead)]
    rows = [list(row) for row in zip(*columns, strict=True)]
    if ahead or len(running) > 1:
        rows = _stretched(rows, _strata([total.quantile(share) for share in _SHARES], mean))
    return [(row[: len(running)], row[len(running) :]) for row in rows]


def _strata(quantiles: list[float], mean: float) -> list[float]:
    """These quantiles, with the last raised to make the mean exact: it stands for all of a long tail."""
    last = mean * len(quantiles) - math.fsum(quantiles[:-1])
    return [*quantiles[:-1], last] if last >= quantiles[-1] else _scaled(quantiles, mean)


def _scaled(values: Sequence[float], mean: float) -> list[float]:
    """The same values in proportion, with this mean."""
    found = fmean(values)
    return [value * (mean / found) for value in values] if found > 0 else [mean] * len(values)


def _stretched(rows: Sequence[Sequence[float]], totals: Sequence[float]) -> list[list[float]]:
    """The rows with these totals: the row with the least sum gets the least of them."""
    by_sum = sorted(rows, key=sum)
    return [_scaled(row, total / len(row)) for row, total in zip(by_sum, totals, strict=True)]


@lru_cache(maxsize=2 * EXACT_JOBS)
def _shuffled(slot: int) -> Sequence[int]:
    order = list(range(PATHS))
    Random(slot).shuffle(order)  # noqa: S311 - the same for the same slot is what it has to be
    return order


def _roll(
    rules: Rules, snapshot: Snapshot, job: JobFacts, steps: int, left: Sequence[float], durations: Sequence[float]
) -> list[float] | None:
    """Seconds until the start of each of so many jobs, with these durations; None if one can never start."""
    now, state = snapshot.now, snapshot.queue
    ends = [now + rest for rest in left]
    heapq.heapify(ends)
    starts: list[float] = []
    while True:
        at = _next_start(rules, state, now, job, ends)
        if at is None:
            return None
        now, state = at
        starts.append(now - snapshot.now)
        if len(starts) == steps:
            return starts
        state = state.with_pacing(rules.charge(state.pacing, now, job, len(ends)))
        heapq.heappush(ends, now + durations[len(starts) - 1])


def _next_start(
    rules: Rules, state: QueueState, now: float, job: JobFacts, ends: list[float]
) -> tuple[float, QueueState] | None:
    """The next moment at which the rules let this job start; ends on the way are taken as successes."""
    for _ in range(_MOST_STEPS):
        while ends and ends[0] <= now:
            heapq.heappop(ends)
            state = rules.finish(state, now, job, _SUCCESS, len(ends))
        when = rules.next_start(state, now, job, len(ends))
        if when.at <= now:
            return now, state
        upcoming = min(when.at, ends[0]) if ends else when.at
        if upcoming == math.inf:
            return None
        now = upcoming
    return None  # a policy that names another time whenever its time has come
