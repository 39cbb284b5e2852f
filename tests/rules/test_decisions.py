"""The rules: may it enter, which may start and when, what does an outcome change."""

from __future__ import annotations

import math
from random import Random

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue, JobRecord, JobState, Outcome, OutcomeKind, QueueFullError, Retry, Rules, Snapshot
from pacer.backoff import ConstantBackoff, ExponentialBackoff, HonourRetryAfter, NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause, TokenBucket, Unpaced
from pacer.queues import Priority

SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
FAILURE = Outcome(OutcomeKind.FAILED, error="ValueError: no")
IGNORED = Outcome(OutcomeKind.IGNORED, error="cancelled")


def make_rules(**parts):
    usual = {
        "queue": BoundedQueue(3),
        "pacing": Unpaced(),
        "backoff": NoBackoff(),
        "estimator": MovingAverage(),
        "random": Random(1),
    }
    return Rules(**{**usual, **parts})


def reference(**parts):
    """The parts of the reference queue."""
    backoff = ExponentialBackoff(15, maximum=300, after=2)
    return make_rules(queue=BoundedQueue(50), pacing=FixedPause(10), backoff=backoff, **parts)


def running_job(started_at=0.0, **fields):
    return JobRecord("job", "task", state=JobState.RUNNING, started_at=started_at, **fields)


def settle(rules, state, outcome, now=5.0, job=None, running=0, retry=None):
    return rules.settle(state, now, job or running_job(), outcome, running, retry)


def admit(rules, count, waiting, state=None):
    jobs = [JobRecord(f"job-{number}", "task") for number in range(count)]
    return rules.admit(jobs, waiting, lambda: Snapshot(0.0, state or rules.initial(), waiting, ()))


# -- may it enter? ---------------------------------------------------------------------------------------------------


def test_jobs_enter_while_there_is_room():
    assert admit(make_rules(), 1, 2) == 0


def test_the_refusal_says_when_there_is_expected_to_be_room():
    """One job too many: until the first of the waiting jobs starts. Three too many: until the third does."""
    rules = make_rules(pacing=FixedPause(10), estimator=MovingAverage(initial=60))
    state = attrs.evolve(rules.initial(), hold_until=7.0)
    with pytest.raises(QueueFullError) as refused:
        admit(rules, 1, 3, state)
    assert (refused.value.capacity, refused.value.retry_after) == (3, 7.0)
    with pytest.raises(QueueFullError) as refused:
        admit(rules, 3, 3, state)
    assert refused.value.retry_after == 7 + 2 * 70


def test_the_refusal_never_says_zero_and_says_something_when_paused():
    rules = make_rules()
    with pytest.raises(QueueFullError) as refused:
        admit(rules, 1, 3)
    assert refused.value.retry_after == 0.1
    with pytest.raises(QueueFullError) as refused:
        admit(rules, 1, 3, attrs.evolve(rules.initial(), paused=True))
    assert refused.value.retry_after == 60


def test_a_batch_larger_than_the_queue_is_refused_even_when_it_is_empty():
    with pytest.raises(QueueFullError):
        admit(make_rules(), 4, 0)


def test_the_oldest_leave_for_new_ones_where_the_queue_says_so():
    assert admit(make_rules(queue=BoundedQueue(3, "drop-oldest")), 2, 3) == 2


def test_the_snapshot_is_taken_only_for_a_forecast():
    make_rules().admit([JobRecord("j", "t")], 0, lambda: pytest.fail("no forecast was needed"))


def test_the_order_gives_the_sort_key():
    rules = make_rules(queue=BoundedQueue(3, order=Priority(ageing=100)))
    state = rules.initial()
    assert rules.place(state, JobRecord("j", "t", priority=2, created_at=1000.0)) == (800, state)


@attrs.frozen
class Noting:
    """An order that writes down what it is told, in its state."""

    def initial_state(self):
        return []

    def place(self, state, job, expected):
        return -float(len(state)), [*state, ["in", job.id, expected()]]

    def started(self, state, job, sort_key):
        return [*state, ["out", job.id, sort_key]]


def test_the_order_is_told_of_jobs_that_come_in_and_of_those_that_start():
    rules = make_rules(queue=BoundedQueue(3, order=Noting()), estimator=MovingAverage(initial=45))
    job = JobRecord("j", "t")
    job.sort_key, state = rules.place(rules.initial(), job)
    second, state = rules.place(state, JobRecord("k", "t"))
    assert (job.sort_key, second) == (0, -1)
    state = rules.start(state, 5.0, job, 0)
    assert state.order == [["in", "j", 45], ["in", "k", 45], ["out", "j", 0]]


def test_what_an_order_has_learned_outlasts_every_other_change():
    rules = make_rules(queue=BoundedQueue(3, order=Noting()))
    _, state = rules.place(rules.initial(), JobRecord("j", "t"))
    for outcome in (SUCCESS, FAILURE, IGNORED, Outcome(OutcomeKind.THROTTLED, retry_after=1.0)):
        after, _, _ = settle(rules, state, outcome)
        assert after.order == state.order
        assert rules.finish(after, 6.0, running_job(), IGNORED, 0).order == state.order


def test_the_expected_duration_is_worked_out_only_for_an_order_that_asks():
    class Asked(MovingAverage):
        def predict(self, state, job):
            pytest.fail("nobody asked how long it takes")

    rules = make_rules(estimator=Asked())
    assert rules.place(rules.initial(), JobRecord("j", "t")) == (0, rules.initial())


# -- which may start, and when? --------------------------------------------------------------------------------------


def test_with_nothing_in_the_way_a_job_starts_now():
    rules = reference()
    assert rules.next_start(rules.initial(), 0.0, running_job(), 0).at <= 0


def test_no_more_jobs_run_than_concurrency_allows():
    rules = make_rules(concurrency=2)
    assert rules.next_start(rules.initial(), 0.0, running_job(), 1).at <= 0
    when = rules.next_start(rules.initial(), 0.0, running_job(), 2)
    assert (when.at, when.on_event, when.reason) == (math.inf, True, "2 of 2 running")


def test_a_paused_queue_starts_nothing():
    rules = make_rules()
    when = rules.next_start(attrs.evolve(rules.initial(), paused=True), 0.0, running_job(), 0)
    assert (when.at, when.on_event, when.reason) == (math.inf, True, "paused by hand")


def test_a_hold_ends_exactly_at_its_end_and_says_why():
    rules = make_rules()
    state = attrs.evolve(rules.initial(), hold_until=30.0, hold_reason="backoff")
    when = rules.next_start(state, 29.0, running_job(), 0)
    assert (when.at, when.reason) == (30.0, "backoff")
    assert rules.next_start(state, 30.0, running_job(), 0).at <= 30


@pytest.mark.parametrize(("hold", "expected"), [(12.0, 20.0), (25.0, 25.0)])
def test_of_hold_and_pace_the_later_counts(hold, expected):
    rules = make_rules(pacing=FixedPause(10))
    state = attrs.evolve(rules.initial(), pacing=10.0, hold_until=hold, hold_reason="backoff")
    assert rules.next_start(state, 11.0, running_job(), 0).at == expected


def test_a_start_is_charged_to_the_pacing_policy():
    rules = make_rules(pacing=TokenBucket(1, per=60))
    state = rules.start(rules.initial(), 5.0, JobRecord("j", "t", ready_at=5.0), 0)
    assert rules.next_start(state, 5.0, running_job(), 0).at == 65


# -- what does an outcome change? ------------------------------------------------------------------------------------


def test_a_success_is_counted_and_learned_from():
    rules = reference()
    state, fate, _ = settle(rules, rules.initial(), SUCCESS, now=10.0)
    assert fate.state is JobState.SUCCEEDED
    assert (state.succeeded, state.failed, state.failures) == (1, 0, 0)
    assert state.estimator["mean"] == 50
    assert rules.next_start(state, 10.0, running_job(), 0).at == 20


def test_the_reference_series_of_failures():
    """No backoff after the first failure, then 15 s doubling to 300 s, and the pause of 10 s always on top."""
    rules, now = reference(), 0.0
    state, gaps = rules.initial(), []
    for _ in range(8):
        end = now + 3
        state, fate, _ = settle(rules, state, FAILURE, now=end, job=running_job(now))
        assert fate.state is JobState.FAILED
        now = rules.next_start(state, end, running_job(), 0).at
        gaps.append(now - end)
    assert gaps == [10, 25, 40, 70, 130, 250, 310, 310]
    assert (state.failures, state.failed) == (8, 8)
    end = now + 3
    state, _, _ = settle(rules, state, SUCCESS, now=end, job=running_job(now))
    assert state.failures == 0
    assert rules.next_start(state, end, running_job(), 0).at == end + 10
    state, _, _ = settle(rules, state, FAILURE, now=end + 20, job=running_job(end + 10))
    assert rules.next_start(state, end + 20, running_job(), 0).at == end + 30


def test_failures_teach_the_estimator_nothing():
    rules = reference()
    state, _, _ = settle(rules, rules.initial(), FAILURE)
    assert state.estimator == rules.initial().estimator


def test_jobs_that_fail_together_count_once():
    """Those that were running when the first failure became known fail of the same cause."""
    rules = make_rules(backoff=ExponentialBackoff(10), concurrency=3)
    state, _, first = settle(rules, rules.initial(), FAILURE, now=5.0, job=running_job(0.0), running=2)
    state, _, second = settle(rules, state, FAILURE, now=5.0, job=running_job(1.0), running=1)
    state, _, third = settle(rules, state, FAILURE, now=9.0, job=running_job(4.0))
    assert (state.failures, state.failed) == (1, 3)
    assert (first.hold, second.hold, third.hold) == (10, 0, 0)
    assert state.hold_until == 15
    state, _, later = settle(rules, state, FAILURE, now=20.0, job=running_job(15.0))
    assert (state.failures, later.hold) == (2, 20)


def test_the_success_of_a_job_that_started_before_a_failure_was_known_ends_no_row():
    rules = make_rules(backoff=ExponentialBackoff(10), concurrency=2)
    state, _, _ = settle(rules, rules.initial(), FAILURE, now=5.0, job=running_job(0.0), running=1)
    state, _, _ = settle(rules, state, SUCCESS, now=6.0, job=running_job(1.0))
    assert (state.failures, state.succeeded) == (1, 1)
    state, _, _ = settle(rules, state, SUCCESS, now=16.0, job=running_job(15.0))
    assert state.failures == 0


def test_the_backoff_policy_is_told_of_the_whole_row():
    seen = []

    @attrs.frozen
    class Listening(NoBackoff):
        def delay(self, failure, random):
            seen.append(failure)
            return 2.5

    rules = make_rules(backoff=Listening())
    state, _, _ = settle(rules, rules.initial(), FAILURE, now=100.0, job=running_job(99.0))
    settle(rules, state, FAILURE, now=130.0, job=running_job(110.0))
    assert [(one.count, one.previous, one.elapsed) for one in seen] == [(1, 0, 0), (2, 2.5, 30)]


def test_a_shorter_hold_does_not_cut_a_longer_one():
    rules = make_rules(concurrency=2)
    state = attrs.evolve(rules.initial(), hold_until=500.0, hold_reason="long")
    state, _, _ = settle(rules, state, Outcome(OutcomeKind.THROTTLED, retry_after=10.0))
    assert (state.hold_until, state.hold_reason) == (500, "long")


# -- retries of one job ----------------------------------------------------------------------------------------------


def test_a_failed_job_is_tried_again_as_often_as_it_may():
    rules, retry = make_rules(), Retry(3, ExponentialBackoff(4))
    job, fates = running_job(), []
    for _ in range(3):
        state, fate, _ = settle(rules, rules.initial(), FAILURE, now=10.0, job=job, retry=retry)
        job.failures = fate.failures
        fates.append((fate.state, fate.ready_at, state.failed))
    assert fates == [(JobState.QUEUED, 14, 0), (JobState.QUEUED, 18, 0), (JobState.FAILED, 0, 1)]
    assert fate.error == "ValueError: no"


def test_a_retry_policy_may_give_up_early():
    class GivesUp(NoBackoff):
        def delay(self, failure, random):
            return None

    _, fate, _ = settle(make_rules(), make_rules().initial(), FAILURE, retry=Retry(9, GivesUp()))
    assert (fate.state, fate.failures) == (JobState.FAILED, 1)


def test_a_backoff_policy_of_the_queue_that_gives_up_holds_nothing():
    class GivesUp(NoBackoff):
        def delay(self, failure, random):
            return None

    state, _, outcome = settle(make_rules(backoff=GivesUp()), make_rules().initial(), FAILURE)
    assert (outcome.hold, state.failures) == (0, 1)


def test_a_job_that_is_to_be_cancelled_is_not_tried_again():
    job = running_job(cancel_requested=True)
    _, fate, _ = settle(make_rules(), make_rules().initial(), FAILURE, job=job, retry=Retry(9, NoBackoff()))
    assert fate.state is JobState.FAILED


# -- throttles -------------------------------------------------------------------------------------------------------


def test_a_throttle_holds_the_queue_as_long_as_asked_and_is_nobodys_failure():
    rules = reference()
    outcome = Outcome(OutcomeKind.THROTTLED, error="429", retry_after=20.0)
    job = running_job(ready_at=0.0)
    state, fate, _ = settle(rules, rules.initial(), outcome, now=5.0, job=job, retry=Retry(1, NoBackoff()))
    assert (fate.state, fate.ready_at, fate.failures, fate.throttles) == (JobState.QUEUED, 0, 0, 1)
    assert (state.hold_until, state.hold_reason) == (25, "upstream said wait 20 s")
    assert (state.throttled, state.failed, state.failures) == (1, 0, 0)
    assert state.estimator == rules.initial().estimator


def test_without_retry_after_the_backoff_policy_says_how_long():
    rules = make_rules(backoff=ExponentialBackoff(15, after=1))
    outcome = Outcome(OutcomeKind.THROTTLED)
    state, _, told = settle(rules, rules.initial(), outcome, now=5.0)
    assert (state.hold_until, told.hold, state.failures) == (20, 15, 1)
    state, fate, _ = settle(rules, state, outcome, now=25.0, job=running_job(20.0))
    assert (state.hold_until, state.failures) == (55, 2)
    assert fate.failures == 0


@pytest.mark.parametrize(("retry_after", "held"), [(0.0, 0.001), (None, 1.0)])
def test_a_throttled_queue_is_always_held_a_moment(retry_after, held):
    """Neither "retry after 0" nor a backoff of 0 may spin; without any word, it is a second."""
    rules = make_rules()
    state, _, _ = settle(rules, rules.initial(), Outcome(OutcomeKind.THROTTLED, retry_after=retry_after), now=5.0)
    assert state.hold_until == 5 + held


def test_a_job_that_is_throttled_too_often_fails_with_that_reason():
    rules = make_rules(max_throttles=2)
    job, states = running_job(), []
    for _ in range(3):
        outcome = Outcome(OutcomeKind.THROTTLED, error="Throttling.RateQuota", retry_after=1.0)
        state, fate, _ = settle(rules, rules.initial(), outcome, job=job)
        job.throttles = fate.throttles
        states.append(fate.state)
    assert states == [JobState.QUEUED, JobState.QUEUED, JobState.FAILED]
    assert fate.error == "throttled 3 times, last: Throttling.RateQuota"
    assert state.failed == 1


def test_a_throttled_job_that_is_to_be_cancelled_does_not_come_back():
    job = running_job(cancel_requested=True)
    _, fate, _ = settle(make_rules(), make_rules().initial(), Outcome(OutcomeKind.THROTTLED, retry_after=1.0), job=job)
    assert fate.state is JobState.CANCELLED


# -- what teaches nothing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "expected"), [(True, JobState.CANCELLED), (False, JobState.FAILED)])
def test_an_ignored_run_was_cancelled_or_has_failed_and_teaches_nothing(asked, expected):
    rules = reference()
    state = attrs.evolve(rules.initial(), failures=3, last_failed_at=0.0)
    after, fate, _ = settle(rules, state, IGNORED, job=running_job(cancel_requested=asked))
    assert (fate.state, fate.error) == (expected, "cancelled")
    assert (after.failures, after.estimator, after.succeeded) == (3, state.estimator, 0)
    assert rules.next_start(after, 5.0, running_job(), 0).at == 15, "but the pause counts from its end"


def test_the_pacing_policy_is_told_of_every_end():
    told = []

    @attrs.frozen
    class Listening(Unpaced):
        def ended(self, state, now, job, outcome, running):
            told.append((now, outcome.kind, outcome.hold, running))

    rules = make_rules(pacing=Listening(), backoff=ConstantBackoff(7))
    for outcome in (SUCCESS, FAILURE, IGNORED):
        settle(rules, rules.initial(), outcome, now=5.0, running=2)
    rules.finish(rules.initial(), 6.0, running_job(), IGNORED, 1)
    kinds = (OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.IGNORED)
    assert told == [(5.0, kind, hold, 2) for kind, hold in zip(kinds, (0, 7, 0), strict=True)] + [(6.0, kinds[2], 0, 1)]


def test_a_run_takes_no_negative_time():
    """A clock that was set back while it ran."""
    rules = make_rules()
    state, _, _ = settle(rules, rules.initial(), SUCCESS, now=0.0, job=running_job(3600.0))
    assert state.estimator["mean"] == 48


# -- whatever happens ------------------------------------------------------------------------------------------------

outcomes = st.one_of(
    st.just(SUCCESS),
    st.just(FAILURE),
    st.just(IGNORED),
    st.builds(Outcome, st.just(OutcomeKind.THROTTLED), retry_after=st.none() | st.floats()),
)


@given(st.lists(st.tuples(outcomes, st.floats(0, 100), st.booleans()), max_size=30), st.integers(1, 3))
def test_every_run_counts_once_and_the_queue_always_goes_on(runs, attempts):
    rules, now = reference(), 0.0
    state, retry = rules.initial(), Retry(attempts, ConstantBackoff(5))
    ends = {JobState.SUCCEEDED: 0, JobState.FAILED: 0}
    for outcome, duration, cancelled in runs:
        when = rules.next_start(state, now, running_job(), 0)
        assert math.isfinite(max(now, when.at))
        now = max(now, when.at)
        assert rules.next_start(state, now, running_job(), 0).at <= now
        job = running_job(now, cancel_requested=cancelled)
        state = rules.start(state, now, job, 0)
        now += duration
        before = state
        state, fate, _ = rules.settle(state, now, job, outcome, 0, retry)
        ends[fate.state] = ends.get(fate.state, 0) + 1
        assert state.throttled - before.throttled == (outcome.kind is OutcomeKind.THROTTLED)
        assert fate.state is not JobState.QUEUED or math.isfinite(fate.ready_at)
    assert (state.succeeded, state.failed) == (ends[JobState.SUCCEEDED], ends[JobState.FAILED])


def test_a_wait_longer_than_a_week_that_an_upstream_names_is_no_fault_of_the_backoff():
    rules = make_rules(backoff=HonourRetryAfter(ConstantBackoff(1)))
    outcome = Outcome(OutcomeKind.FAILED, error="503", retry_after=1e9)
    state, _, after = rules.settle(rules.initial(), 5.0, JobRecord("j", "t", started_at=1.0), outcome, 0, None)
    assert after.hold == 7 * 86400
    assert {fault.part for fault in rules.guard.take_faults()} == {"Throttled"}
    assert state.hold_until == 5 + 7 * 86400
