"""Durations as distributions: quantiles, sums, and what is left of a running job; against simulation."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer.protocols import Durations

means = st.floats(1e-3, 1e5)
spreads = st.floats(0, 5)
CASES = [Durations(60, 60), Durations(60, 6), Durations(10, 25), Durations(0.5, 0.2)]


def samples(durations, count, seed=7):
    """Independent draws, by the textbook parameters of a log-normal with this mean and deviation."""
    sigma = math.sqrt(math.log(1 + (durations.sd / durations.mean) ** 2))
    mu = math.log(durations.mean) - sigma**2 / 2
    random = Random(seed)
    return [random.lognormvariate(mu, sigma) for _ in range(count)]


@pytest.mark.parametrize("durations", CASES)
def test_quantiles_are_those_of_a_lognormal_with_this_mean_and_deviation(durations):
    drawn = sorted(samples(durations, 40_000))
    for p in (0.1, 0.5, 0.9):
        assert durations.quantile(p) == pytest.approx(drawn[int(p * len(drawn))], rel=0.03)


@given(means, spreads)
def test_the_mean_is_the_area_under_the_quantiles(mean, spread):
    durations = Durations(mean, mean * min(spread, 1.0))
    steps = 2000
    area = fmean(durations.quantile((step + 0.5) / steps) for step in range(steps))
    assert area == pytest.approx(mean, rel=0.02)


@given(means)
def test_without_spread_every_quantile_is_the_mean(mean):
    durations = Durations(mean, 0.0)
    assert durations.quantile(0.01) == pytest.approx(mean)
    assert durations.quantile(0.99) == pytest.approx(mean)


def test_something_that_takes_no_time_takes_no_time():
    assert Durations(0.0, 0.0).quantile(0.9) == 0
    assert Durations(0.0, 0.0).remaining(5.0).mean == 0


def test_independent_deviations_add_as_squares_and_the_common_one_as_it_is():
    assert Durations(10, 3).total(16) == Durations(160, 12.0)
    assert Durations(10, 0, 3).total(16) == Durations(160, 48.0)
    assert Durations(10, 3, 4).total(1) == Durations(10, 5.0)


@pytest.mark.parametrize("durations", CASES)
@pytest.mark.parametrize("count", [3, 20])
def test_totals_against_simulation(durations, count):
    """Where the deviation is far above the mean, a sum of log-normals is less skewed than a log-normal."""
    close = 0.1 if durations.sd <= durations.mean else 0.3
    drawn = samples(durations, 8000 * count)
    sums = sorted(math.fsum(drawn[index : index + count]) for index in range(0, len(drawn), count))
    total = durations.total(count)
    assert total.mean == pytest.approx(fmean(sums), rel=0.05)
    assert total.sd == pytest.approx(pstdev(sums), rel=0.15)
    for p in (0.1, 0.9):
        assert total.quantile(p) == pytest.approx(sums[int(p * len(sums))], rel=close)


@pytest.mark.parametrize(
    ("durations", "share"),
    [(durations, share) for durations in CASES for share in (0.25, 1.0)] + [(CASES[0], 2.0), (CASES[2], 5.0)],
)
def test_what_is_left_against_simulation(durations, share):
    """Mean, deviation and quantiles of the rest of those that are still running."""
    elapsed = share * durations.quantile(0.5)
    left = sorted(drawn - elapsed for drawn in samples(durations, 200_000) if drawn > elapsed)
    found = durations.remaining(elapsed)
    expected = max(fmean(left), 0.05 * durations.mean)
    assert found.mean == pytest.approx(expected, rel=0.05)
    assert found.sd == pytest.approx(pstdev(left), rel=0.05 if durations.sd <= durations.mean else 0.25)
    for p in (0.1, 0.5, 0.9):
        quantile = durations.remaining_quantile(elapsed, p)
        assert quantile == pytest.approx(left[int(p * len(left))], rel=0.05, abs=0.01 * durations.mean)


@given(means, spreads, st.floats(0, 1e12))
def test_an_overdue_job_is_never_promised_to_end_at_once(mean, spread, elapsed):
    left = Durations(mean, mean * spread).remaining(elapsed)
    assert left.mean >= 0.05 * mean * (1 - 1e-9)
    assert left.sd >= 0
    assert math.isfinite(left.mean)
    assert math.isfinite(left.sd)
    low, high = (Durations(mean, mean * spread).remaining_quantile(elapsed, p) for p in (0.1, 0.9))
    assert 0 <= low <= high < math.inf


@given(means, spreads)
def test_of_a_job_that_has_just_started_all_is_left(mean, spread):
    durations = Durations(mean, mean * spread)
    assert durations.remaining(0.0) == durations
    assert durations.remaining(-5.0) == durations


def test_a_steady_job_counts_down():
    assert Durations(60, 0).remaining(20) == Durations(40, 0)
    assert Durations(60, 0).remaining_quantile(20, 0.9) == pytest.approx(40)
    assert Durations(60, 0).remaining(59) == Durations(3, 0)
    assert Durations(60, 0).remaining(1e6) == Durations(3, 0)


def test_far_beyond_everything_seen_as_much_is_expected_again():
    left = Durations(60, 6).remaining(3600)
    assert (left.mean, left.sd) == (3600, 3600)
    assert Durations(60, 6).remaining_quantile(3600, 0.5) == left.quantile(0.5)
