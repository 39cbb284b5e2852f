"""Intervals that are widened or narrowed until they cover what they promise."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import attrs
from typing_extensions import TypedDict

from pacer._durations import LEAST_DURATION
from pacer._job import JobRecord, Outcome, OutcomeKind
from pacer._validation import positive
from pacer.estimators._inner import an_estimator
from pacer.estimators._track_record import BLOCK, LONGEST
from pacer.protocols import DurationEstimator, Durations, JobFacts

_NORMAL = NormalDist()
# Up to so many deviations the inner estimator is asked; beyond, a bound grows by the factor exp(_STEEP) for each, so
# that 14 of them reach from the shortest to the longest duration there is, and no sequence can escape for long.
_ASKED = 3.0
_STEEP = 4.0
# A bound moves at least a little with its deviation, even if the inner estimator has no spread.
_LEAST_SLOPE = 0.01
_FEWEST_QUANTILES = 15
_MOST_COVERAGE = 0.99
# For sums: the step, and the bounds of the logarithm by which their deviation is scaled. It is taken to be at least a
# hundredth of the mean; beyond 1.3 means the upper bound of a log-normal distribution does not rise any more.
_SUM_STEP = 0.1
_NARROWEST, _WIDEST = -1.0, 5.0
_LEAST_DEVIATION, _MOST_DEVIATION = 0.01, 1.3


class Like(TypedDict):
    """What estimators look at in a job."""

    task: str
    key: str | None
    priority: int
    cost: dict[str, float]


class Row(TypedDict):
    """Durations in a row: their sum so far, how many, and the bounds that were promised for the sum of all.

    `like` is the first job. The bounds are for jobs like it, and the durations of others are taken in proportion to
    what was foretold for them and for it.
    """

    sum: float
    size: int
    low: float
    high: float
    like: Like | None


_NO_ROW: Row = {"sum": 0.0, "size": 0, "low": 0.0, "high": 0.0, "like": None}


class CalibratedState(TypedDict):
    """The inner state; the deviates at which its bounds are taken; the scale of sums; and the row under way."""

    inner: Any
    low: float
    high: float
    scale: float
    row: Row


def _coverage(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value <= _MOST_COVERAGE:
        msg = f"{type(instance).__name__}: {attribute.name} must be above 0 and at most {_MOST_COVERAGE}, got {value!r}"
        raise ValueError(msg)


@attrs.frozen
class Calibrated:
    """Another estimator, whose intervals are moved after each success until they cover what they promise.

    With `a = (1 - coverage) / 2`, the bounds are the inner estimator's quantiles at the normal deviates l and h, which
    begin at the usual ones (-1.28 and 1.28 for 80 %). After each success, separately for both tails:
    `h += step * (missed - a)`, where missed is 1 if the duration was above the upper bound and 0 if not; and
    `l -= step * (missed - a)` for those below the lower one. This is adaptive conformal inference (Gibbs and Candes
    2021) with the level measured as a deviate, so that it has no end (as in the quantile tracking of Angelopoulos,
    Candes and Tibshirani 2023). Beyond 3 deviations a bound is moved by a factor of `exp(4)` for each further one.

    It is guaranteed that on *any* sequence of T durations between 1e-9 and 1e9 s, chosen in full knowledge of the
    bounds too, the share of durations above the upper bound is at most `a + (15 + step) / (step * T)`, and so is the
    share below the lower one. Nothing is said of single jobs, or of which ones are missed.

    What it changes: `quantiles`, all of them, in proportion to their deviates, so that those at a and 1 - a are the
    bounds. `mean` stays. For sums of durations, one factor is steered in the same way by whether the sums of 20
    durations in a row stay within their bounds: it is that of the deviation of such a sum, between exp(-1) and exp(5).
    What is missing is added to `uncertainty`, what is too much is taken from `sd`. This comes without the guarantee:
    a log-normal sum of given mean has no bounds as wide as one likes.

    Not around an estimator that is honest by itself and sees durations of one distribution: `WindowedQuantile` is, and
    there calibration adds only its own restlessness. Not for a cure of a wrong mean.

    State: the inner estimator's, seven numbers, and what a job looks like (task, key, priority and cost).

    Args:
        estimator: What learns and predicts.
        coverage: The share of durations that the interval promises to cover, above 0 and at most 0.99; 0.8 by default,
            which is what receipts promise.
        step: How far a miss moves a bound, in deviations, above 0; 0.1 by default. A larger one adapts sooner and is
            more restless.

    Raises:
        TypeError: If `estimator` is none.
    """

    estimator: DurationEstimator[Any] = attrs.field(validator=an_estimator)
    coverage: float = attrs.field(default=0.8, validator=_coverage)
    step: float = attrs.field(default=0.1, kw_only=True, validator=positive)

    def initial_state(self) -> CalibratedState:
        """The inner estimator as it is."""
        usual = self._usual_deviate
        return {
            "inner": self.estimator.initial_state(),
            "low": -usual,
            "high": usual,
            "scale": 0.0,
            "row": {**_NO_ROW},
        }

    def observed(self, state: CalibratedState, job: JobFacts, duration: float, outcome: Outcome) -> CalibratedState:
        """Hold a success against what was promised for it, and let the inner estimator learn."""
        learned = self.estimator.observed(state["inner"], job, duration, outcome)
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return {**state, "inner": learned}
        found = self.estimator.predict(state["inner"], job)
        below = duration < _at(found, state["low"])
        above = duration > _at(found, state["high"])
        scale, row = self._row(state, job, found, duration)
        return {
            "inner": learned,
            "low": state["low"] - self.step * (below - self._miss),
            "high": state["high"] + self.step * (above - self._miss),
            "scale": scale,
            "row": row,
        }

    def predict(self, state: CalibratedState, job: JobFacts) -> Durations:
        """As the inner estimator, with other quantiles, deviation and uncertainty."""
        found = self.estimator.predict(state["inner"], job)
        middle = (state["low"] + state["high"]) / 2
        stretch = max(0.0, (state["high"] - state["low"]) / (2 * self._usual_deviate))
        return attrs.evolve(
            _for_sums(found, state["scale"]),
            quantiles=tuple(_at(found, middle + stretch * deviate) for deviate in self._deviates()),
        )

    def _row(self, state: CalibratedState, job: JobFacts, found: Durations, duration: float) -> tuple[float, Row]:
        """The scale and the row after one more duration."""
        row, scale, like = state["row"], state["scale"], _like(job)
        if row["like"] is None:
            total = _for_sums(found, scale).total(BLOCK)
            row = {**row, "low": total.quantile(self._miss), "high": total.quantile(1 - self._miss), "like": like}
        elif row["like"] != like:
            first = self.estimator.predict(state["inner"], JobRecord(job.id, **row["like"]))
            duration = min(duration * first.mean / max(found.mean, LEAST_DURATION), LONGEST)
        row = {**row, "sum": row["sum"] + duration, "size": row["size"] + 1}
        if row["size"] < BLOCK:
            return scale, row
        missed = not row["low"] <= row["sum"] <= row["high"]
        scale += _SUM_STEP * (missed - 2 * self._miss)
        return min(max(scale, _NARROWEST), _WIDEST), {**_NO_ROW}

    @property
    def _miss(self) -> float:
        """The share of durations that may be beyond each bound."""
        return (1 - self.coverage) / 2

    @property
    def _usual_deviate(self) -> float:
        return -_NORMAL.inv_cdf(self._miss)

    def _deviates(self) -> list[float]:
        """Where quantiles are taken. Those beside the bounds are moved onto them, to have the bounds exactly."""
        count = max(_FEWEST_QUANTILES, math.ceil(0.5 / self._miss))
        deviates = [_NORMAL.inv_cdf((index + 0.5) / count) for index in range(count)]
        place = round(self._miss * count - 0.5, 9)
        for index in {math.floor(place), math.ceil(place)}:
            deviates[index], deviates[-1 - index] = -self._usual_deviate, self._usual_deviate
        return deviates


def _like(job: JobFacts) -> Like:
    return {"task": job.task, "key": job.key, "priority": job.priority, "cost": dict(job.cost)}


def _for_sums(found: Durations, scale: float) -> Durations:
    """The same mean, with the deviation of a sum of BLOCK durations multiplied by `exp(scale)`.

    What is too much is taken from the spread of the single durations, what is missing is an error of the mean.
    """
    own, common, factor = BLOCK * found.sd**2, (BLOCK * found.uncertainty) ** 2, math.exp(2 * scale)
    if scale > 0:
        least, most = ((BLOCK * found.mean * share) ** 2 for share in (_LEAST_DEVIATION, _MOST_DEVIATION))
        extra = min((own + common + least) * (factor - 1), max(most - own - common, 0.0))
        return Durations(found.mean, found.sd, min(math.sqrt(common + extra) / BLOCK, LONGEST))
    sd = math.sqrt(max((own + common) * factor - common, own * math.exp(2 * _NARROWEST)) / BLOCK)
    return Durations(found.mean, sd, found.uncertainty)


def _at(found: Durations, deviate: float) -> float:
    """The quantile at a normal deviate, of any size; it rises with the deviate from 1e-9 to 1e9 s."""
    asked = min(max(deviate, -_ASKED), _ASKED)
    stretch = min(_LEAST_SLOPE * asked + _STEEP * (deviate - asked), 100.0)
    value = max(found.quantile(_NORMAL.cdf(asked)), LEAST_DURATION) * math.exp(stretch)
    return min(max(value, LEAST_DURATION), LONGEST)
