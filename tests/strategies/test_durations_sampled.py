"""Durations with the shape of a sample: quantiles, tails, and what is left of a running job; against the sample."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean, pstdev, stdev

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pacer.protocols import Durations

values = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=50)
levels = st.floats(1e-6, 1 - 1e-6)


def drawn(kind, count, seed=7):
    random = Random(seed)
    match kind:
        case "lognormal":
            return [random.lognormvariate(0, 1) for _ in range(count)]
        case "uniform":
            return [random.uniform(10, 50) for _ in range(count)]
        case "two humps":
            return [random.gauss(*random.choice([(5, 0.5), (60, 3)])) for _ in range(count)]
    raise AssertionError(kind)


KINDS = ["lognormal", "uniform", "two humps"]


def test_quantiles_stand_in_the_middle_of_equal_parts_and_are_joined_by_straight_lines():
    durations = Durations(2.5, 1.0, quantiles=(1.0, 2.0, 3.0, 4.0))
    assert [durations.quantile(p) for p in (0.125, 0.375, 0.625, 0.875)] == [1, 2, 3, 4]
    assert durations.quantile(0.5) == 2.5
    assert durations.quantile(0.25) == 1.5


def test_beyond_its_ends_it_goes_on_as_a_lognormal_distribution_would():
    """One quantile is the median, and all else comes from mean and deviation."""
    shape = Durations(10, 5)
    median = Durations(10, 5, quantiles=(shape.quantile(0.5),))
    for p in (0.001, 0.2, 0.5, 0.9, 0.999):
        assert median.quantile(p) == pytest.approx(shape.quantile(p))
    same = Durations(10, 5, quantiles=tuple(shape.quantile((i + 0.5) / 10) for i in range(10)))
    for p in (0.001, 0.05, 0.95, 0.999):
        assert same.quantile(p) == pytest.approx(shape.quantile(p))


@given(values, levels, levels)
def test_quantiles_rise_and_are_finite(seen, p, q):
    durations = Durations.of_sample(seen)
    low, high = sorted((p, q))
    assert 0 < durations.quantile(low) <= durations.quantile(high) * (1 + 1e-12) < math.inf


@given(st.floats(1e-3, 1e6), st.integers(1, 40), levels)
def test_a_sample_without_spread_is_a_point(value, count, p):
    assert Durations.of_sample([value] * count).quantile(p) == pytest.approx(value)


def test_a_sample_has_its_own_mean_and_deviation_unless_they_are_given():
    seen = [1.0, 2.0, 6.0]
    durations = Durations.of_sample(iter(seen), uncertainty=0.5)
    assert (durations.mean, durations.sd, durations.uncertainty) == (3.0, pytest.approx(stdev(seen)), 0.5)
    given_ones = Durations.of_sample(seen, mean=4.0, sd=9.0)
    assert (given_ones.mean, given_ones.sd) == (4.0, 9.0)
    assert Durations.of_sample([5.0]).sd == 0


def test_the_smallest_of_nine_is_the_quantile_at_a_tenth():
    """They divide what can come into 10 equally likely parts."""
    seen = [float(value) for value in (4, 1, 9, 3, 7, 2, 8, 6, 5)]
    durations = Durations.of_sample(seen)
    assert [durations.quantile(i / 10) for i in range(2, 9)] == pytest.approx([2, 3, 4, 5, 6, 7, 8])
    assert len(durations.quantiles) == 10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [9, 20, 100])
def test_the_next_duration_is_within_the_interval_as_often_as_it_says(kind, size):
    """Whatever the distribution; for samples too small to show a tenth, rather more often."""
    stream = drawn(kind, 4000 * (size + 1))
    inside = 0
    for start in range(0, len(stream), size + 1):
        durations = Durations.of_sample(stream[start : start + size])
        inside += durations.quantile(0.1) <= stream[start + size] <= durations.quantile(0.9)
    assert 0.77 < inside / 4000 < (0.83 if size > 9 else 0.97)


def test_no_values_are_no_sample():
    with pytest.raises(ValueError, match="no values"):
        Durations.of_sample([])


def test_durations_of_zero_do_not_stop_the_arithmetic():
    durations = Durations.of_sample([0.0] * 5 + [10.0] * 5)
    assert durations.quantile(0.1) == pytest.approx(0, abs=1e-6)
    assert math.isfinite(durations.quantile(0.999))
    assert durations.remaining(1.0).mean > 0
    zeros = Durations(1.0, 1.0, quantiles=(0.0, 0.0))
    assert zeros.quantile(0.01) == zeros.quantile(0.99) == 0
    assert zeros.remaining(3.0) == Durations(3.0, 3.0), "beyond everything"


def test_totals_are_those_of_mean_and_deviation():
    durations = Durations.of_sample([1.0, 2.0, 6.0], uncertainty=0.5)
    assert durations.total(9) == Durations(27.0, math.hypot(3 * durations.sd, 4.5))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.8])
def test_what_is_left_is_what_was_left_in_the_sample(kind, share):
    seen = sorted(drawn(kind, 20_000))
    durations = Durations.of_sample(seen)
    elapsed = seen[int(share * len(seen))]
    left = [value - elapsed for value in seen if value > elapsed]
    found = durations.remaining(elapsed)
    assert found.mean == pytest.approx(fmean(left), rel=0.01)
    assert found.sd == pytest.approx(pstdev(left), rel=0.05)
    for p in (0.1, 0.5, 0.9):
        assert durations.remaining_quantile(elapsed, p) == pytest.approx(left[int(p * len(left))], rel=0.01)


def test_of_a_distribution_with_two_humps_those_beyond_the_first_wait_for_the_second():
    """A log-normal distribution with this mean and deviation would expect the end much sooner."""
    durations = Durations.of_sample(drawn("two humps", 1000))
    lognormal = Durations(durations.mean, durations.sd)
    assert durations.remaining_quantile(10, 0.1) == pytest.approx(46, abs=1)
    assert lognormal.remaining_quantile(10, 0.1) < 10


@pytest.mark.parametrize("kind", KINDS)
def test_mean_and_quantiles_of_the_rest_are_of_one_distribution(kind):
    """Below the first, between, and beyond the last of the quantiles."""
    durations = Durations.of_sample(drawn(kind, 30))
    first, last = durations.quantiles[0], durations.quantiles[-1]
    steps = 4000
    for elapsed in (first / 2, first, (first + last) / 2, last, last * 1.05):
        area = fmean(durations.remaining_quantile(elapsed, (step + 0.5) / steps) for step in range(steps))
        assert max(area, 0.05 * durations.mean) == pytest.approx(durations.remaining(elapsed).mean, rel=0.03)


@given(values, st.floats(0, 1e12), levels, levels)
@example([3.0, 4.0], 5e-324, 0.5, 0.5)
def test_an_overdue_job_is_never_promised_to_end_at_once(seen, elapsed, p, q):
    durations = Durations.of_sample(seen)
    left = durations.remaining(elapsed)
    assert left.mean >= 0.05 * durations.mean * (1 - 1e-9)
    assert 0 <= left.sd < math.inf
    assert left.mean < math.inf
    low, high = sorted((p, q))
    assert durations.remaining_quantile(elapsed, low) >= 0
    slack = 1e-9 * (1 + elapsed)
    assert durations.remaining_quantile(elapsed, low) <= durations.remaining_quantile(elapsed, high) + slack < math.inf


@given(values, levels)
def test_of_a_job_that_has_just_started_all_is_left(seen, p):
    durations = Durations.of_sample(seen)
    assert durations.remaining(0.0) is durations
    assert durations.remaining_quantile(-1.0, p) == durations.quantile(p)


def test_far_beyond_everything_seen_as_much_is_expected_again():
    durations = Durations.of_sample(drawn("uniform", 100))
    left = durations.remaining(3600)
    assert (left.mean, left.sd) == (3600, 3600)
    assert durations.remaining_quantile(3600, 0.5) == left.quantile(0.5)
    steady = Durations.of_sample([30.0] * 10)
    assert steady.remaining(31).mean == 31
    assert steady.remaining(29).mean == pytest.approx(1.5), "never at once"
