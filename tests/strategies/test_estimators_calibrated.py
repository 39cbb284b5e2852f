"""Calibrated: intervals cover what they promise, on any sequence, even one made by somebody who knows them."""

from __future__ import annotations

import math
from random import Random
from statistics import NormalDist

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacer import Outcome, OutcomeKind
from pacer.estimators import ByCost, Calibrated, MovingAverage, StreamingQuantile, WindowedQuantile
from pacer.protocols import Durations
from pacer.testing import SampleJob

JOB = SampleJob()
SUCCESS = Outcome(OutcomeKind.SUCCEEDED)


@attrs.frozen
class Stubborn:
    """An estimator that learns nothing."""

    mean: float = 10.0
    sd: float = 1.0
    uncertainty: float = 0.0

    def initial_state(self):
        return 0

    def observed(self, state, job, duration, outcome):
        return state + 1

    def predict(self, state, job):
        return Durations(self.mean, self.sd, self.uncertainty)


def bounds(estimator, state):
    miss, one = (1 - estimator.coverage) / 2, estimator.predict(state, JOB)
    return one.quantile(miss), one.quantile(1 - miss)


def misses(estimator, choose, count):
    """How many durations were below and above their bounds; `choose(low, high, number)` knows what was promised."""
    state, below, above = estimator.initial_state(), 0, 0
    for number in range(count):
        low, high = bounds(estimator, state)
        duration = choose(low, high, number)
        below += duration < low * (1 - 1e-9)
        above += duration > high * (1 + 1e-9)
        state = estimator.observed(state, JOB, duration, SUCCESS)
    return below, above


def allowed(estimator, count):
    return ((1 - estimator.coverage) / 2) * count + (15 + estimator.step) / estimator.step


INNER = [
    Stubborn(),
    Stubborn(sd=0.0),
    Stubborn(mean=1e-9, sd=1e-9),
    Stubborn(mean=1e6, sd=1e6),
    MovingAverage(),
    WindowedQuantile(),
]
ADVERSARIES = {
    "just above": lambda low, high, number: min(high * 1.01, 1e9),
    "just below": lambda low, high, number: max(low / 1.01, 1e-9),
    "far above": lambda low, high, number: 1e9,
    "far below": lambda low, high, number: 1e-9,
    "to and fro": lambda low, high, number: (1e9, 1e-9)[number % 2],
    "in blocks": lambda low, high, number: (min(high * 2, 1e9), max(low / 2, 1e-9))[number // 100 % 2],
    "ever more": lambda low, high, number: min(1e-6 * 1.02**number, 1e9),
    "ever less": lambda low, high, number: max(1e6 / 1.02**number, 1e-9),
    "in the middle, then above": lambda low, high, number: (math.sqrt(low * high), min(high * 1.1, 1e9))[number >= 500],
}


@pytest.mark.parametrize("inner", INNER, ids=str)
@pytest.mark.parametrize("name", ADVERSARIES)
@pytest.mark.parametrize(("coverage", "step"), [(0.8, 0.1), (0.9, 0.5)])
def test_whoever_knows_the_bounds_cannot_make_them_miss_more_than_the_guarantee_allows(inner, name, coverage, step):
    estimator = Calibrated(inner, coverage, step=step)
    below, above = misses(estimator, ADVERSARIES[name], 1500)
    assert below <= allowed(estimator, 1500)
    assert above <= allowed(estimator, 1500)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(INNER), st.sampled_from([0.5, 0.8, 0.83, 0.95]), st.integers(300, 900))
def test_nor_can_any_mixture_of_such_sequences(seed, inner, coverage, count):
    random, kinds = Random(seed), list(ADVERSARIES.values())
    plan = [random.choice(kinds) for _ in range(count // 50 + 1)]
    estimator = Calibrated(inner, coverage, step=0.5)
    below, above = misses(estimator, lambda low, high, number: plan[number // 50](low, high, number), count)
    assert below <= allowed(estimator, count)
    assert above <= allowed(estimator, count)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=200), st.sampled_from(INNER))
def test_the_deviates_move_by_the_misses_and_stay_within_bounds(seconds, inner):
    """The identity that the guarantee rests on: l and h have moved by the step times the misses beyond the promise."""
    estimator = Calibrated(inner, step=0.7)
    state, below, above = estimator.initial_state(), 0, 0
    first = state
    for number, duration in enumerate(seconds, start=1):
        uncrossed = state["low"] <= state["high"]
        low, high = bounds(estimator, state)
        missed = (duration < low * (1 - 1e-9), duration > high * (1 + 1e-9))
        after = estimator.observed(state, JOB, duration, SUCCESS)
        moved = (after["low"] < state["low"], after["high"] > state["high"])
        if uncrossed and not any(math.isclose(duration, bound, rel_tol=1e-6) for bound in (low, high)):
            assert moved == missed
        assert missed <= moved, "what is published is at least as wide"
        below, above, state = below + moved[0], above + moved[1], after
        assert state["low"] == pytest.approx(first["low"] - 0.7 * (below - 0.1 * number), abs=1e-6)
        assert state["high"] == pytest.approx(first["high"] + 0.7 * (above - 0.1 * number), abs=1e-6)
        assert max(abs(state["low"]), abs(state["high"])) < 15


SHAPES = {
    "as foretold": lambda random: random.lognormvariate(math.log(10), 0.1),
    "three times wider": lambda random: random.lognormvariate(math.log(10), 0.3),
    "narrower": lambda random: random.lognormvariate(math.log(10), 0.03),
    "skewed": lambda random: 9.5 + random.expovariate(0.5),
    "elsewhere": lambda random: random.gauss(20, 2),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.83, 0.95])
def test_an_estimator_that_is_wrong_covers_what_it_promises_in_both_tails(shape, coverage):
    random, miss = Random(1), (1 - coverage) / 2
    estimator = Calibrated(Stubborn(), coverage, step=0.05)
    below, above = misses(estimator, lambda low, high, number: SHAPES[shape](random), 4000)
    assert above / 4000 == pytest.approx(miss, abs=0.02)
    if shape == "elsewhere":
        assert below / 4000 <= miss + 0.02, "a bound that is far too low is raised slowly"
    else:
        assert below / 4000 == pytest.approx(miss, abs=0.02)


def test_it_narrows_what_is_too_wide():
    random = Random(1)
    estimator = Calibrated(Stubborn(sd=10.0))
    state = estimator.initial_state()
    before = bounds(estimator, state)
    for _ in range(2000):
        state = estimator.observed(state, JOB, random.gauss(10, 0.5), SUCCESS)
    after = bounds(estimator, state)
    assert after[1] - after[0] < (before[1] - before[0]) / 5


@pytest.mark.parametrize("inner", [Stubborn(), MovingAverage(), WindowedQuantile()], ids=str)
@pytest.mark.parametrize("coverage", [0.3, 0.8, 0.83, 0.95, 0.99])
def test_at_first_the_bounds_are_those_of_the_inner_estimator(inner, coverage):
    estimator = Calibrated(inner, coverage)
    low, high = bounds(estimator, estimator.initial_state())
    one, miss = inner.predict(inner.initial_state(), JOB), (1 - coverage) / 2
    assert low == pytest.approx(one.quantile(miss), rel=0.03)
    assert high == pytest.approx(one.quantile(1 - miss), rel=0.03)


def test_the_other_quantiles_are_moved_in_proportion():
    estimator = Calibrated(Stubborn())
    usual = NormalDist().inv_cdf(0.9)
    state = {**estimator.initial_state(), "low": -2 * usual, "high": 2 * usual}
    inner, one = Stubborn().predict(0, JOB), estimator.predict(state, JOB)
    for p in (0.3, 0.5, 0.7):
        doubled = NormalDist().cdf(2 * NormalDist().inv_cdf(p))
        assert one.quantile(p) == pytest.approx(inner.quantile(doubled), rel=0.02)


def test_mean_and_state_of_the_inner_estimator_are_left_alone():
    inner = WindowedQuantile()
    estimator, random = Calibrated(inner), Random(1)
    state, alone = estimator.initial_state(), inner.initial_state()
    for _ in range(300):
        duration = random.lognormvariate(0, 1)
        state = estimator.observed(state, JOB, duration, SUCCESS)
        alone = inner.observed(alone, JOB, duration, SUCCESS)
    assert state["inner"] == alone
    assert estimator.predict(state, JOB).mean == inner.predict(alone, JOB).mean


def test_failures_move_no_bound_but_the_inner_estimator_hears_of_them():
    estimator = Calibrated(Stubborn())
    state = estimator.observed(estimator.initial_state(), JOB, 1e6, Outcome(OutcomeKind.FAILED, error="no"))
    assert state == {**estimator.initial_state(), "inner": 1}


def sums_covered(estimator, draw, count=6000):
    state, promised, inside, total = estimator.initial_state(), None, [], 0.0
    for number in range(count):
        if number % 20 == 0:
            if promised is not None:
                inside.append(promised.quantile(0.1) <= total <= promised.quantile(0.9))
            promised, total = estimator.predict(state, JOB).total(20), 0.0
        duration = draw(number)
        total += duration
        state = estimator.observed(state, JOB, duration, SUCCESS)
    return sum(inside[50:]) / len(inside[50:]), estimator.predict(state, JOB)


def test_an_estimator_that_knows_no_uncertainty_is_taught_some():
    """Its mean is off by up to 40 %, in phases of 100 jobs: sums of 20 are, too."""
    random, levels = Random(3), [6, 10, 14, 8, 12]
    one = lambda number: levels[number // 100 % 5] * random.lognormvariate(0, 0.1)  # noqa: E731
    alone, _ = sums_covered(Stubborn(), one)
    share, found = sums_covered(Calibrated(Stubborn()), one)
    assert alone < 0.3
    assert share == pytest.approx(0.8, abs=0.12)
    assert found.uncertainty > 1.5
    assert found.sd == 1


def test_sums_that_are_steadier_than_foretold_become_narrower():
    random = Random(3)
    one = lambda number: random.gauss(10, 1)  # noqa: E731
    share, found = sums_covered(Calibrated(Stubborn(sd=2.5)), one)
    assert share == pytest.approx(0.8, abs=0.07)
    assert found.sd < 1.5


def test_sums_of_jobs_of_any_size_are_held_against_what_was_foretold_for_each():
    """A row that begins with a small job is no surprise when large ones follow."""
    estimator, random = Calibrated(ByCost()), Random(6)
    state = estimator.initial_state()
    for _ in range(4000):
        tokens = 10 ** random.uniform(1, 4)
        job = SampleJob(cost={"tokens": tokens})
        state = estimator.observed(state, job, 0.01 * tokens * random.lognormvariate(0, 0.3), SUCCESS)
    assert abs(state["scale"]) < 1
    assert estimator.predict(state, SampleJob(cost={"tokens": 1000})).uncertainty < 3


@pytest.mark.parametrize("inner", [MovingAverage(), StreamingQuantile()], ids=str)
def test_around_an_honest_estimator_little_changes(inner):
    random = Random(8)
    one = lambda number: random.lognormvariate(0, 0.5)  # noqa: E731
    share, found = sums_covered(Calibrated(inner), one)
    assert share == pytest.approx(0.8, abs=0.07)
    assert 0.7 < found.mean < 1.8
    assert found.mean < found.quantile(0.9) < 3 * found.mean
