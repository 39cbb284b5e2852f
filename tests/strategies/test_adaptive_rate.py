"""AdaptiveRate: spaced starts, cuts, growth, and what comes of it in front of limits that it does not know."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue, Scheduler
from pacer._job import Outcome, OutcomeKind
from pacer.pacing import AdaptiveRate
from pacer.simulation import Backlog, ChangingLimit, FixedWindowLimit, GcraLimit, Uniform, Upstream, simulate
from pacer.testing._expect import SampleJob

SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
FAILURE = Outcome(OutcomeKind.FAILED)
IGNORED = Outcome(OutcomeKind.IGNORED)
THROTTLE = Outcome(OutcomeKind.THROTTLED)


def start(policy, state, now, cost=1.0):
    """Start a job as soon as it may; returns it, its start and the state."""
    job = SampleJob(cost={"requests": cost}, created_at=now, ready_at=now)
    now = max(now, policy.earliest(state, now, job, 0).at)
    state = policy.started(state, now, job, 0)
    return SampleJob(cost={"requests": cost}, ready_at=job.ready_at, started_at=now), now, state


def work(policy, state, now, jobs, outcome=SUCCESS):
    """Run jobs one after the other, each as soon as it may."""
    for _ in range(jobs):
        job, now, state = start(policy, state, now)
        state = policy.ended(state, now, job, outcome, 0)
    return state, now


def test_starts_are_spaced_by_the_rate():
    policy = AdaptiveRate(4)
    state = policy.started(policy.initial_state(), 10.0, SampleJob(ready_at=10.0), 0)
    when = policy.earliest(state, 10.0, SampleJob(), 0)
    assert when.at == 10.25
    assert when.reason == "adaptive rate of 4 per s"


def test_the_next_job_waits_for_the_cost_of_the_last():
    policy = AdaptiveRate(4)
    state = policy.started(policy.initial_state(), 10.0, SampleJob(cost={"requests": 8.0}), 0)
    assert policy.earliest(state, 10.0, SampleJob(), 0).at == 12.0


def test_before_the_first_throttle_the_rate_doubles_every_20_requests():
    policy = AdaptiveRate(1)
    state, now = work(policy, policy.initial_state(), 0.0, 21)
    assert state["rate"] == pytest.approx(2.0)  # the first start was not held back, so it did not count
    state, _ = work(policy, state, now, 20)
    assert state["rate"] == pytest.approx(4.0)


def test_the_first_throttle_cuts_the_rate_by_2_percent_and_the_next_job_waits_an_interval():
    policy = AdaptiveRate(10)
    job, now, state = start(policy, policy.initial_state(), 5.0)
    state = policy.ended(state, now, job, THROTTLE, 0)
    assert state["rate"] == pytest.approx(9.8)
    assert policy.earliest(state, now, job, 0).at == pytest.approx(5.0 + 1 / 9.8)


def cut_at(rate, now=100.0):
    """A state just after a first throttle, with this rate as the limit."""
    policy = AdaptiveRate(rate)
    job, now, state = start(policy, policy.initial_state(), now)
    return policy, policy.ended(state, now, job, THROTTLE, 0), now


def test_after_a_cut_the_rate_comes_back_to_the_aim_after_150_requests_and_doubles_it_after_400():
    policy, state, now = cut_at(10)
    assert state["aim"] == 10
    state, now = work(policy, state, now, 150)
    assert state["rate"] == pytest.approx(10 * (0.98 + 0.02 * (150 / 150) ** 4))
    state, _ = work(policy, state, now, 249)
    assert state["rate"] == pytest.approx(10 * (0.98 + 0.02 * (399 / 150) ** 4))
    assert state["rate"] > 19


def test_above_12_a_second_a_cycle_is_12_seconds_of_requests():
    policy, state, now = cut_at(100)
    state, _ = work(policy, state, now, 1200)
    assert state["rate"] == pytest.approx(100)


def test_a_later_cut_goes_halfway_to_what_was_accepted():
    policy, state, now = cut_at(10)
    state, now = work(policy, state, now, 50)
    rate, since = state["rate"], state["since"]
    job, now, state = start(policy, state, now + 10.0)
    state = policy.ended(state, now, job, THROTTLE, 0)
    measured = 51 / (now - since)
    assert measured < rate
    assert state["aim"] == pytest.approx((measured + rate) / 2)
    assert state["rate"] == pytest.approx(0.98 * (measured + rate) / 2)


def test_no_cut_takes_more_than_half():
    policy, state, now = cut_at(10)
    state, now = work(policy, state, now, 1)
    job, now, state = start(policy, state, now + 1e6)
    before = state["rate"]
    state = policy.ended(state, now, job, THROTTLE, 0)
    assert state["rate"] == pytest.approx(0.98 * before / 2, rel=1e-3)


def test_throttles_of_jobs_that_started_before_the_last_cut_count_once():
    policy = AdaptiveRate(10)
    state, jobs, now = policy.initial_state(), [], 0.0
    for _ in range(5):
        job, now, state = start(policy, state, now)
        jobs.append(job)
    for number, job in enumerate(jobs):
        state = policy.ended(state, now + 1 + number / 100, job, THROTTLE, 4 - number)
    assert state["rate"] == pytest.approx(9.8)


def test_in_a_row_of_throttles_the_rate_is_cut_once_and_the_wait_doubles():
    policy, state, now = cut_at(10)
    waits = []
    for _ in range(7):
        job, then, state = start(policy, state, now)
        waits.append(then - now)
        now = then
        state = policy.ended(state, now, job, THROTTLE, 0)
    assert state["rate"] == pytest.approx(9.8)
    interval = 1 / 9.8
    assert waits == pytest.approx([interval * factor for factor in (1, 1, 2, 4, 8, 16, 32)])


def test_no_wait_is_longer_than_the_interval_of_the_minimum():
    policy = AdaptiveRate(10, minimum=0.5)
    job, now, state = start(policy, policy.initial_state(), 0.0)
    for _ in range(30):
        state = policy.ended(state, now, job, THROTTLE, 0)
        job, then, state = start(policy, state, now)
        assert then - now <= 2.0 + 1e-9
        now = then


def test_the_first_wait_is_half_of_the_last_row_unless_the_upstream_names_a_time():
    policy, state, now = cut_at(10)
    state, now = work(policy, state, now, 6, THROTTLE)
    row = now - 100.0
    job, now, state = start(policy, state, now)
    state = policy.ended(state, now, job, SUCCESS, 0)
    gap = now - 100.0
    assert gap > row
    job, now, state = start(policy, state, now)
    untold = policy.ended(state, now, job, THROTTLE, 0)
    assert policy.earliest(untold, now, job, 0).at - now == pytest.approx(gap / 2)
    told = policy.ended(state, now, job, Outcome(OutcomeKind.THROTTLED, retry_after=0.01), 0)
    assert policy.earliest(told, now, job, 0).at - now == pytest.approx(1 / told["rate"])


def test_a_success_of_a_job_that_started_before_the_row_does_not_end_it():
    policy = AdaptiveRate(10)
    early, now, state = start(policy, policy.initial_state(), 0.0)
    refused, now, state = start(policy, state, now)
    state = policy.ended(state, now, refused, THROTTLE, 1)
    assert policy.ended(state, now + 5, early, SUCCESS, 0)["refused"]
    late, now, state = start(policy, state, now)
    assert not policy.ended(state, now, late, SUCCESS, 1)["refused"]


def test_an_idle_queue_does_not_grow():
    policy, state, now = cut_at(10)
    for _ in range(1000):
        job, now, state = start(policy, state, now + 1.0)
        state = policy.ended(state, now, job, SUCCESS, 0)
    assert state["rate"] == pytest.approx(9.8)


def test_jobs_that_last_longer_than_an_interval_do_not_let_the_rate_run_away():
    """One at a time, half a second each: two a second are what is used, whatever the rate."""
    policy = AdaptiveRate(1)
    state, now = policy.initial_state(), 0.0
    for _ in range(3000):
        job, now, state = start(policy, state, now)
        now += 0.5
        state = policy.ended(state, now, job, SUCCESS, 0)
    assert state["rate"] < 4.2


@pytest.mark.parametrize("outcome", [IGNORED, FAILURE])
def test_only_successes_let_the_rate_grow(outcome):
    policy = AdaptiveRate(1)
    state, _ = work(policy, policy.initial_state(), 0.0, 100, outcome)
    assert state["rate"] == 1


def test_the_end_of_a_job_that_was_never_really_started_teaches_nothing():
    """In forecasts, whose jobs have no start."""
    policy, state, now = cut_at(10)
    for outcome in (SUCCESS, THROTTLE):
        assert policy.ended(state, now + 1, SampleJob(), outcome, 0) == state


def test_growth_ends_at_the_maximum_and_cuts_at_the_minimum():
    policy = AdaptiveRate(1, maximum=3)
    state, _ = work(policy, policy.initial_state(), 0.0, 500)
    assert state["rate"] == 3
    policy = AdaptiveRate(1, minimum=0.9)
    state, now = policy.initial_state(), 0.0
    for _ in range(20):
        state, now = work(policy, state, now, 1)
        state, now = work(policy, state, now + 50, 1, THROTTLE)
    assert state["rate"] == 0.9


def test_a_clock_that_went_back_does_not_stop_the_growth():
    policy, state, _ = cut_at(10, now=1e6)
    state, _ = work(policy, {**state, "next_at": 0.0}, 0.0, 300)
    assert state["rate"] > 10


@given(
    rate=st.floats(0.05, 500),
    minimum=st.floats(0.01, 0.05),
    steps=st.lists(
        st.tuples(st.floats(0, 30), st.sampled_from([SUCCESS, SUCCESS, THROTTLE, FAILURE, IGNORED])), max_size=60
    ),
    epoch=st.sampled_from([0.0, 1.7e9]),
)
def test_the_rate_stays_between_its_bounds_and_starts_keep_their_distance(rate, minimum, steps, epoch):
    """Two starts are at least an interval of the rate of the first one apart, whatever happens to the jobs."""
    policy = AdaptiveRate(rate, minimum=minimum, maximum=1000)
    state, now, last = policy.initial_state(), epoch, -math.inf
    for idle, outcome in steps:
        now += idle
        interval = 1 / state["rate"]
        job, now, state = start(policy, state, now)
        assert now - last >= min(interval, state["next_at"] - now) * (1 - 1e-6) - 1e-6
        last = now
        before = state["rate"]
        state = policy.ended(state, now + 0.01, job, outcome, 0)
        assert minimum <= state["rate"] <= 1000
        assert state["rate"] >= 0.49 * before
        assert policy.earliest(state, now + 0.01, job, 0).at - now <= 1 / minimum + 0.02


def simulated(limit, told, until=480.0, slots=8):
    return simulate(
        Scheduler(
            queue=BoundedQueue(20_000),
            pacing=AdaptiveRate(1),
            concurrency=slots,
            max_throttles=1_000_000,
            observers=(),
        ),
        Backlog(20_000),
        Upstream(limit, latency=Uniform(0.08, 0.32), retry_after=told, refusal=0.01),
        until=until,
    )


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize(
    "limit",
    [
        FixedWindowLimit(10, per=1),
        FixedWindowLimit(100, per=10),
        GcraLimit(10, per=1, burst=1),
        GcraLimit(10, per=1, burst=10),
    ],
    ids=str,
)
def test_an_unknown_limit_is_used_to_95_percent_with_1_percent_throttled(limit, told):
    stretch = simulated(limit, told).timeline.between(180, 480)
    assert stretch.of_oracle >= 0.95
    assert stretch.throttled_share <= 0.01


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize("burst", [1, 10])
def test_a_limit_that_changes_is_followed_within_a_minute(factor, burst):
    steps = [(0, GcraLimit(10, per=1, burst=burst)), (300, GcraLimit(10 * factor, per=1, burst=burst))]
    stretch = simulated(ChangingLimit(steps), told=True).timeline.between(360, 390)
    assert stretch.succeeded / stretch.seconds >= 0.9 * 10 * factor
    assert stretch.throttled_share <= 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: AdaptiveRate(0), "AdaptiveRate: initial must be a finite number above 0, got 0"),
        (lambda: AdaptiveRate(1, minimum=0), "AdaptiveRate: minimum must be a finite number above 0, got 0"),
        (lambda: AdaptiveRate(1, maximum=math.inf), "AdaptiveRate: maximum must be a finite number above 0, got inf"),
        (lambda: AdaptiveRate(1, minimum=2), r"initial \(1\) must be between minimum \(2\) and maximum \(10000\)"),
        (lambda: AdaptiveRate(1, maximum=0.5), r"initial \(1\) must be between minimum \(0.01\) and maximum \(0.5\)"),
    ],
)
def test_an_impossible_setting_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
