"""ByCost: duration as a straight line over what a job is expected to use."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pacer import Outcome, OutcomeKind
from pacer.estimators import ByCost, MovingAverage
from pacer.testing import SampleJob

SUCCESS = Outcome(OutcomeKind.SUCCEEDED)


def job(tokens=None, **cost):
    return SampleJob(cost=cost if tokens is None else {"requests": 1, "tokens": tokens, **cost})


def learned(estimator, points, state=None):
    state = estimator.initial_state() if state is None else state
    for tokens, duration in points:
        state = estimator.observed(state, job(tokens), duration, SUCCESS)
    return state


def on_a_line(fixed, each, count=400, noise=0.0, seed=2):
    """Jobs of 10 to 1000 tokens."""
    random = Random(seed)
    sizes = [random.uniform(10, 1000) for _ in range(count)]
    return [(size, (fixed + each * size) * random.lognormvariate(-(noise**2) / 2, noise)) for size in sizes]


@pytest.mark.parametrize(("fixed", "each"), [(0.5, 0.03), (5.0, 0.0), (0.0, 0.1), (20.0, 0.01)])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_it_finds_the_line(fixed, each, noise):
    estimator = ByCost(weight=0.01)
    state = learned(estimator, on_a_line(fixed, each, noise=noise))
    for tokens in (10, 300, 1000):
        true = fixed + each * tokens
        close = 0.01 if noise == 0 else 0.12
        middle = fixed + each * 500
        assert estimator.predict(state, job(tokens)).mean == pytest.approx(true, rel=close, abs=close * middle)


@given(
    st.lists(st.tuples(st.floats(1, 100), st.floats(0.1, 100)), min_size=3, max_size=40),
    st.sampled_from([0.001, 0.05, 0.3]),
)
def test_it_is_weighted_least_squares(points, weight):
    """Mean, variance and covariance are the sums that they stand for."""
    weights: list[float] = []
    for number in range(len(points)):
        share = max(weight, 1 / (number + 1))
        weights = [old * (1 - share) for old in weights] + [share]
    line = learned(ByCost(weight=weight), points)["named"]
    cost = sum(w * x for w, (x, _) in zip(weights, points, strict=True))
    duration = sum(w * y for w, (_, y) in zip(weights, points, strict=True))
    assert (line["cost"], line["duration"]) == (pytest.approx(cost), pytest.approx(duration))
    covariance = sum(w * (x - cost) * (y - duration) for w, (x, y) in zip(weights, points, strict=True))
    variance = sum(w * (x - cost) ** 2 for w, (x, _) in zip(weights, points, strict=True))
    assert line["covariance"] == pytest.approx(covariance, rel=1e-6, abs=1e-6)
    assert line["cost_variance"] == pytest.approx(variance, rel=1e-6, abs=1e-6)


@given(
    st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e5)), min_size=1, max_size=40),
    st.floats(0, 1e7),
    st.floats(0, 1e7),
)
def test_neither_part_is_negative(points, one, other):
    """More cost never takes less time, nothing takes less than no time, and twice the cost at most twice the time."""
    estimator = ByCost()
    state = learned(estimator, points)
    less, more = sorted((one, other))
    assume(less > 0)
    shorter, longer = (estimator.predict(state, job(tokens)).mean for tokens in (less, more))
    slack = 1 + 1e-9
    assert 0 < shorter <= longer * slack
    if state["named"]["duration"] > 0:
        least = 1e-3 * state["named"]["duration"]
        assert longer <= max(shorter, least) * max(more / less, 1) * slack + 60 * 0.5 ** len(points)


def test_before_any_job_has_run_it_is_the_prior():
    one = ByCost(initial=30).predict(ByCost(initial=30).initial_state(), job(1e6))
    assert (one.mean, one.sd) == (30, 30)


def test_as_long_as_all_jobs_cost_the_same_nothing_is_known_of_others_and_it_says_so():
    """The truth may be anything from "cost does not matter" to "there is no fixed part"."""
    estimator = ByCost()
    state = learned(estimator, [(100.0, 10.0)] * 200)
    same, tenfold = (estimator.predict(state, job(tokens)) for tokens in (100, 1000))
    assert same.mean == pytest.approx(10)
    assert same.uncertainty < 0.1
    assert 10 < tenfold.mean < 100
    assert tenfold.uncertainty > 20
    assert tenfold.total(1).quantile(0.02) < 20
    assert tenfold.total(1).quantile(0.98) > 95


def test_the_farther_from_what_was_seen_the_less_sure():
    estimator = ByCost()
    state = learned(estimator, on_a_line(5, 0.02, noise=0.3))
    found = [estimator.predict(state, job(tokens)) for tokens in (500, 1000, 5000, 50_000)]
    relative = [one.uncertainty / one.mean for one in found]
    assert relative[0] < relative[1] < relative[2] < relative[3]


def test_rows_of_jobs_of_any_size_are_no_sign_of_a_moving_line():
    """Sums of them differ, but not from what the line says; when the line itself moves they do."""
    estimator, random = ByCost(), Random(6)

    def points(count, each):
        sizes = [10 ** random.uniform(1, 4) for _ in range(count)]
        return [(size, (1 + each * size) * random.lognormvariate(0, 0.3)) for size in sizes]

    state = learned(estimator, points(3000, 0.01))
    before = estimator.predict(state, job(3000))
    assert before.uncertainty < 0.1 * before.mean
    for each in (0.02, 0.01, 0.03, 0.01):
        state = learned(estimator, points(150, each), state)
    after = estimator.predict(state, job(3000))
    assert after.uncertainty > 0.2 * after.mean


def test_long_jobs_vary_more_than_short_ones():
    """In proportion to what is foretold for them."""
    estimator = ByCost()
    state = learned(estimator, on_a_line(0, 0.1, noise=0.3))
    small, large = (estimator.predict(state, job(tokens)) for tokens in (50, 500))
    assert small.sd / small.mean == pytest.approx(large.sd / large.mean)
    assert large.sd / large.mean == pytest.approx(0.3, rel=0.25)


def test_jobs_of_many_sizes_are_covered_and_narrowly():
    """Where sizes differ tenfold, a mean of all of them has to be several times as wide."""
    random, shares, widths = Random(4), {}, {}
    points = [(10 ** random.uniform(1, 3), random.lognormvariate(0, 0.3)) for _ in range(1500)]
    for estimator in (ByCost(), MovingAverage(weight=0.02)):
        state, inside, width = estimator.initial_state(), 0, 0.0
        for number, (tokens, factor) in enumerate(points):
            duration = (0.5 + 0.03 * tokens) * factor
            one = estimator.predict(state, job(tokens))
            if number >= 100:
                inside += one.quantile(0.1) <= duration <= one.quantile(0.9)
                width += one.quantile(0.9) - one.quantile(0.1)
            state = estimator.observed(state, job(tokens), duration, SUCCESS)
        shares[type(estimator)], widths[type(estimator)] = inside / 1400, width / 1400
    assert 0.75 < shares[ByCost] < 0.86
    assert widths[ByCost] < widths[MovingAverage] / 2


def test_it_learns_from_the_estimate_also_when_the_actual_cost_is_known():
    """The estimate is what will be known when the next duration has to be foretold."""
    estimator = ByCost()
    state = estimator.initial_state()
    for _ in range(200):
        for tokens in (100, 200):
            actual = Outcome(OutcomeKind.SUCCEEDED, cost={"tokens": 10 * tokens})
            state = estimator.observed(state, job(tokens), tokens / 10, actual)
    assert estimator.predict(state, job(150)).mean == pytest.approx(15, rel=0.01)


def test_jobs_that_do_not_name_the_dimension_are_foretold_by_the_likes_of_them():
    estimator = ByCost()
    state = learned(estimator, on_a_line(0.5, 0.03))
    before = estimator.predict(state, job(300))
    for _ in range(50):
        state = estimator.observed(state, job(requests=1), 7.0, SUCCESS)
    assert estimator.predict(state, job(requests=1)).mean == pytest.approx(7)
    assert estimator.predict(state, job(300)) == before


def test_before_a_job_without_the_dimension_has_run_it_is_foretold_by_the_mean_of_the_others():
    """And as unsure as these differ, instead of by a prior that is long refuted."""
    estimator = ByCost(initial=60)
    state = learned(estimator, on_a_line(1.0, 0.01))
    found = estimator.predict(state, job(requests=1))
    assert found.mean == pytest.approx(6, rel=0.1)
    assert 2 < found.uncertainty < 6
    state = estimator.observed(state, job(requests=1), 100.0, SUCCESS)
    assert estimator.predict(state, job(requests=1)).mean > 50


def test_another_dimension_begins_anew():
    state = learned(ByCost(dimension="tokens"), on_a_line(0.5, 0.03))
    other = ByCost(dimension="requests")
    assert other.predict(state, job(300)).mean == 60
    after = other.observed(state, job(300), 5.0, SUCCESS)
    assert (after["dimension"], after["named"]["count"]) == ("requests", 1)


def test_it_follows_an_upstream_that_becomes_slower_for_each_token():
    estimator = ByCost()
    state = learned(estimator, on_a_line(1, 0.01, noise=0.1))
    state = learned(estimator, on_a_line(1, 0.04, noise=0.1, count=300), state)
    assert estimator.predict(state, job(800)).mean == pytest.approx(33, rel=0.1)


@pytest.mark.parametrize("tokens", [0, 0.0, 1e300, -5.0])
def test_odd_costs_do_not_stop_it(tokens):
    estimator = ByCost()
    state = learned(estimator, [(tokens, 4.0), (100.0, 5.0), (tokens, 6.0)] * 10)
    for asked in (tokens, 0.0, 1e300):
        one = estimator.predict(state, job(asked))
        assert 0 < one.mean <= 1e9
        assert 0 <= one.quantile(0.1) <= one.quantile(0.9) < float("inf")
