"""`MaxWait`: a queue that takes in only whom it can promise a start in time."""

from __future__ import annotations

import math
import re
from datetime import timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import JobRecord, MaxWait, QueueFullError, Rules, Snapshot
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause, TokenBucket
from pacer.protocols import Admission, Durations
from pacer.queues import EarliestDeadline, FairShare, Fifo, Lifo, Priority

waits = st.none() | st.floats(0, 1e9)


@given(st.floats(1e-3, 1e6), st.integers(1, 50), st.integers(1, 60), st.integers(0, 60), waits)
def test_it_accepts_what_starts_in_time_and_finds_room(seconds, capacity, incoming, waiting, wait):
    found = MaxWait(seconds, capacity=capacity).admit(incoming, waiting, lambda: wait)
    in_time = wait is not None and wait <= seconds
    assert found.accepted == (in_time and incoming + waiting <= capacity)
    assert found.drop == 0
    if not found.accepted and wait is not None:
        assert found.retry_after == max(0, wait - seconds)


def test_a_refusal_says_by_how_much_the_wait_is_too_long():
    found = MaxWait(600).admit(1, 80, lambda: 700.25)
    assert found == Admission(
        accepted=False,
        retry_after=100.25,
        reason="a job would start in about 700 s, and no more than 600 s are promised",
    )


def test_where_no_time_can_be_named_nothing_is_promised():
    found = MaxWait(600).admit(1, 0, lambda: None)
    assert (found.accepted, found.retry_after) == (False, None)
    assert found.reason == "when a job would start cannot be said, as while the queue is paused"


def test_nobody_waits_for_room():
    assert MaxWait(600).wait_timeout == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaxWait(0), "MaxWait: seconds must be a finite number above 0, got 0.0"),
        (lambda: MaxWait(math.inf), "MaxWait: seconds must be a finite number above 0, got inf"),
        (lambda: MaxWait(60, capacity=0), "MaxWait: capacity must be a whole number, 1 or more, got 0"),
    ],
)
def test_an_impossible_setting_is_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("make", [lambda: MaxWait("60"), lambda: MaxWait(60, 50), lambda: MaxWait(60, order=Fifo)])
def test_a_setting_of_another_kind_is_refused(make):
    with pytest.raises(TypeError):
        make()


def test_the_defaults_are_the_documented_ones():
    assert MaxWait(600) == MaxWait(timedelta(minutes=10), capacity=10_000, order=Fifo())


# -- with the rules: what a newcomer's wait is -----------------------------------------------------------------------


class Exactly(MovingAverage):
    """Durations that are known for sure: the cost in seconds."""

    def predict(self, state, job):
        return Durations(job.cost.get("seconds", 10.0), 0.0)


def make_rules(queue, **parts):
    usual = {"pacing": FixedPause(0), "backoff": NoBackoff(), "estimator": Exactly()}
    return Rules(queue, **{**usual, **parts})


def admit(rules, jobs, ahead, place_of=None, state=None):
    snapshot = Snapshot(1000.0, state or rules.initial(), len(ahead), (), None, ahead)
    return rules.admit(jobs, len(ahead), lambda: snapshot, place_of)


def waiting(count, **fields):
    return [JobRecord(f"waiting-{number}", "task", **fields) for number in range(count)]


def refused(rules, jobs, ahead, place_of=None):
    with pytest.raises(QueueFullError) as error:
        admit(rules, jobs, ahead, place_of)
    return error.value


def test_the_forecast_of_the_newcomer_decides():
    """Six jobs of 10 s, and the next starts in 60 s."""
    rules = make_rules(MaxWait(60))
    assert admit(rules, [JobRecord("new", "task")], waiting(6)) == 0
    error = refused(rules, [JobRecord("new", "task")], waiting(7))
    assert (error.retry_after, error.capacity) == (10, 10_000)
    assert str(error) == (
        "the queue takes no more jobs: a job would start in about 70 s, and no more than 60 s are promised; "
        "try again in 10 s"
    )


def test_of_a_batch_the_job_that_starts_last_decides():
    rules = make_rules(MaxWait(60))
    assert admit(rules, waiting(7), []) == 0
    assert refused(rules, waiting(8), []).retry_after == 10
    assert refused(rules, waiting(3), waiting(6)).retry_after == 20


def test_of_jobs_that_stand_together_the_last_one_has_its_own_wait():
    """It waits for those before it, not for itself, and has to afford its own cost."""

    def batch(*seconds):
        return [JobRecord(f"new-{number}", "task", cost={"seconds": cost}) for number, cost in enumerate(seconds)]

    assert admit(make_rules(MaxWait(20)), batch(10.0, 10.0, 50.0), []) == 0
    assert refused(make_rules(MaxWait(20)), batch(50.0, 10.0, 10.0), []).retry_after == 40
    rules = make_rules(MaxWait(3), pacing=TokenBucket(1, burst=4), concurrency=9)
    assert admit(rules, waiting(4), []) == 0
    assert refused(rules, [*waiting(4), JobRecord("large", "task", cost={"requests": 4.0})], []).retry_after == 1


def test_a_delay_that_a_job_asks_for_does_not_count():
    rules = make_rules(MaxWait(60))
    assert admit(rules, [JobRecord("new", "task", delay=3600.0)], waiting(6)) == 0
    assert refused(rules, [JobRecord("new", "task", delay=3600.0)], waiting(8)).retry_after == 20
    again = JobRecord("new", "task", delay=3600.0, ready_at=4600.0)  # an attempt to write it down has failed
    assert admit(rules, [again], waiting(6)) == 0


def test_the_newcomer_stands_where_the_order_puts_it():
    """What the store says of a key is asked with the key that the order gives to a job that comes now."""
    asked = []

    def first(key):
        asked.append(key)
        return 1

    for order, fields, key in (
        (Lifo(), {}, -1000.0),
        (Priority(ageing=10), {"priority": 3}, 970.0),
        (FairShare(), {"key": "new"}, 0.0),
        (EarliestDeadline(), {"expires": 25.0}, 1025.0),
    ):
        assert admit(make_rules(MaxWait(5, order=order)), [JobRecord("new", "task", **fields)], waiting(50), first) == 0
        assert asked.pop() == key
    assert refused(make_rules(MaxWait(5)), [JobRecord("new", "task")], waiting(50), lambda key: 51).retry_after == 495


def test_of_a_batch_the_last_by_the_order_counts_and_all_of_it_stands_before_that():
    """Tags 0, 1, 0, 2 and 1 of start-time fair queueing: the key of the fourth decides, all the others before it."""
    rules = make_rules(MaxWait(100, order=FairShare()))
    batch = [JobRecord(f"new-{number}", "task", key=key) for number, key in enumerate("aabab")]
    asked = []

    def fifth(key):
        asked.append(key)
        return 5

    assert admit(rules, batch, waiting(20), fifth) == 0
    assert asked == [2.0]
    assert refused(make_rules(MaxWait(79, order=FairShare())), batch, waiting(20), fifth).retry_after == 1


def test_the_hard_limit_holds_whatever_the_forecast_says_and_both_have_to_be_met():
    rules = make_rules(MaxWait(1000, capacity=5))
    assert admit(rules, [JobRecord("new", "task")], waiting(4)) == 0
    error = refused(rules, [JobRecord("new", "task")], waiting(5))
    assert str(error) == "the queue is full (5 jobs wait); try again in 1 s"
    assert error.retry_after == 0.1, "the first of them starts at once"
    rules = make_rules(MaxWait(30, capacity=5))
    assert refused(rules, [JobRecord("new", "task")], waiting(5)).retry_after == 20


def test_a_paused_queue_refuses_and_says_to_come_back_in_a_minute():
    rules = make_rules(MaxWait(600))
    paused = attrs.evolve(rules.initial(), paused=True)
    with pytest.raises(QueueFullError, match=r"cannot be said, as while the queue is paused.*try again in 60 s"):
        admit(rules, [JobRecord("new", "task")], [], state=paused)


def test_a_hold_that_is_longer_than_the_promise_refuses_everybody_until_it_is_short_enough():
    rules = make_rules(MaxWait(60))
    held = attrs.evolve(rules.initial(), hold_until=1300.0, hold_reason="backoff")
    with pytest.raises(QueueFullError) as error:
        admit(rules, [JobRecord("new", "task")], [], state=held)
    assert error.value.retry_after == 240
