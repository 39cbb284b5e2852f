"""ManualPace: a rate that is changed while jobs wait."""

from __future__ import annotations

import math
from itertools import pairwise

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing_runs import EPOCHS, Work, starts, stored

from pacer import BoundedQueue, Scheduler
from pacer._guard import Guard
from pacer._job import JobRecord
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import ManualPace, PerKey, TokenBucket
from pacer.testing import SampleJob

JOB = SampleJob()
POLICY = ManualPace(2)


def started(now=10.0, job=JOB, policy=POLICY):
    return policy.started(policy.initial_state(), now, job, 0)


def test_it_begins_at_the_rate_of_the_recipe():
    assert starts(ManualPace(6, per=60), [Work() for _ in range(3)]) == [0, 10, 20]
    when = POLICY.earliest(started(), 10.0, JOB, 0)
    assert (when.at, when.on_event, when.reason) == (10.5, True, "rate of 2 per 1 s")


@pytest.mark.parametrize(("rate", "at"), [(0.1, 20.0), (2, 10.5), (1000, 10.001)])
def test_jobs_that_wait_are_timed_anew_both_ways(rate, at):
    state = POLICY.with_rate(started(), 10.2, rate)
    assert POLICY.rate_now(state) == rate
    when = POLICY.earliest(state, 10.0, JOB, 0)
    assert when.at == pytest.approx(at)
    assert when.reason == f"rate of {rate:g} per 1 s, set by hand"
    assert POLICY.earliest(state, when.at, JOB, 0).at <= when.at


def test_a_rate_of_zero_stops_it_until_another_one_is_set():
    state = POLICY.with_rate(POLICY.initial_state(), 0.0, 0)
    when = POLICY.earliest(state, 5.0, JOB, 0)
    assert (when.at, when.on_event, when.by_hand) == (math.inf, True, True)
    assert when.reason == "stopped by hand: rate of 0"
    assert POLICY.earliest(state, 5.0, SampleJob(cost={"requests": 0.0}), 0).at == math.inf
    assert POLICY.earliest(POLICY.with_rate(state, 5.0, 3), 5.0, JOB, 0).at <= 5.0


def test_none_goes_back_to_the_rate_of_the_recipe():
    """Which may have been changed meanwhile, in code."""
    state = POLICY.with_rate(POLICY.with_rate(started(), 0.0, 7), 0.0, None)
    assert state == started()
    assert ManualPace(5).rate_now(state) == 5
    assert ManualPace(5).rate_now(POLICY.with_rate(state, 0.0, 7)) == 7


@pytest.mark.parametrize("rate", [-1, math.nan, math.inf])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="ManualPace: rate must be a finite number, 0 or more, or None"):
        POLICY.with_rate(POLICY.initial_state(), 0.0, rate)


def test_a_new_rate_leaves_the_old_state_as_it_was():
    before = started()
    POLICY.with_rate(before, 0.0, 7)
    assert before == started()


def test_what_a_start_costs_delays_the_next_one():
    assert POLICY.earliest(started(job=SampleJob(cost={"requests": 4.0})), 10.0, JOB, 0).at == 12.0


def test_a_job_that_costs_nothing_neither_waits_nor_delays():
    free = SampleJob(cost={"requests": 0.0})
    assert POLICY.earliest(started(), 10.0, free, 0).at <= 10.0
    assert POLICY.started(started(), 10.2, free, 0) == started()


def test_late_timers_do_not_lower_the_rate():
    found = starts(ManualPace(100), [Work(late=0.008) for _ in range(50)])
    assert found[-1] == pytest.approx(0.498)


def test_a_job_that_was_not_ready_when_it_was_due_catches_nothing_up():
    """Due at 0.01, ready at 0.015: the next one is due a whole interval later."""
    policy = ManualPace(100)
    state = policy.started(started(0.0, policy=policy), 0.015, SampleJob(ready_at=0.015), 0)
    assert policy.earliest(state, 0.015, JOB, 0).at == pytest.approx(0.025)


def test_a_start_at_the_very_moment_of_a_stop_is_counted():
    state = POLICY.started(POLICY.with_rate(started(0.0), 0.0, 0), 5.0, JOB, 0)
    assert POLICY.earliest(POLICY.with_rate(state, 5.0, 1), 5.0, JOB, 0).at == 6.0


def test_what_waited_for_a_stop_is_not_made_up_for():
    state = POLICY.with_rate(started(0.0), 0.0, 0)
    state = POLICY.with_rate(state, 60.0, 1000)
    state = POLICY.started(state, 60.0, JOB, 0)
    assert POLICY.earliest(state, 60.0, JOB, 0).at == pytest.approx(60.001)


rates = st.sampled_from([None, 0.1, 1.0, 7.0, 1000.0])


@given(changes=st.lists(st.tuples(rates, st.integers(1, 4)), min_size=1, max_size=12), epoch=EPOCHS)
def test_each_start_is_an_interval_of_the_present_rate_after_the_last_one(changes, epoch):
    policy = ManualPace(3, per=7)
    now, state, found = epoch, policy.initial_state(), []
    for rate, count in changes:
        state = stored(policy.with_rate(state, now, rate))
        for _ in range(count):
            job = SampleJob(created_at=now, ready_at=now)
            now = max(now, policy.earliest(state, now, job, 0).at)
            state = stored(policy.started(state, now, job, 0))
            found.append((now, 7 / (rate or 3)))
    for (one, _), (other, interval) in pairwise(found):
        assert other - one == pytest.approx(interval, abs=1e-5)


@pytest.mark.parametrize("wrap", [lambda pace: pace, lambda pace: pace & TokenBucket(100), PerKey])
def test_a_stopped_queue_is_stopped_by_a_person_and_not_by_a_mistake(wrap):
    """Nothing runs, and yet nothing starts: for a policy that waits for a job to end this would be for ever."""

    def stop(policy, state):
        if isinstance(policy, PerKey):
            return {"": [0, 0.0, stop(policy.policy, policy.policy.initial_state())]}
        return POLICY.with_rate(state, 0.0, 0) if policy is POLICY else [stop(POLICY, state[0]), state[1]]

    policy = wrap(POLICY)
    rules = Rules(BoundedQueue(5), policy, NoBackoff(), MovingAverage(), guard=Guard())
    state = rules.initial().with_pacing(stop(policy, policy.initial_state()))
    when = rules.next_start(state, 5.0, JobRecord("job", "work"), 0)
    assert when.at == math.inf
    assert when.reason.startswith("stopped by hand: rate of 0")
    assert not rules.guard.take_faults()


@pytest.mark.anyio
async def test_a_scheduler_keeps_the_pace():
    calls = []

    async def work():
        calls.append(anyio.current_time())

    async with Scheduler(pacing=ManualPace(6, per=60)) as scheduler:
        for _ in range(3):
            await scheduler.enqueue(work)
        await scheduler.drain()
    assert calls == pytest.approx([0, 10, 20])
