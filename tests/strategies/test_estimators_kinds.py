"""PerKind: one state for each function, and what a new one begins with."""

from __future__ import annotations

import json
import math
from random import Random
from statistics import stdev

import attrs
import pytest

from pacer import Outcome, OutcomeKind
from pacer.estimators import ByCost, Calibrated, MovingAverage, PerKind, WindowedQuantile
from pacer.protocols import Durations
from pacer.testing import SampleJob

SUCCESS, FAILURE = Outcome(OutcomeKind.SUCCEEDED), Outcome(OutcomeKind.FAILED, error="no")
LEVELS = {"title": 2.0, "summary": 20.0, "translation": 90.0}


def job(task, **fields):
    return SampleJob(task=task, **fields)


def mixed(count, seed=1):
    """Jobs of three functions in any order, with their durations."""
    random = Random(seed)
    tasks = [random.choice(list(LEVELS)) for _ in range(count)]
    return [(job(task), LEVELS[task] * random.lognormvariate(0, 0.2)) for task in tasks]


def learned(estimator, runs, state=None):
    state = estimator.initial_state() if state is None else state
    for one, duration in runs:
        state = estimator.observed(state, one, duration, SUCCESS)
    return state


@pytest.mark.parametrize(
    "inner", [MovingAverage(), WindowedQuantile(), Calibrated(WindowedQuantile()), ByCost()], ids=str
)
def test_each_kind_has_an_estimate_of_its_own(inner):
    estimator = PerKind(inner)
    state = learned(estimator, mixed(300))
    for task, level in LEVELS.items():
        one = estimator.predict(state, job(task))
        assert one.mean == pytest.approx(level, rel=0.25)
        assert one.quantile(0.9) < 2 * level


def test_what_one_kind_learns_is_what_the_inner_estimator_would_learn_of_it_alone():
    inner, runs = MovingAverage(), mixed(100)
    estimator = PerKind(inner)
    own = [(one, duration) for one, duration in runs if one.task == runs[0][0].task]
    found = estimator.predict(learned(estimator, runs), own[0][0])
    assert found == inner.predict(learned(inner, own), own[0][0]), "the very first kind begins with the prior"


def test_a_new_kind_begins_with_the_mean_of_all_and_not_with_the_prior():
    estimator = PerKind(MovingAverage(initial=600))
    state = learned(estimator, [(job("known"), 5.0)] * 200)
    first = learned(estimator, [(job("new"), 10.0)], state)
    assert estimator.predict(first, job("new")).mean == pytest.approx(0.8 * 5 + 0.2 * 10)
    fading = learned(estimator, [(job("new"), 10.0)] * 20, state)
    assert estimator.predict(fading, job("new")).mean == pytest.approx(10, rel=0.01)


def test_a_kind_that_has_never_run_may_be_as_different_as_the_known_ones_are_from_each_other():
    estimator = PerKind(WindowedQuantile())
    state = learned(estimator, mixed(300))
    one = estimator.predict(state, job("poem"))
    everything = WindowedQuantile().predict(state["all"], job("poem"))
    means = [estimator.predict(state, job(task)).mean for task in LEVELS]
    assert (one.mean, one.quantiles) == (everything.mean, everything.quantiles)
    assert one.uncertainty == pytest.approx(math.hypot(everything.uncertainty, stdev(means)))


def test_while_few_kinds_are_known_a_new_one_may_be_anything():
    estimator = PerKind(WindowedQuantile())
    state = learned(estimator, [(job("known"), 5.0), (job("known"), 9.0)] * 20)
    one = estimator.predict(state, job("new"))
    assert one.uncertainty >= one.sd


def test_the_kind_whose_last_run_is_the_longest_ago_is_forgotten():
    estimator = PerKind(MovingAverage(), kinds=2)
    state = learned(estimator, [(job("a"), 1.0), (job("b"), 2.0), (job("a"), 1.0), (job("c"), 3.0)])
    assert set(state["kinds"]) == {"a", "c"}
    state = learned(estimator, [(job(f"made-up-{number}"), 1.0) for number in range(100)], state)
    assert set(state["kinds"]) == {"made-up-98", "made-up-99"}
    assert len(json.dumps(state)) < 1500


def test_a_kind_begins_with_its_first_success():
    estimator = PerKind(MovingAverage())
    state = estimator.initial_state()
    assert estimator.observed(state, job("a"), 9.0, FAILURE) == state


@attrs.frozen
class Longest:
    """An estimator with its own ideas: it learns from failures too, and has no `initial`."""

    def initial_state(self):
        return 1.0

    def observed(self, state, job, duration, outcome):
        return max(state, duration)

    def predict(self, state, job):
        return Durations(state, state / 2)


def test_an_estimator_that_cannot_be_told_what_to_begin_with_begins_with_what_all_have_taught():
    estimator = PerKind(Longest())
    state = learned(estimator, [(job("a"), 7.0)])
    state = learned(estimator, [(job("b"), 3.0)], state)
    assert estimator.predict(state, job("b")).mean == 7
    state = estimator.observed(state, job("a"), 50.0, FAILURE)
    assert (estimator.predict(state, job("a")).mean, estimator.predict(state, job("b")).mean) == (50, 7)


def test_an_estimator_inside_the_inner_one_is_told_too():
    estimator = PerKind(Calibrated(MovingAverage(initial=600)))
    state = learned(estimator, [(job("known"), 5.0)] * 100)
    state = learned(estimator, [(job("new"), 5.0)], state)
    assert estimator.predict(state, job("new")).mean == pytest.approx(5, rel=0.01)


def test_kinds_of_jobs_that_take_no_time_are_real():
    estimator = PerKind(MovingAverage())
    state = learned(estimator, [(job("a"), 0.0)] * 4000)
    state = learned(estimator, [(job("b"), 0.0)], state)
    assert 0 <= estimator.predict(state, job("b")).mean < 1e-6
