"""When will position k start? The rules rolled forward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import cycle, islice
from operator import le
from typing import TYPE_CHECKING

from pacer._draws import MANY, Course, courses, spread
from pacer._durations import Durations
from pacer._job import ONE_REQUEST, Estimate
from pacer._roll import Roll
from pacer._snapshot import LOOK_AHEAD, Facts, QueueState, Snapshot, facts
from pacer.protocols import JobFacts

if TYPE_CHECKING:
    from pacer._rules import Rules

# Rolled job by job up to here; beyond, the last quarter of the way is taken as the pace of the rest.
EXACT_JOBS = LOOK_AHEAD
# So many of the jobs behind are looked at, where lanes let them overtake.
OVERTAKERS = 100
_LEVELS = (0.1, 0.9)
_SHARE_OF_WAIT = 0.05


def forecast_start(rules: Rules, snapshot: Snapshot, job: JobFacts, position: int) -> Estimate | None:
    """How long from now until the job at this 1-based position starts; None if no time can be named.

    The rules are rolled forward a few times, with other durations each time, and mean and 80 % interval of the starts
    are the answer. (Once with expected durations would not do: with a minimum interval between starts a cycle takes
    E[max(S, P)] and not max(E[S], P), and the first of several running jobs ends sooner than the expected one.) Jobs
    ahead that the snapshot does not name are taken to be like those that it does, or like `job` if it names none. The
    choice of durations is fixed: the same question has the same answer.
    """
    rules = rules.tuned(snapshot.queue)
    steps = min(position, EXACT_JOBS)
    jobs = [*_ahead(snapshot, job, steps - 1), facts(job)]
    ahead = _predicted(rules, snapshot, jobs[:-1])
    running = [
        # A start may have been given out ahead of the clock.
        (rules.predict(snapshot.queue, run.job), max(0.0, snapshot.now - run.started_at))
        for run in snapshot.running
    ]
    chosen = courses(running, ahead)
    ways = _rolled(rules, snapshot, jobs, chosen)
    if ways is None:
        return None
    weights = [course.weight for course in chosen]
    seconds, low, high = _summary([way[-1] for way in ways], weights)
    if position > steps:
        pace = _pace(rules, snapshot, jobs, ahead, chosen, ways)
        # The independent part of the deviation grows with the square root of the way, the common part with the way.
        known = spread((), ahead).sd
        growth = spread((), ahead, (position - 1) / (steps - 1)).sd / known if known else 1.0
        low, high = (seconds - low) * growth, (high - seconds) * growth
        seconds += (position - steps) * pace
        low, high = seconds - low, seconds + high
    low, high = _calibrated(snapshot.queue, seconds, low, high)
    own_delay = job.ready_at - snapshot.now
    return Estimate(max(seconds, own_delay), max(0.0, low, own_delay), max(high, own_delay))


def _pace(
    rules: Rules,
    snapshot: Snapshot,
    jobs: Sequence[Facts],
    ahead: Sequence[Durations],
    chosen: Sequence[Course],
    ways: Sequence[Sequence[float]],
) -> float:
    """Seconds that each place costs in the last quarter of the way, and will cost beyond it."""
    steps, nearer = len(jobs), 3 * len(jobs) // 4
    starts = [way[nearer - 1] for way in ways]
    if not all(map(_in_order, ways)):
        # Where lanes let some overtake others, the job itself has to stand there.
        courses_there = [Course(one.rests, one.durations[: nearer - 1], one.weight) for one in chosen]
        there = _rolled(rules, snapshot, [*jobs[: nearer - 1], jobs[-1]], courses_there)
        starts = starts if there is None else [way[-1] for way in there]
    found = math.fsum(one.weight * (way[-1] - start) for one, way, start in zip(chosen, ways, starts, strict=True)) / (
        steps - nearer
    )
    # While slots are free a place costs nothing; in the long run no more can run than there are.
    busy = math.fsum(one.mean for one, start in zip(ahead, ways[0], strict=False) if start < math.inf)
    return max(found, busy / steps / rules.concurrency)


def _in_order(way: Sequence[float]) -> bool:
    return all(map(le, way, way[1:]))


def forecast_end(rules: Rules, snapshot: Snapshot, job: JobFacts, position: int) -> Estimate | None:
    """How long from now until the job at this position has run once; None if no time can be named."""
    rules = rules.tuned(snapshot.queue)
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


def _ahead(snapshot: Snapshot, job: JobFacts, count: int) -> list[Facts]:
    """Copies of what is known of so many jobs, because a forecast says of them when they started."""
    named = [facts(one) for one in snapshot.ahead[:count] if one.id != job.id]
    missing = count - len(named)
    if missing > 0:
        named += map(facts, islice(cycle(named or [job]), missing))
    return named


def _rolled(
    rules: Rules, snapshot: Snapshot, jobs: Sequence[Facts], chosen: Sequence[Course]
) -> list[list[float]] | None:
    """The starts of these jobs, the last of which is asked for, in each course; None if it can never start."""
    ways, durations = list[list[float]](), list[float]()
    behind: list[Facts] | None = None
    for course in chosen:
        way = Roll(rules, snapshot, [*jobs, *(behind or ())], course, durations)
        starts = way.run()
        if way.met_lanes and behind is None:
            # Only now does it matter who may overtake.
            behind = [facts(one) for one in snapshot.ahead[len(jobs) : len(jobs) + OVERTAKERS]]
            durations = [one.mean for one in _predicted(rules, snapshot, behind)]
            starts = Roll(rules, snapshot, [*jobs, *behind], course, durations).run() if behind else starts
        if starts is None:
            return None
        ways.append(starts[: len(jobs)])
    return ways


def _predicted(rules: Rules, snapshot: Snapshot, jobs: Sequence[Facts]) -> list[Durations]:
    """How long each will take; jobs that look alike to an estimator are asked of once, and share the answer."""
    known = dict[object, Durations]()
    found = []
    for job in jobs:
        cost = () if job.cost is ONE_REQUEST else job.cost.items()
        kind = (job.task, job.key, job.priority, *cost)
        durations = known.get(kind)
        if durations is None:
            durations = known[kind] = rules.predict(snapshot.queue, job)
        found.append(durations)
    # Kinds with the same durations are one: the error of their mean is the same.
    same = dict[Durations, Durations]()
    return [same.setdefault(one, one) for one in found]


def _summary(starts: Sequence[float], weights: Sequence[float]) -> tuple[float, float, float]:
    """Mean, and the quantiles at 10 % and 90 %; the mean is between them."""
    mean = math.fsum(start * weight for start, weight in zip(starts, weights, strict=True))
    ordered = sorted(starts)
    edge = len(ordered) // 10 if len(ordered) == MANY else 0
    return mean, min(ordered[edge], mean), max(ordered[-1 - edge], mean)


def _calibrated(state: QueueState, seconds: float, low: float, high: float) -> tuple[float, float]:
    """The bounds of an interval, moved by what has been learned of the earlier ones."""
    if state.low_scale == 0 and state.high_scale == 0:
        return low, high
    return (
        seconds - _scaled(seconds - low, seconds, state.low_scale),
        seconds + _scaled(high - seconds, seconds, state.high_scale),
    )


def _scaled(distance: float, wait: float, scale: float) -> float:
    """A bound's distance from the mean; where it is next to nothing because a pace decides, a share of the wait."""
    factor = math.exp(scale)
    return max(distance * factor, _SHARE_OF_WAIT * wait * (factor - 1))
