"""Pacing policies: arithmetic on times."""

from __future__ import annotations

import math
from bisect import bisect_right
from fractions import Fraction

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import Outcome, OutcomeKind
from pacer.pacing import FixedPause, TokenBucket, Unpaced
from pacer.testing import SampleJob

JOB = SampleJob()
SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
EPOCHS = st.sampled_from([0.0, 1.0, 1e5, 1.7e9])


def job_at(now, cost=1.0):
    """A job that has become ready this very moment."""
    return SampleJob(cost={"requests": cost}, created_at=now, ready_at=now)


# -- Unpaced ---------------------------------------------------------------------------------------------------------


def test_unpaced_lets_everything_start_at_any_time():
    policy = Unpaced()
    state = policy.started(policy.initial_state(), 5.0, JOB, 0)
    assert policy.earliest(state, 5.0, JOB, 10_000).at <= 5.0
    state = policy.ended(state, 6.0, JOB, attrs.evolve(SUCCESS, hold=100), 0)
    assert policy.earliest(state, 6.0, JOB, 0).at <= 6.0


# -- FixedPause ------------------------------------------------------------------------------------------------------


def test_the_first_job_needs_no_pause():
    policy = FixedPause(10)
    assert policy.earliest(policy.initial_state(), 0.0, JOB, 0).at <= 0.0


@pytest.mark.parametrize("kind", list(OutcomeKind))
def test_the_pause_counts_from_the_end_however_the_job_ended(kind):
    policy = FixedPause(10)
    state = policy.started(policy.initial_state(), 100.0, JOB, 0)
    state = policy.ended(state, 107.5, JOB, Outcome(kind), 0)
    when = policy.earliest(state, 107.5, JOB, 0)
    assert (when.at, when.on_event, when.reason) == (117.5, False, "pause of 10 s after the last job")
    assert policy.earliest(state, 117.25, JOB, 0).at == 117.5
    assert policy.earliest(state, 117.5, JOB, 0).at <= 117.5


def test_a_hold_of_the_backoff_policy_comes_before_the_pause():
    """As in the reference queue: the backoff is slept first, and the pause on top."""
    policy = FixedPause(10)
    state = policy.ended(policy.initial_state(), 50.0, JOB, Outcome(OutcomeKind.FAILED, hold=15.0), 0)
    assert policy.earliest(state, 50.0, JOB, 0).at == 75.0


def test_of_parallel_jobs_the_last_end_counts():
    policy = FixedPause(10)
    state = policy.ended(policy.initial_state(), 20.0, JOB, SUCCESS, 1)
    state = policy.ended(state, 26.0, JOB, SUCCESS, 0)
    assert policy.earliest(state, 26.0, JOB, 0).at == 36.0
    state = policy.ended(state, 25.0, JOB, SUCCESS, 0)  # a clock that went back shortens no pause
    assert policy.earliest(state, 26.0, JOB, 0).at == 36.0


def test_a_pause_of_zero_is_no_pause():
    policy = FixedPause(0)
    state = policy.ended(policy.initial_state(), 20.0, JOB, SUCCESS, 0)
    assert policy.earliest(state, 20.0, JOB, 0).at <= 20.0


@given(
    pause=st.floats(0.001, 1000),
    durations=st.lists(st.floats(0, 100), min_size=1, max_size=40),
    window=st.floats(0, 5000),
    now=EPOCHS,
)
def test_one_job_at_a_time_never_exceeds_the_bound_of_a_pause(pause, durations, window, now):
    """A closed window of W seconds sees at most 1 + floor(W / pause) starts."""
    policy = FixedPause(pause)
    state, starts = policy.initial_state(), []
    for duration in durations:
        now = max(now, policy.earliest(state, now, JOB, 0).at)
        starts.append(now)
        state = policy.started(state, now, JOB, 0)
        now += duration
        state = policy.ended(state, now, JOB, SUCCESS, 0)
    most = most_in_window(starts, window)
    assert most <= 1 + math.floor(window / pause + 1e-3)


def most_in_window(starts, window):
    """The largest number of starts in any closed window of this length."""
    return max(bisect_right(starts, start + window) - index for index, start in enumerate(starts))


# -- TokenBucket -----------------------------------------------------------------------------------------------------

# now, cost -> remaining, seconds until full, seconds until this cost fits (-1: fits, or never will), refused.
# The published table for a limit of 5 with 1/s (throttled's rate_test.go; redis-cell has the same).
GCRA_TABLE = [
    (0.0, 6, 5, 0.0, -1, True),
    (0.0, 1, 4, 1.0, -1, False),
    (0.0, 1, 3, 2.0, -1, False),
    (0.0, 1, 2, 3.0, -1, False),
    (0.0, 1, 1, 4.0, -1, False),
    (0.0, 1, 0, 5.0, -1, False),
    (0.0, 1, 0, 5.0, 1.0, True),
    (3.0, 1, 2, 3.0, -1, False),
    (3.1, 1, 1, 3.9, -1, False),
    (4.0, 1, 1, 4.0, -1, False),
    (8.0, 1, 4, 1.0, -1, False),
    (9.5, 1, 4, 1.0, -1, False),
    (9.5, 0, 4, 1.0, -1, False),
    (9.5, 2, 2, 3.0, -1, False),
    (9.5, 5, 2, 3.0, 3.0, True),
    (15.0, 6, 5, 0.0, -1, True),
]


@pytest.mark.parametrize("epoch", [0.0, 1e6])
def test_the_published_gcra_table(epoch):
    policy = TokenBucket(1, burst=5)
    state = policy.initial_state()
    for seconds, cost, remaining, reset, retry, refused in GCRA_TABLE:
        row = f"at {seconds}, cost {cost}"
        now = epoch + seconds
        job = job_at(now, cost)
        when = policy.earliest(state, now, job, 0)
        assert (when.at > now) == refused, row
        if not refused:
            state = policy.started(state, now, job, 0)
        elif retry > 0:
            assert when.at - now == pytest.approx(retry), row
        else:
            assert when.at == math.inf, row
        left = 0.0 if state is None else max(0.0, state - now)
        assert left == pytest.approx(reset), row
        assert math.floor(5 - left + 1e-9) == remaining, row


def test_a_cost_above_the_burst_is_told_at_once_that_it_can_never_start():
    when = TokenBucket(1, burst=5).earliest(None, 0.0, job_at(0.0, 5.5), 0)
    assert when.at == math.inf
    assert not when.on_event
    assert "is above the burst of" in when.reason


def test_a_job_without_a_number_of_requests_costs_one():
    policy = TokenBucket(1, per=10)
    assert policy.started(None, 0.0, SampleJob(cost={"tokens": 500.0}), 0) == 10.0


def test_the_end_of_a_job_changes_nothing():
    policy = TokenBucket(1, per=10)
    assert policy.ended(70.0, 3.0, JOB, SUCCESS, 0) == 70.0


def test_the_reason_names_the_rate():
    assert TokenBucket(90, per=60).earliest(5.0, 0.0, JOB, 0).reason == "rate of 90 per 60 s"


rates = st.floats(0.01, 1000)
pers = st.floats(0.01, 3600)


@given(
    rate=rates,
    per=pers,
    burst=st.integers(1, 12),
    late=st.lists(st.floats(0, 0.05), min_size=2, max_size=60),
    idle=st.lists(st.integers(0, 20), min_size=2, max_size=60),
    window_intervals=st.floats(0, 30),
    epoch=st.sampled_from([0.0, 1e4]),
)
def test_no_window_holds_more_starts_than_the_bound(rate, per, burst, late, idle, window_intervals, epoch):
    """floor((W + 0.01) / T) + burst in a closed window of W seconds, whatever the timers and the arrivals do."""
    policy = TokenBucket(rate, per=per, burst=burst)
    interval = policy.interval
    now, state, starts = epoch, policy.initial_state(), []
    for delay, pause in zip(late, idle, strict=False):
        if pause > 15:
            now += pause * interval
        job = SampleJob(created_at=epoch, ready_at=epoch)
        when = policy.earliest(state, now, job, 0)
        if when.at > now:
            now = when.at + delay
        state = policy.started(state, now, job, 0)
        starts.append(now)
    window = window_intervals * interval
    assert most_in_window(starts, window) <= math.floor((window + 0.01) / interval * (1 + 1e-9) + 1e-6) + burst


@given(rate=rates, per=pers, burst=st.integers(1, 5), arrivals=st.lists(st.floats(0, 5), min_size=1, max_size=40))
def test_jobs_that_start_the_moment_they_are_ready_keep_the_textbook_bound(rate, per, burst, arrivals):
    """floor(W / T) + burst, without the 10 ms: nothing is caught up by jobs that were not there before."""
    policy = TokenBucket(rate, per=per, burst=burst)
    now, state, starts = 0.0, policy.initial_state(), []
    for gap in arrivals:
        now = now + gap * policy.interval
        job = job_at(now)
        now = max(now, policy.earliest(state, now, job, 0).at)
        state = policy.started(state, now, job, 0)
        starts.append(now)
    for intervals in (0, 1, 2.5, 7):
        assert most_in_window(starts, intervals * policy.interval) <= math.floor(intervals + 1e-6) + burst


@given(
    rate=st.integers(1, 997),
    per=st.sampled_from([1.0, 7.0, 60.0, 66.667, 1 / 3, 86400.0]),
    burst=st.integers(1, 3),
    epoch=EPOCHS,
    count=st.integers(1, 30),
)
def test_woken_exactly_at_the_time_it_named_a_job_starts(rate, per, burst, epoch, count):
    policy = TokenBucket(rate, per=per, burst=burst)
    now, state = epoch, policy.initial_state()
    for _ in range(count):
        when = policy.earliest(state, now, JOB, 0)
        now = max(now, when.at)
        assert policy.earliest(state, now, JOB, 0).at <= now
        state = policy.started(state, now, JOB, 0)


@pytest.mark.parametrize(("rate", "per"), [(3, 1.0), (7, 66.667)])
def test_a_million_starts_do_not_drift(rate, per):
    """Each sum of times is rounded; after a million of them the schedule is off by less than a ten-thousandth step."""
    policy = TokenBucket(rate, per=per)
    now, state = 0.0, policy.initial_state()
    earliest, started = policy.earliest, policy.started
    for _ in range(1_000_000):
        at = earliest(state, now, JOB, 0).at
        now = at if at > now else now
        state = started(state, now, JOB, 0)
    exact = 999_999 * Fraction(per) / rate
    assert abs(now - exact) < policy.interval / 10_000


@given(lates=st.lists(st.floats(0, 0.01), min_size=50, max_size=50))
def test_late_timers_do_not_lower_the_rate(lates):
    """100/s with timers up to 10 ms late: the schedule keeps its pace, so the last start is at most 10 ms late."""
    policy = TokenBucket(100)
    now, state = 0.0, policy.initial_state()
    for late in lates:
        at = policy.earliest(state, now, JOB, 0).at
        now = max(now, at + late if at > now else now)
        state = policy.started(state, now, JOB, 0)
    assert now <= 49 / 100 + 0.01 + 1e-9


@pytest.mark.parametrize("held", [0.02, 5.0])
def test_what_waited_for_a_hold_or_a_pause_is_not_made_up_for(held):
    """At 5000/s ten milliseconds are fifty starts: with a burst of 1 they must not happen at once after a hold."""
    policy = TokenBucket(5000)
    state = policy.started(policy.initial_state(), 0.0, JOB, 0)
    state = policy.started(state, held, JOB, 0)
    assert policy.earliest(state, held, JOB, 0).at == pytest.approx(held + 1 / 5000)


def test_what_waited_before_the_first_start_is_not_made_up_for_either():
    policy = TokenBucket(5000)
    state = policy.started(policy.initial_state(), 100.0, JOB, 0)
    assert policy.earliest(state, 100.0, JOB, 0).at == pytest.approx(100 + 1 / 5000)


def test_a_long_wait_earns_no_more_than_the_burst():
    policy = TokenBucket(1, burst=3)
    state = policy.started(policy.initial_state(), 0.0, JOB, 0)
    now, starts = 1e6, 0
    while policy.earliest(state, now, JOB, 0).at <= now:
        state = policy.started(state, now, JOB, 0)
        starts += 1
    assert starts == 3
