"""What a backoff policy is told of a failure, for the queue's row and for one job's retries; and what is remembered."""

from __future__ import annotations

import json
import math
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue, JobRecord, JobState, Outcome, OutcomeKind, QueueState, Retry, Rules
from pacer._ends import Fate
from pacer._minutes import counted
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause, Unpaced
from pacer.queues import Priority

SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
FAILURE = Outcome(OutcomeKind.FAILED, error="ValueError: no", retry_after=4.0)
THROTTLE = Outcome(OutcomeKind.THROTTLED, retry_after=1.0)
IGNORED = Outcome(OutcomeKind.IGNORED)


class Listening:
    """A backoff policy that answers with the next of these delays, and keeps what it was told."""

    def __init__(self, *delays):
        self.delays, self.heard = iter(delays), []

    def delay(self, failure, random):
        self.heard.append(failure)
        return next(self.delays)


def make_rules(**parts):
    usual = {"queue": BoundedQueue(3), "pacing": Unpaced(), "backoff": NoBackoff(), "estimator": MovingAverage()}
    return Rules(**{**usual, "random": Random(1), **parts})


def run(rules, state, job, outcome, end, retry=None):
    """A run of a second that ends then; the record is changed as a store changes it."""
    job.state, job.started_at = JobState.RUNNING, end - 1
    state = rules.start(state, end - 1, job, 0)
    state, fate, _ = rules.settle(state, end, job, outcome, 0, retry)
    fate.apply(job)
    return state, fate


def heard(policy, *names):
    return [tuple(getattr(failure, name) for name in names) for failure in policy.heard]


# -- the row of the queue --------------------------------------------------------------------------------------------


def test_the_queue_s_policy_hears_of_the_row_its_last_delay_and_its_age():
    policy = Listening(2.5, 7.0, 1.0)
    rules = make_rules(backoff=policy)
    state = rules.initial()
    for end in (100.0, 130.0, 160.5):
        state, _ = run(rules, state, JobRecord("j", "t"), FAILURE, end)
    assert heard(policy, "count", "previous", "elapsed") == [(1, 0, 0), (2, 2.5, 30), (3, 7, 60.5)]
    assert {failure.retry_after for failure in policy.heard} == {4.0}


def test_after_a_success_the_row_begins_anew():
    policy = Listening(2.5, 7.0)
    rules = make_rules(backoff=policy)
    state, _ = run(rules, rules.initial(), JobRecord("j", "t"), FAILURE, 100.0)
    state, _ = run(rules, state, JobRecord("k", "t"), SUCCESS, 200.0)
    run(rules, state, JobRecord("l", "t"), FAILURE, 300.0)
    assert heard(policy, "count", "previous", "elapsed") == [(1, 0, 0), (1, 0, 0)]


def test_jobs_that_fail_together_are_one_failure_whose_delay_stays_the_previous_one():
    policy = Listening(2.5, 7.0)
    rules = make_rules(backoff=policy, concurrency=2)
    first, second = (JobRecord(name, "t", state=JobState.RUNNING, started_at=0.0) for name in "ab")
    state, _, _ = rules.settle(rules.initial(), 10.0, first, FAILURE, 1, None)
    state, _, _ = rules.settle(state, 11.0, second, FAILURE, 0, None)
    run(rules, state, JobRecord("c", "t"), FAILURE, 40.0)
    assert heard(policy, "count", "previous", "elapsed") == [(1, 0, 0), (2, 2.5, 30)]


# -- the retries of one job ------------------------------------------------------------------------------------------


def test_a_job_s_policy_hears_of_that_job_s_failures_only():
    policy = Listening(5.0, 9.0, 1.0)
    rules, retry = make_rules(), Retry(9, policy)
    job, other = JobRecord("job", "t"), JobRecord("other", "t")
    state, fate = run(rules, rules.initial(), job, FAILURE, 100.0, retry)
    assert (fate.state, fate.ready_at, fate.failures) == (JobState.QUEUED, 105, 1)
    assert (fate.first_failed_at, fate.retry_delay) == (100, 5)
    state, _ = run(rules, state, other, FAILURE, 120.0)
    state, fate = run(rules, state, job, FAILURE, 150.0, retry)
    assert (fate.ready_at, fate.failures, fate.first_failed_at, fate.retry_delay) == (159, 2, 100, 9)
    run(rules, state, job, FAILURE, 190.5, retry)
    assert heard(policy, "count", "previous", "elapsed") == [(1, 0, 0), (2, 5, 50), (3, 9, 90.5)]


@pytest.mark.parametrize("outcome", [THROTTLE, IGNORED])
def test_what_is_no_failure_of_a_job_leaves_its_failures_as_they_are(outcome):
    rules = make_rules()
    job = JobRecord("job", "t", failures=2, first_failed_at=50.0, retry_delay=9.0)
    _, fate = run(rules, rules.initial(), job, outcome, 100.0, Retry(9, NoBackoff()))
    assert (fate.failures, fate.first_failed_at, fate.retry_delay) == (2, 50, 9)


@pytest.mark.parametrize("runnable", [True, False])
def test_a_crash_leaves_a_job_s_failures_as_they_are(runnable):
    job = JobRecord("job", "t", failures=2, first_failed_at=50.0, retry_delay=9.0, throttles=3, ready_at=59.0)
    fate = make_rules().recover(job, runnable)
    assert fate.state is (JobState.QUEUED if runnable else JobState.STALE)
    assert (fate.failures, fate.throttles, fate.first_failed_at, fate.retry_delay, fate.ready_at) == (2, 3, 50, 9, 59)


def test_a_job_that_has_failed_for_good_says_since_when_it_failed():
    job = JobRecord("job", "t", failures=1, first_failed_at=50.0, retry_delay=9.0)
    _, fate = run(make_rules(), make_rules().initial(), job, FAILURE, 100.0, Retry(2, NoBackoff()))
    assert (fate.state, fate.failures, fate.first_failed_at, fate.retry_delay) == (JobState.FAILED, 2, 50, 0)


def test_a_fate_is_applied_to_all_that_is_the_rules_to_say():
    job = JobRecord("job", "t", ready_at=7.0)
    Fate(JobState.QUEUED, 20.0, "OSError: no", 2, 3, 5.0, 13.0).apply(job)
    assert (job.state, job.error, job.failures, job.throttles) == (JobState.QUEUED, "OSError: no", 2, 3)
    assert (job.first_failed_at, job.retry_delay) == (5, 13)
    assert job.ready_at == 7, "when it is ready again is written by the store, which has to place it"
    assert Fate.of(job, JobState.STALE, "crash") == Fate(JobState.STALE, 7.0, "crash", 2, 3, 5.0, 13.0)


# -- the recent past -------------------------------------------------------------------------------------------------


def test_successes_and_retries_of_the_queue_fade_to_a_third_in_a_minute():
    """Both policies hear of them: that of the queue, and that of a job."""
    queue, own = Listening(0.0), Listening(0.0, 0.0, 0.0, 0.0)
    rules, state, retry = make_rules(backoff=queue), make_rules().initial(), Retry(9, own)
    quiet = attrs.evolve(rules, backoff=NoBackoff())
    for _ in range(3):
        state, _ = run(quiet, state, JobRecord("good", "t"), SUCCESS, 100.0)
    for _ in range(2):
        state, _ = run(quiet, state, JobRecord("bad", "t"), FAILURE, 100.0, retry)
    state, _ = run(quiet, state, JobRecord("bad for good", "t"), FAILURE, 100.0)
    state, _ = run(quiet, state, JobRecord("throttled", "t"), THROTTLE, 100.0, retry)
    run(rules, state, JobRecord("bad", "t"), FAILURE, 160.0, retry)
    assert heard(own, "successes", "retries")[:2] == [(3, 0), (3, 1)]
    faded = pytest.approx((3 / math.e, 2 / math.e))
    assert heard(own, "successes", "retries")[2] == faded
    assert heard(queue, "successes", "retries") == [faded]


def test_a_clock_that_goes_back_makes_nothing_of_the_past_grow():
    state = QueueState(None, None, recent_successes=4.0, recent_retries=2.0, recent_at=100.0)
    assert state.recent(-1e9) == (4, 2)
    assert state.recent(1e18) == (0, 0)


# -- the state as a value --------------------------------------------------------------------------------------------

finite = st.floats(allow_nan=False, allow_infinity=False)
tallies = st.just(()) | st.tuples(*[st.integers(0, 10**6) for _ in range(8)])
states_by_name = {
    "pacing": st.none() | finite,
    "estimator": st.dictionaries(st.text(), finite),
    "order": st.none() | st.lists(finite) | st.dictionaries(st.text(), finite),
    "failures": st.integers(0, 99),
    "first_failed_at": finite,
    "last_failed_at": st.none() | finite,
    "last_delay": finite,
    "hold_until": finite,
    "hold_reason": st.text(),
    "paused": st.booleans(),
    "succeeded": st.integers(0),
    "failed": st.integers(0),
    "throttled": st.integers(0),
    "recent_successes": finite,
    "recent_retries": finite,
    "recent_at": finite,
    "low_scale": finite,
    "high_scale": finite,
    "promised_at": finite,
    "claimed_to": finite,
    "numbers": st.dictionaries(st.text(), finite),
    "ticks": st.dictionaries(st.text(), finite),
    "minute": tallies,
    "past": st.lists(tallies, max_size=3).map(tuple),
}

states = st.builds(QueueState, **states_by_name)


@given(states)
def test_a_queue_s_state_survives_json_unchanged(state):
    assert QueueState.from_json(json.loads(json.dumps(state.to_json()))) == state


def test_the_state_of_a_version_without_orders_is_read_and_unknown_fields_are_passed_over():
    old = {"pacing": 5.0, "estimator": {"mean": 3.0}, "failures": 2, "mood": "good"}
    assert QueueState.from_json(old) == QueueState(5.0, {"mean": 3.0}, failures=2)


@given(states, st.floats(0, 1e9), st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_a_run_changes_what_it_says_and_nothing_else(state, now, succeeded, failed, retried, throttled):
    """The spelled-out copies of the hot path forget no field."""
    what = {"succeeded": succeeded, "failed": failed, "retried": retried, "throttled": throttled}
    after = state.after_run(now, "pace", "durations", **what)
    successes, retries = state.recent(now)
    minute, past = counted(state.minute, state.past, now, **what)
    assert after == attrs.evolve(
        state,
        pacing="pace",
        estimator="durations",
        succeeded=state.succeeded + succeeded,
        failed=state.failed + failed,
        throttled=state.throttled + throttled,
        minute=minute,
        past=past,
        recent_successes=successes + succeeded,
        recent_retries=retries + retried,
        recent_at=now,
    )
    assert state.with_pacing("pace") == attrs.evolve(state, pacing="pace")


def test_no_field_of_the_state_is_left_out_here():
    assert {field.name for field in attrs.fields(QueueState)} == set(states_by_name)


def test_a_new_queue_has_the_initial_states_of_its_parts():
    rules = make_rules(queue=BoundedQueue(3, order=Priority()), pacing=FixedPause(3))
    assert rules.initial() == QueueState(None, MovingAverage().initial_state(), None)
