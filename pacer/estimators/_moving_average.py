"""An exponentially weighted mean, and how far it has been off."""

from __future__ import annotations

import attrs
from typing_extensions import TypedDict

from pacer._job import Outcome, OutcomeKind
from pacer._validation import positive, seconds, share
from pacer.estimators._track_record import TrackRecord, blank, came_true, spread_and_uncertainty
from pacer.protocols import Durations, JobFacts

# After so many times the durations that the mean stands for, the prior's share of it is a hundredth.
_SETTLED = 2.3


class MovingAverageState(TypedDict):
    """Mean in seconds, and what came of the means before it."""

    mean: float
    record: TrackRecord


@attrs.frozen
class MovingAverage:
    """Recent durations count more than old ones; successes only.

    Formula, for a duration d and `w = weight`: `mean += w * (d - mean)`, which for w = 0.2 is `0.8 * mean + 0.2 * d`.
    Such a mean stands for `n = (2 - w) / w` durations, 9 for w = 0.2.

    The spread is remembered ten times longer than the mean, and relative to it: with r the running mean of
    `(d / mean - 1)**2`, over the means as they were foretold, the standard deviation of one duration is
    `mean * sqrt(r)`. The uncertainty of the mean is `mean * sqrt(r / n + m)`, where m says how far the mean moves: by
    how much more than chance explains the means of 20 durations in a row differed from what was foretold before them.
    What is left of `initial` in the mean, `(1 - w)**k` of it after k durations, is an error of that size too.

    Before any job has run, `initial` is the expected duration, its standard deviation and its uncertainty.

    Not for jobs of very different kinds in one queue: their mean describes none of them (see `PerKind` and `ByCost`).
    Not where the duration of one job has to be foretold well: the distribution is taken as log-normal, and the mean of
    the last few durations is a noisy one; `WindowedQuantile` does better on both.

    State: the mean, and eight numbers of how far it has been off.

    Args:
        initial: Seconds that a job is taken to last before one has been seen, above 0; 60 by default.
        weight: Weight of the newest duration, above 0 and at most 1; 0.2 by default.
    """

    initial: float = attrs.field(default=60.0, converter=seconds, validator=positive)
    weight: float = attrs.field(default=0.2, validator=share)

    def initial_state(self) -> MovingAverageState:
        """The prior."""
        return {"mean": self.initial, "record": blank()}

    def observed(
        self, state: MovingAverageState, job: JobFacts, duration: float, outcome: Outcome
    ) -> MovingAverageState:
        """Learn from a success."""
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return state
        mean, weight, effective = state["mean"], self.weight, self._effective
        return {
            "mean": mean * (1 - weight) + duration * weight,
            "record": came_true(state["record"], mean, duration, effective, effective, _SETTLED * effective),
        }

    def predict(self, state: MovingAverageState, job: JobFacts) -> Durations:
        """The same for every job."""
        prior = self.initial * (1 - self.weight) ** state["record"]["seen"]
        sd, uncertainty = spread_and_uncertainty(state["record"], state["mean"], self._effective, prior)
        return Durations(state["mean"], sd, uncertainty)

    @property
    def _effective(self) -> float:
        return (2 - self.weight) / self.weight
