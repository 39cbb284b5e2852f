"""CubicRate: the published numbers of the AWS clients' adaptive retry mode, and what it guarantees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue, Scheduler
from pacer._job import Outcome, OutcomeKind
from pacer.pacing import CubicRate
from pacer.pacing._cubic_rate import cubic
from pacer.simulation import Backlog, ChangingLimit, FixedWindowLimit, GcraLimit, Uniform, Upstream, simulate
from pacer.testing._expect import SampleJob

SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
THROTTLE = Outcome(OutcomeKind.THROTTLED)
JOB = SampleJob()


def job_of(started_at, cost=1.0):
    return SampleJob(started_at=started_at, cost={"requests": cost})


def answered(policy, state, now, outcome=SUCCESS, cost=1.0):
    """A job ends at `now`, having started just then."""
    return policy.ended(state, now, job_of(now, cost), outcome, 0)


def zero_point(top):
    """Where the curve is back at `top`: the middle of the flat part."""
    low, high = 0.0, 10.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if cubic(top, middle) < top else (low, middle)
    return low


def test_the_curve_starts_at_seven_tenths_of_the_top():
    assert cubic(8, 0.0) == pytest.approx(5.6)
    assert cubic(10, 0.0) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("seconds", "rate"),
    [(0, 5.6), (0.5, 7.08602), (1, 7.78177), (1.8171205928321397, 8.0), (3, 8.66204), (5, 20.89795)],
)
def test_the_published_rates_after_a_throttle_at_8(seconds, rate):
    assert cubic(8, seconds) == pytest.approx(rate, abs=1e-5)


@pytest.mark.parametrize(("top", "seconds"), [(10, 1.9574338205844317), (8, 1.8171205928321397)])
def test_the_published_times_at_which_the_curve_is_back_at_the_top(top, seconds):
    assert cubic(top, seconds) == pytest.approx(top, abs=1e-12)
    assert zero_point(top) == pytest.approx(seconds, abs=1e-4)


def first_start(policy, now=0.0):
    return policy.started(policy.initial_state(), now, JOB, 0)


def test_one_answer_after_a_second_measures_eight_tenths():
    policy = CubicRate()
    assert answered(policy, first_start(policy), 1.0)["measured"] == pytest.approx(0.8)


def test_one_answer_a_second_for_20_seconds_measures_one():
    policy = CubicRate()
    state = first_start(policy)
    for second in range(1, 21):
        state = answered(policy, state, float(second))
    assert state["measured"] == pytest.approx(1.0, abs=1e-7)


def test_answers_are_counted_in_bins_of_half_a_second():
    policy = CubicRate()
    state = first_start(policy)
    for now in (0.1, 0.2, 0.3, 0.4, 0.49):
        state = answered(policy, state, now)
        assert state["measured"] == 0
    assert answered(policy, state, 0.5)["measured"] == pytest.approx(9.6)


def test_the_rate_is_at_most_twice_the_measured_one():
    """20 measured, a curve that asks for 100: 40."""
    policy = CubicRate()
    state = {**first_start(policy), "measured": 20.0, "bin": 10.0, "top": 100.0, "since": 0.0, "limited": True}
    assert cubic(100.0, 10.2) > 100
    assert answered(policy, state, 10.2)["rate"] == 40.0


def test_nothing_is_limited_until_the_first_throttle():
    policy = CubicRate()
    state, now = first_start(policy), 0.0
    for _ in range(1000):
        assert policy.earliest(state, now, JOB, 5).at <= now
        state = policy.started(state, now, JOB, 5)
        state = answered(policy, state, now)
        now += 0.001


def limited(measured=8.0, now=100.0):
    """A state just after a first throttle at this rate."""
    policy = CubicRate()
    state = {**first_start(policy, now), "measured": measured, "empty_at": now}
    return policy, answered(policy, state, now + 0.1, THROTTLE), now + 0.1


def test_the_first_throttle_takes_the_measured_rate_for_the_limit():
    _, state, now = limited()
    assert state["limited"]
    assert state["top"] == 8.0
    assert state["rate"] == pytest.approx(5.6)
    assert state["since"] == now


def test_a_later_throttle_takes_the_lower_of_the_measured_rate_and_the_current_one():
    policy, state, now = limited()
    state = {**state, "measured": 50.0}
    assert answered(policy, state, now + 0.1, THROTTLE)["top"] == pytest.approx(5.6)
    state = {**state, "measured": 4.0}
    assert answered(policy, state, now + 0.1, THROTTLE)["top"] == pytest.approx(4.0)


def test_throttles_of_jobs_that_started_before_the_last_one_count_once():
    policy, state, now = limited()
    for number in range(5):
        state = policy.ended(state, now + number / 100, job_of(now - 1), THROTTLE, 4 - number)
    assert state["rate"] == pytest.approx(5.6)
    assert state["since"] == now


def test_the_rate_follows_the_curve():
    policy, state, now = limited()
    state = answered(policy, state, now + 0.3)
    assert state["rate"] == pytest.approx(cubic(8.0, 0.3))


def test_starts_come_at_the_rate():
    policy, state, now = limited()
    state = {**state, "empty_at": now, "rate": 5.6}
    starts = []
    for _ in range(20):
        now = max(now, policy.earliest(state, now, JOB, 0).at)
        starts.append(now)
        state = policy.started(state, now, JOB, 0)
    assert starts[-1] - starts[0] == pytest.approx(19 / 5.6)


def test_after_idle_time_a_second_s_worth_starts_at_once():
    policy, state, now = limited()
    now += 1e4
    count = 0
    while policy.earliest(state, now, JOB, 0).at <= now:
        state = policy.started(state, now, JOB, 0)
        count += 1
    assert count == 5


def test_a_change_of_the_rate_keeps_what_is_in_the_bucket():
    policy, state, now = limited()
    state = {**state, "empty_at": now - 2 / 5.6, "rate": 5.6}
    later = answered(policy, state, now)
    assert later["rate"] != pytest.approx(5.6, abs=1e-12) or later["empty_at"] == pytest.approx(now - 2 / 5.6)
    assert (now - later["empty_at"]) * later["rate"] == pytest.approx(2.0)


def test_a_job_that_costs_more_than_the_bucket_holds_waits_for_a_full_one():
    policy, state, now = limited()
    state = {**state, "empty_at": now}
    huge = SampleJob(cost={"requests": 56.0})
    at = policy.earliest(state, now, huge, 0).at
    assert at == pytest.approx(now + 1.0)
    state = policy.started(state, at, huge, 0)
    assert policy.earliest(state, at, JOB, 0).at == pytest.approx(now + 57 / 5.6)


def test_what_never_reached_the_upstream_and_what_is_only_forecast_teach_nothing():
    policy, state, now = limited()
    assert policy.ended(state, now + 1, job_of(now), Outcome(OutcomeKind.IGNORED), 0) == state
    assert policy.ended(state, now + 1, JOB, THROTTLE, 0) == state


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 10), st.sampled_from([SUCCESS, SUCCESS, THROTTLE]), st.floats(0.1, 20)), max_size=50
    ),
    minimum=st.floats(0.01, 2),
    epoch=st.sampled_from([0.0, 1.7e9]),
)
def test_the_rate_stays_above_its_minimum_and_the_named_time_is_kept(steps, minimum, epoch):
    policy = CubicRate(minimum=minimum)
    state, now = policy.initial_state(), epoch
    for idle, outcome, cost in steps:
        job = job_of(None, cost)
        now = max(now + idle, policy.earliest(state, now + idle, job, 0).at)
        assert policy.earliest(state, now, job, 0).at <= now
        state = policy.started(state, now, job, 0)
        state = answered(policy, state, now + 0.01, outcome, cost)
        assert state["rate"] >= minimum or not state["limited"]
        assert policy.earliest(state, now, JOB, 0).at < float("inf")


def simulated(limit):
    return simulate(
        Scheduler(queue=BoundedQueue(20_000), pacing=CubicRate(), concurrency=8, max_throttles=10**6, observers=()),
        Backlog(20_000),
        Upstream(limit, latency=Uniform(0.08, 0.32), refusal=0.01),
        until=480.0,
    )


def test_it_follows_a_changing_limit_at_the_price_that_its_docstring_states():
    """About one request in 20 is throttled at 10 a second: the curve is back at the top after two seconds."""
    steps = [(0, GcraLimit(10, per=1, burst=10)), (240, GcraLimit(20, per=1, burst=20))]
    timeline = simulated(ChangingLimit(steps)).timeline
    for stretch, rate in ((timeline.between(120, 240), 10), (timeline.between(300, 480), 20)):
        assert stretch.succeeded / stretch.seconds >= 0.95 * rate
        assert 0.005 < stretch.throttled_share < 0.06


def test_one_throttle_a_window_is_all_it_costs_in_windows_of_a_minute():
    stretch = simulated(FixedWindowLimit(600, per=60)).timeline.between(120, 480)
    assert stretch.of_oracle >= 0.99
    assert stretch.throttled_share < 0.01


@pytest.mark.parametrize("minimum", [0, -1, float("nan")])
def test_an_impossible_minimum_is_refused(minimum):
    with pytest.raises(ValueError, match="CubicRate: minimum must be a finite number above 0"):
        CubicRate(minimum=minimum)
