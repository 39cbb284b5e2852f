"""Quantiles of the last durations."""

from __future__ import annotations

from statistics import fmean

import attrs
from typing_extensions import TypedDict

from pacer._job import Outcome, OutcomeKind
from pacer._validation import positive, seconds, whole
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


class WindowedQuantileState(TypedDict):
    """The last durations in seconds, oldest first, and what came of their means."""

    window: list[float]
    record: TrackRecord


@attrs.frozen
class WindowedQuantile:
    """The last `window` durations as they are: their mean, and their own quantiles; successes only.

    Of n durations the i-th smallest stands at the quantile `i / (n + 1)`: if their order says nothing, the next one
    does not exceed it with just that chance, whatever the distribution (see `Durations.of_sample`). Quantiles are used
    from 10 durations on; before, the distribution is taken as log-normal.

    The mean is the window's, blended with `initial`, whose share halves with each duration. Its uncertainty has three
    parts: the error of a mean of n durations; the share of `initial` in it; and that the mean moves while the window
    lags behind by half its length. The last is measured: by how much more than chance explains the means of 20
    durations in a row differed from what was foretold before them. The standard deviation is remembered ten times
    longer than the window, relative to the mean: of skewed durations, a window with a low mean has a low deviation too,
    and would be surest when it is most wrong.

    Before any job has run, `initial` is the expected duration, its standard deviation and its uncertainty.

    Not for jobs of different kinds or sizes in one queue, whose mixture it describes well but not which job is which
    (see `PerKind` and `ByCost`). Not for a queue that has to forget at once: a change is known in full after `window`
    jobs.

    State: `window` numbers, and eight of how far the mean has been off. It is written after each job: about 2 kB for
    100 durations. For thousands take `StreamingQuantile`.

    Args:
        initial: Seconds that a job is taken to last before one has been seen, above 0; 60 by default.
        window: How many durations are kept, 2 or more; 100 by default.
    """

    initial: float = attrs.field(default=60.0, converter=seconds, validator=positive)
    window: int = attrs.field(default=100, validator=whole(2))

    def initial_state(self) -> WindowedQuantileState:
        """The prior."""
        return {"window": [], "record": blank()}

    def observed(
        self, state: WindowedQuantileState, job: JobFacts, duration: float, outcome: Outcome
    ) -> WindowedQuantileState:
        """Learn from a success."""
        if outcome.kind is not OutcomeKind.SUCCEEDED:
            return state
        seen = state["window"]
        record = came_true(state["record"], self._mean(seen), duration, max(1, len(seen)), self.window)
        return {"window": [*seen, duration][-self.window :], "record": record}

    def predict(self, state: WindowedQuantileState, job: JobFacts) -> Durations:
        """The same for every job."""
        seen = state["window"]
        mean = self._mean(seen)
        prior = self.initial * prior_share(len(seen))
        sd, uncertainty = spread_and_uncertainty(state["record"], mean, max(1, len(seen)), prior)
        if len(seen) < min(ENOUGH, self.window):
            return Durations(mean, sd, uncertainty)
        return Durations.of_sample(seen, mean=mean, sd=sd, uncertainty=uncertainty)

    def _mean(self, seen: list[float]) -> float:
        return faded(self.initial, fmean(seen), len(seen)) if seen else self.initial
