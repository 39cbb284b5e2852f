"""The moving average: what it learns, and how sure it is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import Outcome, OutcomeKind
from pacer.estimators import MovingAverage
from pacer.testing import SampleJob

JOB = SampleJob()
SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
durations = st.lists(st.floats(0, 1e4), min_size=1, max_size=60)


def learned(estimator, seconds):
    state = estimator.initial_state()
    for duration in seconds:
        state = estimator.observed(state, JOB, duration, SUCCESS)
    return state


@given(durations)
def test_it_is_the_reference_average_to_the_last_bit(seconds):
    """The reference computes `avg * 0.8 + duration * 0.2` from 60 on."""
    average = 60.0
    for duration in seconds:
        average = average * 0.8 + duration * 0.2
    estimator = MovingAverage(initial=60, weight=0.2)
    assert estimator.predict(learned(estimator, seconds), JOB).mean == average


def test_the_first_steps_from_sixty():
    estimator = MovingAverage()
    means = [learned(estimator, [10.0] * count)["mean"] for count in range(4)]
    assert means == pytest.approx([60, 50, 42, 35.6], abs=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in OutcomeKind if kind is not OutcomeKind.SUCCEEDED])
def test_only_successes_teach(kind):
    estimator = MovingAverage()
    state = estimator.observed(estimator.initial_state(), JOB, 1.0, Outcome(kind))
    assert state == estimator.initial_state()


def test_before_any_job_has_run_the_interval_is_wide():
    found = MovingAverage(initial=60).predict(MovingAverage(initial=60).initial_state(), JOB)
    assert (found.mean, found.sd) == (60, 60)
    assert found.quantile(0.1) < 20
    assert found.quantile(0.9) > 110


@given(durations, st.floats(0.01, 1))
def test_mean_and_spread_are_those_of_the_weighted_sample(seconds, weight):
    """The recursion equals the sums it stands for: weights w(1-w)^k, and (1-w)^n on the prior."""
    estimator = MovingAverage(initial=60, weight=weight)
    state = learned(estimator, seconds)
    count = len(seconds)
    weights = [weight * (1 - weight) ** (count - 1 - index) for index in range(count)]
    prior = (1 - weight) ** count
    mean = prior * 60 + math.fsum(w * x for w, x in zip(weights, seconds, strict=True))
    variance = prior * (60**2 + (60 - mean) ** 2)
    variance += math.fsum(w * (x - mean) ** 2 for w, x in zip(weights, seconds, strict=True))
    assert state["mean"] == pytest.approx(mean, rel=1e-6, abs=1e-6)
    assert state["variance"] == pytest.approx(variance, rel=1e-6, abs=1e-3)
    assert state["count"] == count


@given(durations)
def test_quantiles_surround_the_median_and_the_spread_is_never_negative(seconds):
    estimator = MovingAverage()
    found = estimator.predict(learned(estimator, seconds), JOB)
    assert found.sd >= 0
    assert 0 <= found.quantile(0.1) <= found.quantile(0.5) <= found.quantile(0.9)


def test_steady_durations_make_it_sure():
    estimator = MovingAverage()
    found = estimator.predict(learned(estimator, [30.0] * 100), JOB)
    assert found.mean == pytest.approx(30)
    assert found.quantile(0.9) - found.quantile(0.1) < 0.1


@pytest.mark.parametrize("weight", [0.05, 0.2, 1.0])
def test_the_uncertainty_of_the_mean_is_that_of_an_exponential_average(weight):
    """sqrt(w / (2 - w)) standard deviations; with weight 1 the mean is as uncertain as one job."""
    estimator = MovingAverage(weight=weight)
    found = estimator.predict({"mean": 10.0, "variance": 4.0, "count": 9}, JOB)
    assert found.sd == 2
    assert found.uncertainty == pytest.approx(2 * math.sqrt(weight / (2 - weight)))
