"""An exponentially weighted mean and variance."""

from __future__ import annotations

import math

import attrs
from typing_extensions import TypedDict

from pacer._job import Outcome, OutcomeKind
from pacer._validation import positive, seconds, share
from pacer.protocols import Durations, JobFacts


class MovingAverageState(TypedDict):
    """Mean in seconds, variance in seconds squared, and how many durations have been seen."""

    mean: float
    variance: float
    count: int


@attrs.frozen
class MovingAverage:
    """Recent durations count more than old ones; successes only.

    Formulas, for a duration d and `w = weight`: `mean += w * (d - mean)`, which for w = 0.2 is
    `0.8 * mean + 0.2 * d`; `variance = (1 - w) * (variance + w * (d - mean)**2)` with the mean from before
    (West 1979 with constant weight). The uncertainty of the mean itself is `sqrt(w / (2 - w))` standard deviations.

    Before any job has run, `initial` is both the expected duration and its standard deviation: a wide interval.

    Not for jobs of very different kinds in one queue: their mean describes none of them.

    State: mean, variance, count.

    Args:
        initial: Seconds that a job is taken to last before one has been seen, above 0; 60 by default.
        weight: Weight of the newest duration, above 0 and at most 1; 0.2 by default.
    """

    initial: float = attrs.field(default=60.0, converter=seconds, validator=positive)
    weight: float = attrs.field(default=0.2, validator=share)

    def initial_state(self) -> MovingAverageState:
        """The prior."""
        return {"mean": self.initial, "variance": self.initial**2, "count": 0}

    def observed(
        self, state: MovingAverageState, job: JobFacts, duration: float, outcome: Outcome
    ) -> MovingAverageState:
        """Learn from a success."""
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return state
        off = duration - state["mean"]
        return {
            "mean": state["mean"] * (1 - self.weight) + duration * self.weight,
            "variance": (1 - self.weight) * (state["variance"] + self.weight * off * off),
            "count": state["count"] + 1,
        }

    def predict(self, state: MovingAverageState, job: JobFacts) -> Durations:
        """The same for every job."""
        sd = math.sqrt(state["variance"])
        return Durations(state["mean"], sd, sd * math.sqrt(self.weight / (2 - self.weight)))
