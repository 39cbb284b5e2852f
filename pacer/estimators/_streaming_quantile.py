"""Quantiles of many durations in little space."""

from __future__ import annotations

import attrs
from typing_extensions import TypedDict

from pacer._job import Outcome, OutcomeKind
from pacer._validation import positive, seconds, share, whole
from pacer.estimators._sketch import Sketch, added, empty, quantiles
from pacer.estimators._track_record import (
    ENOUGH,
    TrackRecord,
    blank,
    came_true,
    faded,
    prior_share,
    spread_and_uncertainty,
)
from pacer.protocols import Durations, JobFacts

# More values would not change the quantiles that anybody asks for.
_MOST_VALUES = 100


class StreamingQuantileState(TypedDict):
    """A sketch of the durations, their mean in seconds, how many there were, and what came of their means."""

    sketch: Sketch
    mean: float
    count: int
    record: TrackRecord


def _fraction(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 < value < 1:
        msg = f"{type(instance).__name__}: {attribute.name} must be above 0 and below 1, got {value!r}"
        raise ValueError(msg)


@attrs.frozen
class StreamingQuantile:
    """Mean and quantiles of durations that count less the older they are; successes only.

    The quantiles come from a DDSketch (Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
    relative-error guarantees", 2019): durations are counted in buckets whose bounds grow by the factor
    `g = (1 + a) / (1 - a)`, a duration d in bucket `ceil(log(d) / log(g))`; bucket i stands for `2 * g**i / (g + 1)`.
    Each quantile is then within a share `a = accuracy` of the true one, whatever the durations. All weights are
    multiplied by `1 - w` before a duration is added with weight `w = max(weight, 1 / n)`, so the first ones count
    equally, and in the long run one that is k jobs old counts `(1 - weight)**k`. When there are more than `buckets`
    of them, the lowest two become one: the lowest quantiles suffer, not the high ones.

    Not P-square (Jain and Chlamtac 1985), which needs five numbers only: of 20 durations of its own example it finds a
    median of 4.44 where it is 2.43, it forgets nothing, and each quantile needs its own five.

    Mean, deviation and uncertainty are found as `WindowedQuantile` does, for `(2 - weight) / weight` durations.

    Not for short histories: below some hundred durations `WindowedQuantile` has them exactly, in less space. Not for
    jobs of different kinds or sizes in one queue (see `PerKind` and `ByCost`).

    State: two numbers for each bucket in use, and eleven more. Durations between 1 and 1000 s have at most 346 buckets
    at 1 %; 250 buckets are 7 kB, however many durations are remembered.

    Args:
        initial: Seconds that a job is taken to last before one has been seen, above 0; 60 by default.
        weight: Weight of the newest duration, above 0 and at most 1; 0.005 by default, which remembers about 400.
        accuracy: Relative error of a quantile, above 0 and below 1; 0.01 by default.
        buckets: The most buckets that are kept, 2 or more; 512 by default.
    """

    initial: float = attrs.field(default=60.0, converter=seconds, validator=positive)
    weight: float = attrs.field(default=0.005, validator=share)
    accuracy: float = attrs.field(default=0.01, validator=_fraction)
    buckets: int = attrs.field(default=512, validator=whole(2))

    def initial_state(self) -> StreamingQuantileState:
        """The prior."""
        return {"sketch": empty(self.accuracy), "mean": 0.0, "count": 0, "record": blank()}

    def observed(
        self, state: StreamingQuantileState, job: JobFacts, duration: float, outcome: Outcome
    ) -> StreamingQuantileState:
        """Learn from a success."""
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return state
        count = state["count"] + 1
        weight = max(self.weight, 1 / count)
        record = came_true(
            state["record"], self._mean(state), duration, self._effective(state), self._effective_in_the_end
        )
        return {
            "sketch": added(self._sketch(state), duration, weight, self.buckets),
            "mean": state["mean"] + weight * (duration - state["mean"]),
            "count": count,
            "record": record,
        }

    def predict(self, state: StreamingQuantileState, job: JobFacts) -> Durations:
        """The same for every job."""
        mean, effective = self._mean(state), self._effective(state)
        prior = self.initial * prior_share(state["count"])
        sd, uncertainty = spread_and_uncertainty(state["record"], mean, effective, prior)
        if state["count"] < ENOUGH:
            return Durations(mean, sd, uncertainty)
        values = quantiles(state["sketch"], min(state["count"], _MOST_VALUES))
        return Durations.of_sample(values, mean=mean, sd=sd, uncertainty=uncertainty)

    def _sketch(self, state: StreamingQuantileState) -> Sketch:
        """The sketch, begun anew if it was made with another accuracy: its buckets have other bounds."""
        sketch = state["sketch"]
        return sketch if sketch["accuracy"] == self.accuracy else empty(self.accuracy)

    def _mean(self, state: StreamingQuantileState) -> float:
        return faded(self.initial, state["mean"], state["count"])

    def _effective(self, state: StreamingQuantileState) -> float:
        return min(max(1, state["count"]), self._effective_in_the_end)

    @property
    def _effective_in_the_end(self) -> float:
        return (2 - self.weight) / self.weight
