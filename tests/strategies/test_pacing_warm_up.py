"""WarmUp: the formula of Guava's SmoothWarmingUp."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing_runs import EPOCHS, Work, most_in_half_open_window, play, starts, works

from pacer.pacing import WarmUp
from pacer.testing import SampleJob

JOB = SampleJob()


def gaps(found):
    return [later - earlier for earlier, later in pairwise(found)]


def test_the_curve_of_the_published_example():
    """5 a second, warm in 5 s: 0.6 s when cold, 0.2 s from 12.5 of 25 stored permits down; five cost 2.6 s."""
    policy = WarmUp(5, seconds=5)
    assert (policy.interval, policy.threshold, policy.most) == pytest.approx((0.2, 12.5, 25.0))
    state = policy.started(policy.initial_state(), 100.0, SampleJob(cost={"requests": 5.0}), 0)
    assert state == pytest.approx([102.6, 20.0])


@pytest.mark.parametrize(
    ("policy", "cold", "idle"),
    [
        (WarmUp(2, seconds=4), [1.38, 1.13, 0.88, 0.63, 0.5, 0.5, 0.5], 2.0),
        (WarmUp(5, seconds=4, cold_factor=10), [1.75, 1.26, 0.76, 0.3, 0.2, 0.2, 0.2], 1.0),
    ],
)
def test_the_published_sequences_from_cold_to_warm_and_after_idle_time(policy, cold, idle):
    """Eight starts as fast as they may; idle until cold, the same again; idle for less, and it is still warm."""
    eight = [Work() for _ in range(8)]
    warm = policy.interval
    jobs = [*eight, Work(gap=1000.0), *eight[1:]]
    found = starts(policy, jobs)
    assert gaps(found[:8]) == pytest.approx(cold, abs=0.006)
    assert gaps(found[8:]) == pytest.approx(cold, abs=0.006)
    jobs = [*eight, Work(gap=found[7] + warm + idle), *eight[1:]]
    assert gaps(starts(policy, jobs)[8:]) == pytest.approx([warm] * 7)


def test_what_a_start_costs_delays_the_next_one():
    policy = WarmUp(1, seconds=1, cold_factor=1)
    found = starts(policy, [Work(cost={"requests": 100.0}), Work(), Work()])
    assert found == pytest.approx([0, 100, 101])
    assert policy.started(None, 0.0, SampleJob(cost={"requests": 100.0}), 0) == pytest.approx([100, 0])


def test_the_reason_names_rate_and_warm_up():
    policy = WarmUp(5, seconds=5)
    when = policy.earliest([7.5, 3.0], 7.0, JOB, 0)
    assert (when.at, when.on_event, when.reason) == (7.5, False, "rate of 5 per 1 s with a warm-up of 5 s")


def test_a_job_that_costs_nothing_neither_waits_nor_warms():
    free = Work(cost={"requests": 0.0})
    policy = WarmUp(2, seconds=4)
    assert policy.started(None, 0.0, SampleJob(cost={"requests": 0.0}), 0) is None
    found = starts(policy, [free, Work(), free, free, Work(), free])
    assert found == pytest.approx([0, 0, 0, 0, 1.375, 1.375])


@given(
    rate=st.sampled_from([0.3, 1.0, 5.0, 100.0]),
    warm_up=st.sampled_from([1.0, 10.0, 60.0]),
    cold_factor=st.sampled_from([1.0, 1.5, 3.0, 10.0]),
    epoch=EPOCHS,
)
def test_from_cold_to_warm_it_takes_the_time_that_was_set(rate, warm_up, cold_factor, epoch):
    """The permits above the threshold cost `seconds` together, and each one after them the warm interval."""
    policy = WarmUp(rate, seconds=warm_up, cold_factor=cold_factor)
    state = policy.started(None, epoch, SampleJob(cost={"requests": policy.most - policy.threshold}), 0)
    assert state[0] - epoch == pytest.approx(warm_up, abs=1e-5)
    state = policy.started(state, state[0], JOB, 0)
    assert state[0] - epoch == pytest.approx(warm_up + policy.interval, abs=1e-5)


@given(
    rate=st.sampled_from([0.3, 1.0, 5.0]),
    warm_up=st.sampled_from([1.0, 10.0, 60.0]),
    cold_factor=st.sampled_from([1.0, 3.0]),
    epoch=EPOCHS,
    jobs=works(requests=st.sampled_from([0.0, 0.5, 1.0, 3.0])),
    window=st.floats(0.1, 100),
)
def test_no_start_comes_sooner_than_at_the_full_rate(rate, warm_up, cold_factor, epoch, jobs, window):
    policy = WarmUp(rate, seconds=warm_up, cold_factor=cold_factor)
    ran = [one for one in play(policy, jobs, epoch=epoch) if one.work.cost["requests"]]
    for one, other in pairwise(ran):
        assert other.start - one.start >= one.work.cost["requests"] * policy.interval - 1e-5
    most = most_in_half_open_window([(one.start, 1.0) for one in ran if one.work.cost["requests"] >= 1], window)
    assert most <= 1 + window / policy.interval + 1e-5
