"""GradientLimit and VegasLimit: the published formulas, and the pathologies that such limits are known for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue, Scheduler
from pacer._job import Outcome, OutcomeKind
from pacer.pacing import GradientLimit, VegasLimit
from pacer.simulation import Backlog, LoadedLatency, Upstream, simulate
from pacer.testing._expect import SampleJob

SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
FAILURE = Outcome(OutcomeKind.FAILED)
IGNORED = Outcome(OutcomeKind.IGNORED)
THROTTLE = Outcome(OutcomeKind.THROTTLED)
JOB = SampleJob()
BOTH = pytest.mark.parametrize("make", [GradientLimit, VegasLimit])


def ended(policy, state, duration, running, outcome=SUCCESS, now=1000.0):
    """A job of this duration ends, as one of `running`."""
    return policy.ended(state, now, SampleJob(started_at=now - duration), outcome, running - 1)


def full(policy, state, duration, times=1):
    """Jobs of this duration end, with as many running as may."""
    for _ in range(times):
        state = ended(policy, state, duration, int(state["limit"]))
    return state


# -- both -------------------------------------------------------------------------------------------------------------


@BOTH
def test_as_many_jobs_run_as_the_limit_says_and_the_next_waits_for_one_to_end(make):
    policy = make(3)
    state = policy.initial_state()
    assert [policy.earliest(state, 5.0, JOB, running).at <= 5.0 for running in range(5)] == [True] * 3 + [False] * 2
    when = policy.earliest(state, 5.0, JOB, 3)
    assert (when.at, when.on_event, when.reason) == (math.inf, True, "adaptive limit: 3 of 3 running")


@BOTH
def test_constant_durations_do_not_raise_the_limit_without_load(make):
    """Fewer than half of the limit running say nothing, however many of them there are."""
    policy = make(20)
    state = policy.initial_state()
    for _ in range(1000):
        state = ended(policy, state, 1.0, 9)
    assert state["limit"] == 20


@BOTH
def test_constant_durations_under_load_raise_the_limit_to_the_maximum(make):
    policy = make(20, maximum=50)
    assert full(policy, policy.initial_state(), 1.0, 200)["limit"] == 50


@BOTH
def test_throttles_are_honoured_and_those_of_one_cause_count_once(make):
    policy = make(20)
    state = policy.initial_state()
    for number in range(5):
        state = ended(policy, state, 1.0, 20, THROTTLE, now=1000 + number / 10)
    once = state["limit"]
    assert once == (18 if make is GradientLimit else 19)
    assert ended(policy, state, 1.0, 20, THROTTLE, now=1002)["limit"] < once


@BOTH
def test_no_number_of_throttles_takes_the_last_slot(make):
    policy = make(20)
    state = policy.initial_state()
    for number in range(500):
        state = ended(policy, state, 1.0, 20, THROTTLE, now=1000.0 + 2 * number)
    assert state["limit"] == 1
    assert policy.earliest(state, 5000.0, JOB, 0).at <= 5000
    assert full(policy, full(policy, state, 1.0, 1), 1.0, 100)["limit"] > 20, "and it recovers"


@BOTH
@pytest.mark.parametrize("outcome", [FAILURE, IGNORED])
def test_failures_and_what_never_ran_teach_nothing(make, outcome):
    policy = make()
    state = full(policy, policy.initial_state(), 1.0, 5)
    assert ended(policy, state, 50.0, 20, outcome) == state


@BOTH
def test_jobs_without_a_start_or_a_duration_teach_nothing(make):
    policy = make()
    state = full(policy, policy.initial_state(), 1.0, 5)
    for outcome in (SUCCESS, THROTTLE):
        assert policy.ended(state, 1000.0, JOB, outcome, 19) == state
    assert ended(policy, state, 0.0, 20) == state
    assert ended(policy, state, -3.0, 20) == state


@BOTH
@given(
    steps=st.lists(
        st.tuples(
            st.floats(-1, 1e4), st.integers(1, 300), st.sampled_from([SUCCESS, SUCCESS, SUCCESS, THROTTLE, FAILURE])
        ),
        max_size=80,
    ),
    bounds=st.lists(st.integers(1, 200), min_size=3, max_size=3).map(sorted),
)
def test_the_limit_stays_between_its_bounds(make, steps, bounds):
    minimum, initial, maximum = bounds
    policy = make(initial, minimum=minimum, maximum=maximum)
    state, now = policy.initial_state(), 0.0
    for duration, running, outcome in steps:
        now += 10.0
        state = ended(policy, state, duration, running, outcome, now=now)
        assert minimum <= state["limit"] <= maximum
        assert policy.earliest(state, now, JOB, 0).at <= now


def simulated(policy, capacity, until):
    """As many jobs as the policy lets run, at an upstream that works on `capacity` of them at full speed."""
    jobs = int(until * 60)
    return simulate(
        Scheduler(queue=BoundedQueue(jobs), pacing=policy, concurrency=500, observers=()),
        Backlog(jobs),
        Upstream(latency=LoadedLatency(1.0, capacity)),
        until=until,
    )


@BOTH
@pytest.mark.parametrize(("before", "after"), [(20, 40), (40, 20)])
def test_a_step_in_capacity_is_followed(make, before, after):
    """Both capacities are used to nine tenths and more."""
    result = simulated(make(20), [(0, before), (300, after)], until=600)
    for (start, end), capacity in (((120, 300), before), ((420, 600), after)):
        stretch = result.timeline.between(start, end)
        goodput = stretch.succeeded / stretch.seconds
        assert goodput >= 0.9 * capacity
    assert result.unfinished


@BOTH
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"initial": 0}, "initial must be a whole number, 1 or more, got 0"),
        ({"minimum": 0}, "minimum must be a whole number, 1 or more, got 0"),
        ({"initial": 5, "minimum": 6}, r"initial \(5\) must be between minimum \(6\)"),
        ({"initial": 5, "maximum": 4}, r"initial \(5\) must be between minimum \(1\) and maximum \(4\)"),
    ],
)
def test_an_impossible_setting_is_refused(make, settings, message):
    with pytest.raises(ValueError, match=f"{make.__name__}: {message}"):
        make(**settings)


# -- GradientLimit ----------------------------------------------------------------------------------------------------


def test_without_a_gradient_the_limit_grows_by_a_fifth_of_the_queue():
    policy = GradientLimit(20)
    assert full(policy, policy.initial_state(), 1.0)["limit"] == pytest.approx(20.8)


@pytest.mark.parametrize(("duration", "gradient"), [(1.4, 1.0), (2.0, 0.75), (3.0, 0.5), (50.0, 0.5)])
def test_the_gradient_is_the_usual_duration_with_its_tolerance_over_this_one(duration, gradient):
    policy = GradientLimit(20, window=10**9)  # so long that this one does not change what is usual
    state = {"limit": 20.0, "usual": 1.0, "samples": 10, "cut_at": None}
    found = full(policy, state, duration)
    assert found["limit"] == pytest.approx(0.8 * 20 + 0.2 * (gradient * 20 + 4))


def test_what_is_usual_is_the_mean_of_the_first_ten_and_then_an_average_over_the_window():
    policy = GradientLimit(window=599)
    state = policy.initial_state()
    for duration in range(1, 11):
        state = ended(policy, state, float(duration), 1)
    assert state["usual"] == pytest.approx(5.5)
    state = ended(policy, state, 8.5, 1)
    assert state["usual"] == pytest.approx(5.5 + 2 / 600 * 3)


def test_after_an_overload_the_usual_duration_comes_down_faster_than_its_average():
    policy = GradientLimit()
    state = {"limit": 20.0, "usual": 10.0, "samples": 10, "cut_at": None}
    weight = 2 / 601
    assert ended(policy, state, 1.0, 1)["usual"] == pytest.approx((10 * (1 - weight) + weight) * 0.95)


def test_under_the_steepest_gradient_the_limit_settles_at_twice_the_queue():
    """It cannot fall further for durations alone; `queue_size` is the setting for small upstreams."""
    for queue_size in (4, 0.5):
        policy = GradientLimit(100, queue_size=queue_size, window=10**9)
        state = {"limit": 100.0, "usual": 1.0, "samples": 10, "cut_at": None}
        assert full(policy, state, 100.0, 300)["limit"] == pytest.approx(2 * queue_size)


@pytest.mark.parametrize("tolerance", [0.9, 0, math.inf, math.nan])
def test_an_impossible_tolerance_is_refused(tolerance):
    with pytest.raises(ValueError, match="GradientLimit: tolerance must be a finite number"):
        GradientLimit(tolerance=tolerance)


# -- VegasLimit -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "queue", "step"),
    [
        (20, 0, 6),
        (20, 1, 6),
        (20, 2, 1),
        (20, 3, 0),
        (20, 6, 0),
        (20, 7, -1),
        (20, 19, -1),
        (200, 2, 12),
        (200, 5, 2),
        (200, 6, 0),
        (200, 12, 0),
        (200, 13, -2),
    ],
)
def test_the_step_depends_on_the_queue_in_the_upstream(limit, queue, step):
    policy = VegasLimit(limit)
    state = {**policy.initial_state(), "shortest": 1.0}
    duration = 1.0 / (1 - (queue - 0.5) / limit) if queue else 1.0
    assert full(policy, state, duration)["limit"] == limit + step


def test_the_first_duration_and_each_shorter_one_are_the_time_without_load():
    policy = VegasLimit()
    state = full(policy, policy.initial_state(), 2.0)
    assert (state["shortest"], state["limit"]) == (2.0, 20)
    state = full(policy, state, 1.5)
    assert (state["shortest"], state["limit"]) == (1.5, 20)


def test_the_time_without_load_is_measured_anew_between_15_and_30_limits_of_jobs():
    policy = VegasLimit(10, maximum=10)
    state, renewed, last = policy.initial_state(), [], 0
    for number in range(5000):
        probes = state["probes"]
        state = full(policy, state, 1.0 + number / 1e6)
        if state["probes"] > probes:
            renewed.append(number - last)
            last = number
            assert state["shortest"] == pytest.approx(1.0 + number / 1e6, abs=1e-9)
    assert len(set(renewed[1:])) > 5, "in no regular order"
    assert all(150 <= jobs <= 301 for jobs in renewed)


@pytest.mark.parametrize("initial", [5, 100])
def test_three_to_six_jobs_queue_in_an_upstream_that_was_seen_without_load(initial):
    """It works on 20 at full speed and shares that out among more."""
    policy = VegasLimit(initial)
    state = ended(policy, policy.initial_state(), 1.0, 1)
    for _ in range(140):
        state = full(policy, state, max(1.0, state["limit"] / 20))
    assert 23 <= state["limit"] <= 26


def test_an_upstream_that_became_slower_for_good_is_understood():
    policy = VegasLimit(20)
    state = full(policy, policy.initial_state(), 1.0, 3)
    state = full(policy, state, 5.0, 200)
    low = state["limit"]
    assert low < 20
    assert full(policy, state, 5.0, 1200)["limit"] > low
