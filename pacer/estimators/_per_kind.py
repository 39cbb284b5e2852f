"""One estimate for each function."""

from __future__ import annotations

import math
from statistics import stdev
from typing import Any

import attrs
from typing_extensions import TypedDict

from pacer._durations import LEAST_DURATION
from pacer._job import Outcome, OutcomeKind
from pacer._validation import whole
from pacer.estimators._inner import an_estimator, beginning_with
from pacer.protocols import DurationEstimator, Durations, JobFacts

# Means of fewer kinds say nothing of how much kinds differ.
_FEW_KINDS = 3


class Kind(TypedDict):
    """What is known of one kind.

    `initial` is the mean of all kinds when it was first seen, None if there was none or the estimator cannot begin with
    it; `last` counts all runs up to its latest.
    """

    state: Any
    initial: float | None
    mean: float
    last: int


class PerKindState(TypedDict):
    """The estimator's state for all jobs together and for each kind, and how many runs there were."""

    all: Any
    kinds: dict[str, Kind]
    seen: int


@attrs.frozen
class PerKind:
    """Another estimator, with one state for each task name, `job.task`.

    A new kind begins with what all kinds together have taught: its `initial` duration is their mean at that time, and
    it learns from there as the inner estimator does. An estimator without the setting `initial`, neither its own nor
    that of an estimator inside, begins with a copy of the state that has seen all jobs.

    A kind that has never run is foretold as the mixture of all kinds, with an uncertainty of the mean as large as the
    standard deviation between the kinds' means; while fewer than 3 kinds are known, as that of the durations
    themselves.

    When there are more than `kinds`, the one whose last run is the longest ago is forgotten.

    Not for jobs of one function that differ in size: see `ByCost`, which may be the inner estimator. Not for task names
    that are made up for each job, which nothing is ever learned for.

    State: that of the inner estimator, once for all jobs together and once for each kind, with three numbers each.

    Args:
        estimator: What learns, for each kind: `WindowedQuantile()`, for example.
        kinds: The most kinds that are kept, 1 or more; 100 by default.

    Raises:
        TypeError: If `estimator` is none.
    """

    estimator: DurationEstimator[Any] = attrs.field(validator=an_estimator)
    kinds: int = attrs.field(default=100, kw_only=True, validator=whole(1))

    def initial_state(self) -> PerKindState:
        """No kind is known."""
        return {"all": self.estimator.initial_state(), "kinds": {}, "seen": 0}

    def observed(self, state: PerKindState, job: JobFacts, duration: float, outcome: Outcome) -> PerKindState:
        """Learn for the job's kind, and for all. A kind begins with its first success."""
        kind = state["kinds"].get(job.task)
        if kind is None:
            if outcome.kind is not OutcomeKind.SUCCEEDED:
                return state
            kind = self._new_kind(state, job)
        estimator = self._estimator(kind)
        learned = estimator.observed(kind["state"], job, duration, outcome)
        seen = state["seen"] + 1
        kept = {
            **state["kinds"],
            job.task: Kind(
                state=learned, initial=kind["initial"], mean=estimator.predict(learned, job).mean, last=seen
            ),
        }
        if len(kept) > self.kinds:
            del kept[min(kept, key=lambda task: kept[task]["last"])]
        return {"all": self.estimator.observed(state["all"], job, duration, outcome), "kinds": kept, "seen": seen}

    def predict(self, state: PerKindState, job: JobFacts) -> Durations:
        """As jobs of its kind; for an unknown kind as all jobs, and unsure how it differs from them."""
        kind = state["kinds"].get(job.task)
        if kind is not None:
            return self._estimator(kind).predict(kind["state"], job)
        found = self.estimator.predict(state["all"], job)
        means = [other["mean"] for other in state["kinds"].values()]
        between = stdev(means) if len(means) >= _FEW_KINDS else found.sd
        return attrs.evolve(found, uncertainty=math.hypot(found.uncertainty, between))

    def _new_kind(self, state: PerKindState, job: JobFacts) -> Kind:
        mean = max(self.estimator.predict(state["all"], job).mean, LEAST_DURATION)
        begun = beginning_with(self.estimator, mean) if state["seen"] else None
        if begun is None:
            return Kind(state=state["all"], initial=None, mean=mean, last=0)
        return Kind(state=begun.initial_state(), initial=mean, mean=mean, last=0)

    def _estimator(self, kind: Kind) -> DurationEstimator[Any]:
        """The estimator as it is for this kind."""
        if kind["initial"] is None:
            return self.estimator
        return beginning_with(self.estimator, kind["initial"]) or self.estimator
