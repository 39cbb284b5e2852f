"""Backoff policies at work: walks of delays, ends, floors and budgets; also after a restart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx
import pytest
from outages import Upstream, enqueue, on_disk

from pacer import BoundedQueue, JobFailedError, JobState, Retry, Scheduler
from pacer.backoff import (
    ConstantBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    GiveUpAfter,
    HonourRetryAfter,
    NoBackoff,
    RetryBudget,
)
from pacer.protocols import BackoffPolicy, Failure
from pacer.testing import run_virtual

pytestmark = pytest.mark.anyio


# -- the queue's delays ----------------------------------------------------------------------------------------------


def walk(policy: BackoffPolicy, steps: int, dice: Random, **circumstances: Any) -> list[float]:
    """What a policy says step by step."""
    previous, delays = 0.0, []
    for count in range(1, steps + 1):
        previous = policy.delay(Failure(count, previous=previous, **circumstances), dice) or 0.0
        delays.append(previous)
    return delays


def gaps(starts: Sequence[float]) -> list[float]:
    return [later - sooner for sooner, later in pairwise(starts)]


@pytest.mark.parametrize(
    "backoff",
    [
        DecorrelatedJitter(1, maximum=60),
        FullJitter(ExponentialBackoff(1)),
        EqualJitter(ExponentialBackoff(1)),
        HonourRetryAfter(DecorrelatedJitter(1)),
    ],
    ids=lambda backoff: type(backoff).__name__,
)
async def test_the_queue_waits_as_long_as_the_dice_say(backoff: BackoffPolicy) -> None:
    upstream = Upstream(up_at=1e9, takes=0)
    async with Scheduler(backoff=backoff, seed=7) as scheduler:
        await enqueue(scheduler, upstream, 10)
        await scheduler.drain()
    assert gaps(upstream.starts) == pytest.approx(walk(backoff, 9, Random(7)))


async def test_a_success_ends_the_walk_of_the_queue() -> None:
    upstream = Upstream(takes=0)
    backoff = DecorrelatedJitter(1, maximum=1000)
    async with Scheduler(backoff=backoff, seed=7, concurrency=1) as scheduler:
        upstream.up_at = 1e9
        await enqueue(scheduler, upstream, 6)
        await scheduler.drain()
        await anyio.sleep(1000)
        upstream.up_at = 0
        await enqueue(scheduler, upstream, 1)
        await scheduler.drain()
        upstream.up_at = 1e9
        await enqueue(scheduler, upstream, 2)
        await scheduler.drain()
    dice = Random(7)
    walk(backoff, 6, dice)
    assert upstream.starts[-1] - upstream.starts[-2] == pytest.approx(walk(backoff, 1, dice)[0])


# -- the retries of one job ------------------------------------------------------------------------------------------


async def test_decorrelated_jitter_walks_with_the_delays_of_its_own_job() -> None:
    """Two jobs, two walks: what one of them waited is not what the other's next delay grows from."""
    backoff = DecorrelatedJitter(1, maximum=1000)
    retry = Retry(attempts=8, backoff=backoff)
    upstream, other = Upstream(up_at=1e9, takes=0), Upstream(up_at=1e9, takes=0)
    async with Scheduler(seed=7, concurrency=2) as scheduler:
        await scheduler.options(retry=retry).enqueue(upstream)
        await anyio.sleep(0.25)
        await scheduler.options(retry=retry).enqueue(other)
        await scheduler.drain()
    # Whoever is due first rolls the dice first.
    dice, due, before = Random(7), [0.0, 0.25], [0.0, 0.0]
    expected: list[list[float]] = [[0.0], [0.25]]
    while len(expected[0]) < 8 or len(expected[1]) < 8:
        job = min((one for one in (0, 1) if len(expected[one]) < 8), key=due.__getitem__)
        before[job] = backoff.delay(Failure(len(expected[job]), previous=before[job]), dice)
        due[job] += before[job]
        expected[job].append(due[job])
    assert upstream.starts == pytest.approx(expected[0])
    assert [0.25 + start for start in other.starts] == pytest.approx(expected[1])


async def test_a_job_gives_up_when_its_next_attempt_would_be_too_late() -> None:
    """Failures at 5, 20, 35, 50 and 65 s; 60 s after the first one the next attempt could begin only at 70 s."""
    upstream = Upstream(up_at=1e9, takes=5)
    backoff = GiveUpAfter(ConstantBackoff(10), seconds=60)
    async with Scheduler() as scheduler:
        receipt = await scheduler.options(retry=Retry(attempts=100, backoff=backoff)).enqueue(upstream)
        with pytest.raises(JobFailedError, match="down"):
            await scheduler.wait(receipt)
        assert (await scheduler.job(receipt.job_id)).attempt == 5
    assert upstream.starts == [0, 15, 30, 45, 60]


async def test_the_time_counts_from_the_first_failure_and_not_from_the_enqueueing() -> None:
    upstream = Upstream(up_at=1e9, takes=50)
    backoff = GiveUpAfter(ConstantBackoff(10), seconds=60)
    async with Scheduler() as scheduler:
        await scheduler.options(retry=Retry(attempts=100, backoff=backoff), delay=500).enqueue(upstream)
        await scheduler.drain()
    assert upstream.starts == [0, 60]


async def test_the_smaller_number_of_attempts_counts() -> None:
    upstream, other = Upstream(up_at=1e9), Upstream(up_at=1e9)
    async with Scheduler() as scheduler:
        backoff = GiveUpAfter(NoBackoff(), attempts=3)
        await scheduler.options(retry=Retry(attempts=9, backoff=backoff)).enqueue(upstream)
        await scheduler.options(retry=Retry(attempts=2, backoff=backoff)).enqueue(other)
        await scheduler.drain()
    assert (len(upstream.starts), len(other.starts)) == (3, 2)


async def test_the_time_that_comes_with_a_failure_is_a_floor_for_the_retry() -> None:
    """A 500 with Retry-After is a failure: its job waits as long as was asked, nobody else does."""
    starts: list[float] = []

    async def broken() -> None:
        starts.append(anyio.current_time())
        if len(starts) == 1:
            request = httpx.Request("GET", "http://upstream.test/")
            httpx.Response(500, headers={"Retry-After": "40"}, request=request).raise_for_status()
        if len(starts) == 2:
            raise ConnectionError("down")

    async def other() -> float:
        return anyio.current_time()

    retry = Retry(attempts=3, backoff=HonourRetryAfter(FullJitter(ConstantBackoff(5))))
    async with Scheduler(seed=7) as scheduler:
        first = await scheduler.options(retry=retry).enqueue(broken)
        second = await scheduler.enqueue(other)
        assert await scheduler.wait(second) == 0
        await scheduler.wait(first)
    assert starts[:2] == [0, 40]
    assert 40 < starts[2] < 45


# -- budget ----------------------------------------------------------------------------------------------------------


async def storm(backoff: BackoffPolicy, jobs: int = 100, well_before: int = 0) -> int:
    """How many calls an outage sees, in which so many jobs fail that may be tried five times."""
    upstream = Upstream(takes=0.1)
    scheduler = Scheduler(queue=BoundedQueue(1000), concurrency=1000)
    async with scheduler:
        await enqueue(scheduler, upstream, well_before)
        await scheduler.drain()
        upstream.up_at = 1e9
        options = scheduler.options(retry=Retry(attempts=5, backoff=backoff))
        for _ in range(jobs):
            await options.enqueue(upstream)
        await scheduler.drain()
    return len(upstream.starts) - well_before


async def test_a_budget_stops_a_storm_of_retries() -> None:
    """100 jobs of five attempts are 500 calls; with a budget they are 100 and its floor."""
    assert await storm(ConstantBackoff(1)) == 500
    assert await storm(RetryBudget(ConstantBackoff(1))) == 110
    assert await storm(RetryBudget(ConstantBackoff(1), at_least=0)) == 100


async def test_successes_of_the_minute_before_pay_for_retries() -> None:
    """A fifth of 200 successes, and ten."""
    assert await storm(RetryBudget(ConstantBackoff(1)), well_before=200) == pytest.approx(150, abs=2)


async def test_with_a_budget_a_single_failure_is_retried() -> None:
    upstream = Upstream(up_at=3)
    async with Scheduler() as scheduler:
        retry = Retry(attempts=5, backoff=RetryBudget(ConstantBackoff(1)))
        await scheduler.wait(await scheduler.options(retry=retry).enqueue(upstream))
    assert upstream.starts == [0, 2]


# -- after a restart -------------------------------------------------------------------------------------------------


def test_walks_of_the_queue_and_of_a_job_go_on_after_restarts(tmp_path: Path) -> None:
    """Each life of the scheduler has dice of its own; the delays grow from those of the lives before."""
    queue_walk, job_walk = DecorrelatedJitter(100, maximum=1e6), DecorrelatedJitter(1, maximum=1e6)
    upstream = Upstream(up_at=1e9, takes=0)

    async def main() -> None:
        for life in range(6):
            scheduler = Scheduler(backoff=queue_walk, seed=life, store=on_disk(tmp_path), observers=())
            scheduler.task(name="call", retry=Retry(attempts=100, backoff=job_walk))(upstream.__call__)
            async with scheduler:
                if life == 0:
                    await enqueue(scheduler, upstream.__call__, 1)
                while len(upstream.starts) == life:
                    await anyio.sleep(1)

    run_virtual(main)
    expected, held, waited = [], 0.0, 0.0
    for life in range(5):
        dice = Random(life)
        held = queue_walk.delay(Failure(life + 1, previous=held), dice)
        waited = job_walk.delay(Failure(life + 1, previous=waited), dice)
        expected.append(max(held, waited))
    assert gaps(upstream.starts) == pytest.approx(expected)


def test_a_limit_in_seconds_counts_on_after_restarts(tmp_path: Path) -> None:
    upstream = Upstream(up_at=1e9, takes=5)
    retry = Retry(attempts=100, backoff=GiveUpAfter(ConstantBackoff(10), seconds=60))

    async def main() -> None:
        job_id = ""
        for life in range(5):
            scheduler = Scheduler(store=on_disk(tmp_path), observers=())
            scheduler.task(name="call")(upstream.__call__)
            async with scheduler:
                if life == 0:
                    job_id = (await scheduler.options(retry=retry).enqueue(upstream.__call__)).job_id
                await anyio.sleep(15)
        async with Scheduler(store=on_disk(tmp_path), observers=()) as scheduler:
            job = await scheduler.job(job_id)
            assert (job.state, job.attempt) == (JobState.FAILED, 5)

    run_virtual(main)
    assert len(upstream.starts) == 5
