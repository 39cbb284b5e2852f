"""The moving average, and what all estimators have in common: how sure they are, and that it comes true."""

from __future__ import annotations

import math
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import Outcome, OutcomeKind
from pacer.estimators import ByCost, Calibrated, MovingAverage, PerKind, StreamingQuantile, WindowedQuantile
from pacer.protocols import Durations
from pacer.testing import SampleJob

JOB = SampleJob(cost={"tokens": 100.0})
SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
durations = st.lists(st.floats(0, 1e4), min_size=1, max_size=60)
ALL = [
    MovingAverage(),
    MovingAverage(weight=0.05),
    WindowedQuantile(),
    StreamingQuantile(),
    ByCost(),
    PerKind(WindowedQuantile()),
    Calibrated(WindowedQuantile()),
    Calibrated(MovingAverage()),
]
each = pytest.mark.parametrize("estimator", ALL, ids=str)


def learned(estimator, seconds, state=None):
    state = estimator.initial_state() if state is None else state
    for duration in seconds:
        state = estimator.observed(state, JOB, duration, SUCCESS)
    return state


def found(estimator, seconds):
    return estimator.predict(learned(estimator, seconds), JOB)


def lognormal(count, sigma, seed=3):
    random = Random(seed)
    return [random.lognormvariate(0, sigma) for _ in range(count)]


def coverage(estimator, seconds, counts, warm=50, every=3):
    """The share of sums of the next so many durations that were within their 80 % interval."""
    sums, state, inside = [0.0, *accumulate(seconds)], estimator.initial_state(), {count: [] for count in counts}
    for index, duration in enumerate(seconds):
        if index >= warm and index % every == 0:
            one = estimator.predict(state, JOB)
            for count in counts:
                if index + count < len(sums):
                    total = one if count == 1 else one.total(count)
                    actual = sums[index + count] - sums[index]
                    inside[count].append(total.quantile(0.1) <= actual <= total.quantile(0.9))
        state = estimator.observed(state, JOB, duration, SUCCESS)
    return {count: sum(answers) / len(answers) for count, answers in inside.items()}


# -- the moving average ----------------------------------------------------------------------------------------------


@given(durations)
def test_it_is_the_reference_average_to_the_last_bit(seconds):
    """The reference computes `avg * 0.8 + duration * 0.2` from 60 on."""
    average = 60.0
    for duration in seconds:
        average = average * 0.8 + duration * 0.2
    estimator = MovingAverage(initial=60, weight=0.2)
    assert found(estimator, seconds).mean == average


def test_the_first_steps_from_sixty():
    estimator = MovingAverage()
    means = [learned(estimator, [10.0] * count)["mean"] for count in range(4)]
    assert means == pytest.approx([60, 50, 42, 35.6], abs=1e-12)


def test_its_spread_is_the_one_that_its_means_had():
    """Mean square of `duration / mean - 1`, freed of the mean's own error, at first with rising weights."""
    estimator, seconds = MovingAverage(initial=10, weight=0.5), [20.0, 5.0, 10.0]
    spread, mean = 1.0, 10.0
    for number, duration in enumerate(seconds):
        spread += 2 / (number + 3) * ((duration / mean - 1) ** 2 * 3 / 4 - spread)
        mean = (mean + duration) / 2
    one = found(estimator, seconds)
    assert (one.mean, one.sd) == (mean, pytest.approx(mean * math.sqrt(spread)))
    assert one.quantiles == ()


@pytest.mark.parametrize("weight", [0.05, 0.2, 1.0])
def test_while_nothing_moves_the_uncertainty_is_that_of_an_exponential_average(weight):
    """sqrt(w / (2 - w)) standard deviations, and what is left of the prior; with weight 1 as much as one job."""
    estimator = MovingAverage(weight=weight)
    one = found(estimator, [30.0, 40.0] * 8)
    prior = 60 * (1 - weight) ** 16
    assert one.uncertainty == pytest.approx(math.hypot(one.sd * math.sqrt(weight / (2 - weight)), prior))


# -- all of them -----------------------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("kind", [kind for kind in OutcomeKind if kind is not OutcomeKind.SUCCEEDED])
def test_only_successes_teach(estimator, kind):
    for state in (estimator.initial_state(), learned(estimator, [3.0, 4.0, 5.0])):
        after = estimator.observed(state, JOB, 1.0, Outcome(kind))
        assert estimator.predict(after, JOB) == estimator.predict(state, JOB)


@each
def test_before_any_job_has_run_the_interval_is_wide(estimator):
    one = estimator.predict(estimator.initial_state(), JOB)
    assert (one.mean, one.sd) == (60, 60)
    assert one.uncertainty >= 60
    assert one.quantile(0.1) < 20
    assert one.quantile(0.9) > 110


@each
def test_after_one_job_the_interval_is_wide_still(estimator):
    one = found(estimator, [20.0])
    assert 20 <= one.mean < 60
    assert one.quantile(0.1) < 20
    assert one.quantile(0.9) > 40


@each
@given(seconds=durations)
def test_quantiles_rise_and_no_deviation_is_negative(estimator, seconds):
    one = found(estimator, seconds)
    assert one.mean >= 0
    assert 0 <= one.sd < math.inf
    assert 0 <= one.uncertainty < math.inf
    assert 0 <= one.quantile(0.1) <= one.quantile(0.5) <= one.quantile(0.9) < math.inf


@each
def test_steady_durations_make_it_sure(estimator):
    one = found(estimator, [30.0] * 2000)
    assert one.mean == pytest.approx(30, rel=0.001)
    assert one.quantile(0.9) - one.quantile(0.1) < 1
    assert one.uncertainty < 1
    assert one.total(50).quantile(0.9) < 1600


@each
@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0])
def test_the_next_duration_and_sums_of_the_next_ones_are_within_their_intervals(estimator, sigma):
    """Of independent durations: 80 %, of single ones and of sums, and rather more than less."""
    for count, share in coverage(estimator, lognormal(4000, sigma), (1, 5, 20, 50)).items():
        assert 0.73 < share < 0.95, count


@each
def test_sums_are_within_their_intervals_when_the_mean_wanders(estimator):
    """The sums share an error that no sample shows: that the durations to come are of another mean."""
    random, level, seconds = Random(5), 0.0, []
    for _ in range(4000):
        level = 0.99 * level + random.gauss(0, 0.05)
        seconds.append(math.exp(level + random.gauss(0, 0.3)))
    for count, share in coverage(estimator, seconds, (5, 20)).items():
        assert 0.7 < share < 0.97, count
    state = learned(estimator, seconds)
    blind = Durations(*(getattr(estimator.predict(state, JOB), name) for name in ("mean", "sd")))
    assert blind.total(50).quantile(0.9) < estimator.predict(state, JOB).total(50).quantile(0.9)


@each
def test_sums_stay_within_their_intervals_when_the_level_shifts(estimator):
    """Every 400 jobs by a factor of up to 6."""
    random = Random(5)
    levels = [random.choice([1, 2, 3, 6]) for _ in range(10)]
    seconds = [levels[index // 400] * duration for index, duration in enumerate(lognormal(4000, 0.5))]
    shares = coverage(estimator, seconds, (1, 20, 50))
    assert min(shares.values()) > 0.7


@each
def test_after_a_shift_the_mean_is_the_new_one_in_the_end(estimator):
    state = learned(estimator, lognormal(500, 0.3))
    state = learned(estimator, [10 * duration for duration in lognormal(1500, 0.3)], state)
    assert estimator.predict(state, JOB).mean == pytest.approx(10 * math.exp(0.045), rel=0.2)


@each
def test_one_monster_among_thousands_does_not_spoil_it_for_ever(estimator):
    """An hour among seconds: within some hundred jobs the interval of single jobs is of seconds again."""
    usual = lognormal(3000, 0.3)
    before = found(estimator, usual[:1000])
    after = found(estimator, [*usual[:1000], 3600.0, *usual[1000:]])
    assert after.mean == pytest.approx(before.mean, rel=0.2)
    assert after.quantile(0.9) < 3 * before.quantile(0.9)


@each
def test_thousands_of_jobs_of_no_length_leave_it_usable(estimator):
    one = found(estimator, [5.0] * 50 + [0.0] * 3000)
    assert 0 <= one.mean < 1e-3
    assert 0 <= one.quantile(0.9) < 1
    again = found(estimator, [0.0] * 3000 + [5.0] * 3000)
    assert again.mean == pytest.approx(5, rel=0.01)
    assert again.quantile(0.9) < 10
