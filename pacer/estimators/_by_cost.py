"""Duration as a straight line over what a job is expected to use."""

from __future__ import annotations

import math

import attrs
from typing_extensions import TypedDict

from pacer._durations import LEAST_DURATION
from pacer._job import Outcome, OutcomeKind
from pacer._validation import positive, seconds, share
from pacer.estimators._track_record import (
    LONGEST,
    TrackRecord,
    blank,
    came_true,
    faded,
    prior_share,
    spread_and_uncertainty,
)
from pacer.protocols import Durations, JobFacts

# A job is never expected to take less than this share of the mean duration, however little it uses.
_LEAST_SHARE = 1e-3
# Costs are taken to be within these bounds, or 0, so that their squares and ratios are numbers.
_SMALLEST_COST, _LARGEST_COST = 1e-12, 1e15


class Line(TypedDict):
    """Weighted moments of cost and duration of so many jobs, and what came of the durations that were foretold.

    `before_row` is the line before the row that the record is at: cost, duration and slope.
    """

    count: int
    cost: float
    duration: float
    cost_variance: float
    covariance: float
    record: TrackRecord
    before_row: list[float]


class ByCostState(TypedDict):
    """What was learned from jobs that name the dimension, and from the others."""

    dimension: str
    named: Line
    others: Line


@attrs.frozen
class Fit:
    """A line through the mean: `duration + slope * (x - cost)`, with the standard deviation of its slope."""

    cost: float
    duration: float
    slope: float
    slope_sd: float = 0.0

    def at(self, cost: float) -> float:
        """The duration on the line."""
        least = max(_LEAST_SHARE * self.duration, LEAST_DURATION)
        return max(self.duration + self.slope * (cost - self.cost), least)


def _word(instance: object, attribute: attrs.Attribute[str], value: str) -> None:
    name = f"{type(instance).__name__}: {attribute.name}"
    if not isinstance(value, str):
        msg = f"{name} must be a word such as 'tokens', got {value!r}"
        raise TypeError(msg)
    if not value:
        msg = f"{name} must not be empty; name the dimension of `cost` that matters, such as 'tokens'"
        raise ValueError(msg)


@attrs.frozen
class ByCost:
    """The duration of a job is a fixed part and so much for each unit of what it is expected to use; successes only.

    It learns the line `a + b * x` for the cost x that jobs name for `dimension`: least squares in which a job that is k
    jobs old counts `(1 - weight)**k`, updated with each job. (It is recursive least squares with the forgetting factor
    `1 - weight`, Ljung and Soederstrom 1983, kept as means, variance and covariance instead of as an inverse matrix,
    which stays exact when many jobs cost the same.) The first jobs count equally.

    With means m and u of cost and duration, the slope is believed to lie between 0 (cost does not matter) and `u / m`
    (there is no fixed part), so that neither part is negative; before data it is taken as the middle of that with
    the standard deviation of an even distribution, `u / m / sqrt(12)`, and blended with the least squares slope by
    their precisions. As long as all jobs cost the same nothing is known of the slope, and the answer says so.

    The standard deviation of one duration is a share of what is foretold for it, found as in `MovingAverage`: jobs
    that take longer vary more. The uncertainty has the parts of `MovingAverage`, and grows with the distance of the
    job's cost from the mean cost: `slope_sd * abs(x - m)`. Extrapolation is not forbidden, but it is wide.

    The line is over the *estimated* cost, `job.cost`, also when the outcome names the actual one: it is the estimate
    that will be known when the next duration has to be foretold, and what estimates are worth is then in the spread.
    Jobs that do not name the dimension are foretold by the mean of such jobs, and do not bend the line; before one of
    them has run, by the mean of the others, as unsure of it as these differ.

    Before any job has run, `initial` is the expected duration, its standard deviation and its uncertainty.

    Not for a duration that grows faster than its cost: the line is too low at both ends. Not where cost and duration
    have nothing to do with each other: `WindowedQuantile` has their true distribution instead of a log-normal one.

    State: two times eight numbers, and eight of how far the line has been off.

    Args:
        initial: Seconds that a job is taken to last before one has been seen, above 0; 60 by default.
        dimension: The dimension of `cost` that matters; "tokens" by default.
        weight: Weight of the newest duration, above 0 and at most 1; 0.02 by default, which remembers about 100.

    Raises:
        TypeError: If `dimension` is no str.
        ValueError: If it is empty.
    """

    initial: float = attrs.field(default=60.0, converter=seconds, validator=positive)
    dimension: str = attrs.field(default="tokens", validator=_word)
    weight: float = attrs.field(default=0.02, kw_only=True, validator=share)

    def initial_state(self) -> ByCostState:
        """The prior."""
        return {"dimension": self.dimension, "named": _no_line(), "others": _no_line()}

    def observed(self, state: ByCostState, job: JobFacts, duration: float, outcome: Outcome) -> ByCostState:
        """Learn from a success."""
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return state
        state = self._of_this_dimension(state)
        cost = self._cost(job)
        if cost is None:
            return {**state, "others": self._extended(state["others"], 0.0, duration)}
        return {**state, "named": self._extended(state["named"], cost, duration)}

    def predict(self, state: ByCostState, job: JobFacts) -> Durations:
        """The duration on the line at the job's cost."""
        state = self._of_this_dimension(state)
        cost = self._cost(job)
        line = state["others"] if cost is None else state["named"]
        if cost is None and not line["count"] and state["named"]["count"]:
            return self._stranger(state["named"])
        fit, effective = self._fit(line), self._effective(line)
        mean = min(faded(self.initial, fit.at(cost or 0.0), line["count"]), LONGEST)
        prior = self.initial * prior_share(line["count"])
        sd, uncertainty = spread_and_uncertainty(line["record"], mean, effective, prior)
        aside = fit.slope_sd * abs((cost or 0.0) - fit.cost)
        return Durations(mean, sd, min(math.hypot(uncertainty, aside), LONGEST))

    def _stranger(self, named: Line) -> Durations:
        """The first job that does not say what it costs: any of those that do."""
        fit = self._fit(named)
        mean = min(faded(self.initial, fit.duration, named["count"]), LONGEST)
        prior = self.initial * prior_share(named["count"])
        sd, uncertainty = spread_and_uncertainty(named["record"], mean, self._effective(named), prior)
        apart = min(math.hypot(sd, fit.slope * math.sqrt(named["cost_variance"])), LONGEST)
        return Durations(mean, apart, min(math.hypot(uncertainty, apart), LONGEST))

    def _extended(self, line: Line, cost: float, duration: float) -> Line:
        """The line with one more point (West 1979), which is first held against what was foretold for it."""
        foretold = faded(self.initial, self._fit(line).at(cost), line["count"])
        before_row = Fit(*line["before_row"]) if line["record"]["size"] else self._fit(line)
        weight = max(self.weight, 1 / (line["count"] + 1))
        aside, above = cost - line["cost"], duration - line["duration"]
        return {
            "count": line["count"] + 1,
            "cost": line["cost"] + weight * aside,
            "duration": line["duration"] + weight * above,
            "cost_variance": (1 - weight) * (line["cost_variance"] + weight * aside * aside),
            "covariance": (1 - weight) * (line["covariance"] + weight * aside * above),
            "record": came_true(
                line["record"],
                foretold,
                duration,
                self._effective(line),
                self._effective_in_the_end,
                before_row=before_row.at(cost),
            ),
            "before_row": [before_row.cost, before_row.duration, before_row.slope],
        }

    def _fit(self, line: Line) -> Fit:
        cost, duration = line["cost"], line["duration"]
        if cost < _SMALLEST_COST:
            return Fit(cost, duration, 0.0, 0.0)
        steepest = duration / cost
        # In units of the steepest slope: what is believed is 1/2 with variance 1/12, what is seen has this precision.
        noise = max(line["record"]["spread"], 1e-12)
        precision = self._effective(line) * line["cost_variance"] / (cost * cost) / noise
        seen = line["covariance"] / line["cost_variance"] / steepest if precision > 0 and steepest > 0 else 0.0
        slope = (12 * 0.5 + precision * seen) / (12 + precision)
        return Fit(cost, duration, steepest * min(max(slope, 0.0), 1.0), steepest / math.sqrt(12 + precision))

    def _cost(self, job: JobFacts) -> float | None:
        cost = job.cost.get(self.dimension)
        return None if cost is None else min(max(float(cost), 0.0), _LARGEST_COST)

    def _of_this_dimension(self, state: ByCostState) -> ByCostState:
        """The state, begun anew if it was learned for another dimension."""
        return state if state["dimension"] == self.dimension else self.initial_state()

    def _effective(self, line: Line) -> float:
        return min(max(1, line["count"]), self._effective_in_the_end)

    @property
    def _effective_in_the_end(self) -> float:
        return (2 - self.weight) / self.weight


def _no_line() -> Line:
    return {
        "count": 0,
        "cost": 0.0,
        "duration": 0.0,
        "cost_variance": 0.0,
        "covariance": 0.0,
        "record": blank(),
        "before_row": [0.0, 0.0, 0.0],
    }
