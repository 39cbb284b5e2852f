"""Windowed and streaming quantiles: which durations count, how much, and how exactly they are remembered."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from itertools import accumulate
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import Outcome, OutcomeKind
from pacer.estimators import StreamingQuantile, WindowedQuantile
from pacer.estimators._sketch import added, empty, quantiles
from pacer.protocols import Durations
from pacer.testing import SampleJob

JOB = SampleJob()
SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
durations = st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=80)


def learned(estimator, seconds):
    state = estimator.initial_state()
    for duration in seconds:
        state = estimator.observed(state, JOB, duration, SUCCESS)
    return state


def found(estimator, seconds):
    return estimator.predict(learned(estimator, seconds), JOB)


def lognormal(count, sigma=1.0, seed=3):
    random = Random(seed)
    return [random.lognormvariate(0, sigma) for _ in range(count)]


# -- the window ------------------------------------------------------------------------------------------------------


def test_the_window_holds_the_last_durations():
    state = learned(WindowedQuantile(window=3), [1.0, 2.0, 3.0, 4.0, 5.0])
    assert state["window"] == [3, 4, 5]


def test_its_mean_and_quantiles_are_those_of_the_window():
    seconds = lognormal(300)
    one = found(WindowedQuantile(window=100), seconds)
    assert one.mean == pytest.approx(fmean(seconds[-100:]))
    assert one.quantiles == Durations.of_sample(seconds[-100:], mean=one.mean, sd=one.sd).quantiles


def test_the_share_of_the_prior_halves_with_each_duration():
    means = [found(WindowedQuantile(initial=60), [20.0] * count).mean for count in range(4)]
    assert means == [60, 40, 30, 25]


def test_few_durations_are_taken_as_log_normal():
    assert found(WindowedQuantile(), lognormal(9)).quantiles == ()
    assert len(found(WindowedQuantile(), lognormal(10)).quantiles) == 11
    assert len(found(WindowedQuantile(window=4), lognormal(4)).quantiles) == 5


def test_a_smaller_window_takes_over_what_a_larger_one_has_learned():
    state = learned(WindowedQuantile(window=50), [float(second) for second in range(1, 51)])
    after = WindowedQuantile(window=5).observed(state, JOB, 51.0, SUCCESS)
    assert after["window"] == [47, 48, 49, 50, 51]


def test_two_kinds_of_jobs_are_seen_as_two_humps():
    """Where a log-normal distribution would promise what never happens."""
    random = Random(1)
    one = found(WindowedQuantile(), [random.gauss(*random.choice([(5, 0.2), (60, 1)])) for _ in range(200)])
    assert one.quantile(0.4) < 6
    assert one.quantile(0.6) > 55
    assert one.remaining_quantile(10, 0.1) > 45


# -- the sketch ------------------------------------------------------------------------------------------------------


def true_quantile(values, weights, p):
    """The smallest value up to which a share p of the weight lies."""
    ordered = sorted(zip(values, weights, strict=True))
    sums = list(accumulate(weight for _, weight in ordered))
    return ordered[bisect_left(sums, p * sums[-1] * (1 - 1e-12))][0]


@given(durations, st.sampled_from([0.001, 0.01, 0.1]), st.sampled_from([0.02, 0.2, 1.0]))
def test_every_quantile_is_within_the_accuracy_of_the_true_one(seconds, accuracy, weight):
    """The published guarantee, with weights that fade too; a tie of ranks may fall to either side."""
    sketch, weights = empty(accuracy), []
    for number, value in enumerate(seconds):
        share = max(weight, 1 / (number + 1))
        weights = [old * (1 - share) for old in weights] + [share]
        sketch = added(sketch, value, share, 100_000)
    for index, quantile in enumerate(quantiles(sketch, 10)):
        p = (index + 0.5) / 10
        low, high = (true_quantile(seconds, weights, p + off) for off in (-1e-4, 1e-4))
        assert low * (1 - accuracy) * (1 - 1e-9) <= quantile <= high * (1 + accuracy) * (1 + 1e-9)


@given(durations, st.integers(2, 12))
def test_there_are_never_more_buckets_than_allowed_and_no_weight_is_lost(seconds, most):
    sketch = empty(0.01)
    for number, value in enumerate(seconds):
        sketch = added(sketch, value, 1 / (number + 1), most)
        assert len(sketch["buckets"]) <= most
        assert sketch["buckets"] == sorted(set(sketch["buckets"]))
        assert math.fsum(sketch["weights"]) == pytest.approx(1)


def test_too_few_buckets_spoil_the_low_quantiles_only():
    seconds = lognormal(2000)
    roomy, tight = empty(0.01), empty(0.01)
    for number, value in enumerate(seconds):
        roomy, tight = (
            added(sketch, value, 1 / (number + 1), most) for sketch, most in ((roomy, 10_000), (tight, 200))
        )
    exact, coarse = quantiles(roomy, 20), quantiles(tight, 20)
    assert coarse[8:] == exact[8:]
    assert coarse[0] > exact[0] * 1.2


def test_buckets_of_a_duration_of_nothing_and_of_a_very_long_one():
    sketch = added(added(empty(0.01), 0.0, 1.0, 10), 1e9, 0.5, 10)
    assert quantiles(sketch, 2) == pytest.approx([1e-9, 1e9], rel=0.01)


# -- the stream ------------------------------------------------------------------------------------------------------


def test_the_stream_knows_what_the_window_knows_within_its_accuracy():
    """As long as all durations count equally."""
    seconds = lognormal(100)
    windowed, streaming = found(WindowedQuantile(), seconds), found(StreamingQuantile(weight=0.001), seconds)
    assert streaming.mean == pytest.approx(windowed.mean)
    assert streaming.sd == pytest.approx(windowed.sd, rel=0.1)
    for p in (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95):
        assert streaming.quantile(p) == pytest.approx(windowed.quantile(p), rel=0.02)


def test_an_old_duration_counts_the_less_the_older_it_is():
    """The weight of the first phase is (1 - w)^n after n more."""
    weight, more = 0.01, 50
    state = learned(StreamingQuantile(weight=weight), [1.0] * 2000 + [9.0] * more)
    share = (1 - weight) ** more
    assert state["mean"] == pytest.approx(share * 1 + (1 - share) * 9)
    assert state["sketch"]["weights"] == pytest.approx([share, 1 - share], rel=1e-6)


def test_durations_that_weigh_nothing_any_more_leave_the_sketch():
    state = learned(StreamingQuantile(weight=0.1), [1.0] * 50 + [9.0] * 200)
    assert len(state["sketch"]["buckets"]) == 1


def test_its_state_stays_small_however_many_durations_there_are():
    sizes = [len(json.dumps(learned(StreamingQuantile(buckets=64), lognormal(count)))) for count in (1000, 6000)]
    assert max(sizes) < 3000


def test_with_another_accuracy_the_sketch_begins_anew_and_the_mean_goes_on():
    """Its buckets would be taken for others."""
    old = learned(StreamingQuantile(accuracy=0.05), [30.0] * 100)
    after = StreamingQuantile(accuracy=0.01).observed(old, JOB, 40.0, SUCCESS)
    assert after["sketch"]["accuracy"] == 0.01
    assert len(after["sketch"]["buckets"]) == 1
    one = StreamingQuantile(accuracy=0.01).predict(after, JOB)
    assert one.mean == pytest.approx(30 + 10 / 101)
    assert one.quantile(0.5) == pytest.approx(40, rel=0.02)
    assert StreamingQuantile(accuracy=0.01).predict(old, JOB).quantile(0.5) == pytest.approx(30, rel=0.06)
