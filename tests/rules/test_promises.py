"""Where the pace decides and not the durations, the rules rolled forward give a point; it has to become an interval."""

from __future__ import annotations

import attrs
import pytest

from pacer import BoundedQueue, JobRecord, Rules, Scheduler, Snapshot
from pacer._forecast import forecast_start
from pacer._promises import LATE, MISS, STEP, kept, promised
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import AdaptiveRate, TokenBucket
from pacer.simulation import (
    ChangingLimit,
    Exponential,
    FixedWindowLimit,
    Poisson,
    Upstream,
    simulate,
)
from pacer.stores import MemoryStore
from pacer.testing import ManualClock

PACED = Rules(BoundedQueue(50), TokenBucket(rate=1), NoBackoff(), MovingAverage())


def noted(now: float = 100.0, wait: float = 30.0) -> JobRecord:
    """A job that was told a wait, by a queue whose pace alone decides."""
    job = JobRecord("job", "task")
    job.created_at = now
    state = attrs.evolve(PACED.initial(), pacing=now + wait)
    promised(PACED, state, job, 1, lambda: Snapshot(now, state, 0, ()))
    return job


def estimate(**scales: float):
    state = attrs.evolve(PACED.initial(), pacing=130.0, **scales)
    return forecast_start(PACED, Snapshot(100.0, state, 0, ()), JobRecord("next", "task"), 1)


def test_a_point_that_is_missed_becomes_an_interval_on_that_side():
    state = kept(PACED.initial(), 133.0, noted())
    assert state.high_scale > 0
    found = estimate(high_scale=state.high_scale, low_scale=state.low_scale)
    assert found.low == found.seconds == 30 < found.high


def test_a_point_that_comes_true_stays_one_also_if_a_timer_is_late():
    for start in (130.0, 130.0 + 0.9 * LATE, 130.0 - 0.9 * LATE):
        assert kept(PACED.initial(), start, noted()) == PACED.initial()


@pytest.mark.anyio
async def test_only_the_first_start_is_held_against_it():
    """A job that was put back, at a shutdown or after a throttle, starts late for a reason of its own."""
    clock = ManualClock(100.0)
    rules = attrs.evolve(PACED, pacing=TokenBucket(rate=1 / 30), concurrency=2)
    async with MemoryStore(clock=clock).open("q", rules, "w") as ledger:
        await ledger.add([JobRecord("first", "task")])
        clock.advance(10)
        await ledger.add([JobRecord("noted", "task")])
        await ledger.claim(frozenset({"task"}), 1)
        for _ in range(3):
            clock.advance(300)
            (job,) = (await ledger.claim(frozenset({"task"}), 1)).jobs
            await ledger.release([job])
        assert job.promised_high is not None
        assert (await ledger.snapshot()).queue.high_scale == pytest.approx(STEP * (1 - MISS))


def test_a_start_at_once_is_no_promise():
    assert noted(wait=0.0).promised_high is None


def test_a_narrow_interval_can_become_as_wide_as_the_wait():
    widest = estimate(high_scale=4.0, low_scale=4.0)
    assert widest.low == 0
    assert widest.high >= 60


def test_behind_a_pace_that_is_found_by_trying_intervals_learn_to_hold():
    slow, fast = FixedWindowLimit(30, per=60), FixedWindowLimit(60, per=60)
    upstream = Upstream(ChangingLimit([(0, fast), (420, slow), (840, fast)]), Exponential(3), retry_after=False)
    scheduler = Scheduler(queue=BoundedQueue(1000), pacing=AdaptiveRate(1), concurrency=8)
    result = simulate(scheduler, Poisson(36, per=60, jobs=1000), upstream, estimates=600, seed=1)
    assert result.promises is not None
    assert result.promises.covered > 0.8
