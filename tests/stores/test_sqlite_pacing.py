"""Every pace survives restarts in the middle of a run, and holds over all workers of a queue together."""

from __future__ import annotations

import heapq
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest
from sqlite_files import TASKS, File, job, make_rules

import pacer.pacing
from pacer._job import Outcome, OutcomeKind
from pacer.pacing import (
    AdaptiveRate,
    Budget,
    CompletionWindow,
    CubicRate,
    FixedPause,
    FixedWindow,
    GradientLimit,
    ManualPace,
    MinInterval,
    OpeningHours,
    PerKey,
    ServerGuided,
    SlidingWindow,
    TokenBucket,
    Unpaced,
    VegasLimit,
    WarmUp,
)
from pacer.protocols import LimitReport, PacingPolicy
from pacer.stores import MemoryStore
from pacer.testing import ManualClock

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

START = 1_700_000_000.0
JOBS = 40
# By the name of the policy: each that is exported, in a setting that has something to do here.
PACES: dict[str, PacingPolicy[Any]] = {
    "AdaptiveRate": AdaptiveRate(1),
    "AllOf": TokenBucket(1) & Budget(2000, per=10) & PerKey(MinInterval(2)),
    "Budget": Budget(2000, per=10),
    "CompletionWindow": CompletionWindow(4, per=7),
    "CubicRate": CubicRate(),
    "FixedPause": FixedPause(0.7),
    "FixedWindow": FixedWindow(3, per=7),
    "GradientLimit": GradientLimit(2, window=10),
    "ManualPace": ManualPace(1.3),
    "MinInterval": MinInterval(1.3),
    "OpeningHours": OpeningHours("22:13", "22:14") | OpeningHours("22:15", "22:16"),
    "PerKey": PerKey(TokenBucket(0.3, burst=2), forget_after=10),
    "ServerGuided": ServerGuided(TokenBucket(1)),
    "SlidingWindow": SlidingWindow(4, per=7),
    "TokenBucket": TokenBucket(1.1, burst=3),
    "Unpaced": Unpaced(),
    "VegasLimit": VegasLimit(2),
    "WarmUp": WarmUp(2, seconds=10),
}
OUTCOMES = (
    Outcome(OutcomeKind.SUCCEEDED, result="1", cost={"requests": 1.0, "tokens": 900.0}),
    Outcome(
        OutcomeKind.SUCCEEDED, result="1", limits=(LimitReport(name="requests", limit=9, remaining=2, reset_in=3),)
    ),
    Outcome(OutcomeKind.FAILED, error="ValueError: no"),
    Outcome(OutcomeKind.THROTTLED, retry_after=2.5, error="429"),
    Outcome(OutcomeKind.IGNORED, error="cannot be read back"),
)


async def run(ledgers: Any, clock: ManualClock) -> list[tuple[str, float]]:
    """Which job started when; `ledgers(step)` are those of the workers, who take turns."""
    workers = await ledgers(0)
    dice = Random(5)
    costs = [{"requests": 1.0}, {"requests": 1.0, "tokens": 700.0}, {"requests": 0.5, "tokens": 1500.0}]
    records = [
        job(f"j{number:02}", key=dice.choice([None, "a", "b"]), cost=dice.choice(costs)) for number in range(JOBS)
    ]
    await workers[0].add(records)
    running: list[tuple[float, int, int, Any]] = []
    starts: list[tuple[str, float]] = []
    for step in range(1000):
        workers = await ledgers(step)
        turn = step % len(workers)
        claimed = await workers[turn].claim(TASKS, 1)
        for held in claimed.jobs:
            heapq.heappush(running, (clock() + dice.uniform(0, 6), len(starts), turn, held))
            starts.append((held.id, clock()))
        if claimed.jobs:
            continue
        if not running and (await workers[turn].snapshot()).waiting == 0:
            return starts
        clock.now = min([claimed.next.at, *(end for end, *_ in running[:1])])
        while running and running[0][0] <= clock():
            _, number, holder, held = heapq.heappop(running)
            await workers[holder].settle(held, OUTCOMES[number % len(OUTCOMES)], None)
    raise AssertionError(starts)


@pytest.mark.parametrize("name", sorted(pacer.pacing.__all__))
async def test_workers_that_share_a_file_and_restart_keep_the_pace_of_one_that_does_not(
    name: str, file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers, stopped and started again every few steps while jobs run, and one in memory that is left alone."""
    monkeypatch.setattr("pacer.stores._memory.time.time", lambda: START)
    rules = make_rules(pacing=PACES[name], concurrency=4)
    async with AsyncExitStack() as stack:
        clock = ManualClock(START)
        one = await stack.enter_async_context(MemoryStore(clock=clock).open("default", rules, "one"))

        async def alone(step: int) -> list[Any]:
            return [one]

        expected = await run(alone, clock)
    file.clock.now = START
    stack = AsyncExitStack()
    opened: list[Any] = []

    async def restarted(step: int) -> list[Any]:
        if step % 9 == 0:
            await stack.aclose()
            opened[:] = [
                await stack.enter_async_context(file.open(worker, rules=rules, lease=1e6)) for worker in ("w1", "w2")
            ]
        return opened

    async with stack:
        assert await run(restarted, file.clock) == expected
    assert len({job_id for job_id, _ in expected}) == JOBS


async def test_hours_of_the_day_are_those_of_the_wall_clock_also_after_it_was_set_back(file: File) -> None:
    """The queue's time goes on then; workers that were there before and that come later agree."""
    midnight = START - START % 86400
    rules = make_rules(pacing=OpeningHours("09:00", "17:00"))
    file.clock.now = midnight + 9.5 * 3600
    async with file.open("before", rules=rules) as before:
        await before.add([job("j1"), job("j2"), job("j3")])
        assert len((await before.claim(TASKS, 1)).jobs) == 1
        file.clock.now -= 3600
        assert not (await before.claim(TASKS, 1)).jobs
        async with file.open("after", rules=rules) as after:
            for worker in (before, after):
                claimed = await worker.claim(TASKS, 1)
                assert (claimed.jobs, claimed.next.at - before.now()) == ([], 1800)
            file.clock.advance(1800)
            for worker in (before, after):
                assert len((await worker.claim(TASKS, 1)).jobs) == 1
