"""When will position k start? The rules rolled forward."""

from __future__ import annotations

import heapq
import math
from typing import TYPE_CHECKING

import attrs

from pacer._durations import Durations
from pacer._job import Estimate, Outcome, OutcomeKind
from pacer._snapshot import QueueState, Snapshot
from pacer.protocols import JobFacts

if TYPE_CHECKING:
    from pacer._rules import Rules

# Rolled job by job up to here; beyond, the last half of the way is taken as the pace of the rest.
EXACT_JOBS = 1000
_MOST_STEPS = 1000
_LEVELS = (0.1, 0.9)
_SUCCESS = Outcome(OutcomeKind.SUCCEEDED)


def forecast_start(rules: Rules, snapshot: Snapshot, job: JobFacts, position: int) -> Estimate | None:
    """How long from now until the job at this 1-based position starts; None if no time can be named.

    The jobs ahead are taken to be like `job`. What makes the interval is the spread of the durations on the way:
    of what is left of the running jobs, and of the `position - 1` jobs ahead. Their total is taken as log-normal (what
    is left of a single job is known better), and its deviation at the 10 % and 90 % level is shared out over them by
    variance; then the rules are rolled forward once with expected, once with short and once with long durations.
    """
    own = rules.predict(snapshot.queue, job)
    lasting = [(rules.predict(snapshot.queue, run.job), snapshot.now - run.started_at) for run in snapshot.running]
    way = _Way([whole.remaining(elapsed) for whole, elapsed in lasting], own, position - 1)
    expected = _roll(rules, snapshot, job, position, _Path(way, 0.0))
    if expected is None:
        return None
    paths = [_Path(way, _deviation(way, lasting, level)) for level in _LEVELS]
    low, high = (_roll(rules, snapshot, job, position, path) for path in paths)
    own_delay = job.ready_at - snapshot.now
    return Estimate(
        max(expected, own_delay),
        max(min(expected, expected if low is None else low), own_delay),
        max(expected if high is None else high, expected, own_delay),
    )


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


@attrs.frozen
class _Way:
    """What has to end before the job can start: the running jobs, and `ahead` more that are like it."""

    running: list[Durations]
    own: Durations
    ahead: int

    def waiting(self) -> Durations:
        """All of the jobs ahead, one after the other."""
        return self.own.total(self.ahead) if self.ahead else Durations(0.0, 0.0)

    def variance(self) -> float:
        return self.waiting().sd ** 2 + sum(rest.sd**2 for rest in self.running)


def _deviation(way: _Way, lasting: list[tuple[Durations, float]], level: float) -> float:
    """How far the total is from its expectation at this level."""
    if len(lasting) == 1 and not way.ahead:
        whole, elapsed = lasting[0]
        return whole.remaining_quantile(elapsed, level) - way.running[0].mean
    mean = way.waiting().mean + sum(rest.mean for rest in way.running)
    total = Durations(max(mean, 1e-9), math.sqrt(way.variance()))
    return total.quantile(level) - total.mean


@attrs.frozen
class _Path:
    """One choice of all durations: the expected ones, shifted by shares of one total deviation."""

    way: _Way
    deviation: float

    def left(self) -> list[float]:
        """Seconds that each running job still takes."""
        return [max(0.0, rest.mean + self._share(rest)) for rest in self.way.running]

    def duration(self) -> float:
        """Seconds that each of the jobs ahead takes."""
        if not self.way.ahead:
            return self.way.own.mean
        return max(0.0, self.way.own.mean + self._share(self.way.waiting()) / self.way.ahead)

    def _share(self, part: Durations) -> float:
        variance = self.way.variance()
        return self.deviation * part.sd**2 / variance if variance else 0.0


def _roll(rules: Rules, snapshot: Snapshot, job: JobFacts, position: int, path: _Path) -> float | None:
    """Seconds until the start of the job at this position, with these durations."""
    now, state, duration = snapshot.now, snapshot.queue, path.duration()
    ends = [now + left for left in path.left()]
    heapq.heapify(ends)
    starts: list[float] = []
    while len(starts) < min(position, EXACT_JOBS):
        at = _next_start(rules, state, now, job, ends)
        if at is None:
            return None
        now, state = at
        state = rules.start(state, now, job, len(ends))
        heapq.heappush(ends, now + duration)
        starts.append(now - snapshot.now)
    if position <= EXACT_JOBS:
        return starts[-1]
    half = EXACT_JOBS // 2
    return starts[-1] + (position - EXACT_JOBS) * (starts[-1] - starts[half - 1]) / half


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
