"""A queue in a database gives out start times ahead of the clock, in order, and takes them back."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlite_files import SUCCEEDED, TASKS, File, job, make_rules

from pacer import JobState
from pacer.pacing import FixedPause, MinInterval, PerKey, SlidingWindow, TokenBucket
from pacer.protocols import Claimed
from pacer.stores._ledger import StoredLedger

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

AHEAD = 0.1


@asynccontextmanager
async def opened(file: File, worker: str = "w1", ahead: float = AHEAD, **parts: Any) -> AsyncGenerator[StoredLedger]:
    async with file.open(worker, rules=make_rules(**parts), lease=1e6) as ledger:
        ledger._queue.ahead = ahead
        yield ledger


async def enqueue(ledger: StoredLedger, jobs: int, **fields: Any) -> None:
    await ledger.add([job(f"j{number:02}", **fields) for number in range(jobs)])


def starts(claimed: Claimed) -> list[float]:
    return [round((record.started_at or 0.0) - claimed.now, 6) for record in claimed.jobs]


async def test_one_claim_gets_the_starts_of_a_moment_and_says_when_it_is_worth_asking_again(file: File) -> None:
    async with opened(file, pacing=MinInterval(0.03)) as ledger:
        await enqueue(ledger, 20)
        claimed = await ledger.claim(TASKS, 20)
        assert starts(claimed) == [0, 0.03, 0.06, 0.09]
        # The next start is at 0.12; asked for half of the time ahead before it, there are two by then.
        assert claimed.next.at - claimed.now == pytest.approx(0.07)
        file.clock.now = claimed.next.at
        assert starts(await ledger.claim(TASKS, 20)) == [0.05, 0.08]


@pytest.mark.parametrize("pacing", [MinInterval(0.03), TokenBucket(30, burst=3), SlidingWindow(3, per=0.1)])
async def test_claimed_ahead_by_two_workers_in_turn_jobs_start_when_they_would_if_claimed_one_by_one(
    file: File, pacing: Any, tmp_path: Any
) -> None:
    other = File(tmp_path / "other.db", file.clock)
    expected, found = list[float](), list[float]()
    begun = file.clock.now
    async with opened(other, ahead=0.0, pacing=pacing) as ledger:
        await enqueue(ledger, 20)
        while len(expected) < 20:
            claimed = await ledger.claim(TASKS, 1)
            expected += [(record.started_at or 0.0) - begun for record in claimed.jobs]
            file.clock.now = max(file.clock.now, begun if claimed.jobs else claimed.next.at)
    file.clock.now = begun
    async with opened(file, "w1", pacing=pacing) as one, opened(file, "w2", pacing=pacing) as two:
        await enqueue(one, 20)
        workers = [one, two]
        while len(found) < 20:
            claimed = await workers[len(found) % 2].claim(TASKS, 3)
            found += [(record.started_at or 0.0) - begun for record in claimed.jobs]
            if not claimed.jobs:
                file.clock.now = claimed.next.at
    assert found == pytest.approx(expected, abs=1e-6)


async def test_a_job_that_was_claimed_ahead_counts_as_running_from_then_on(file: File) -> None:
    async with opened(file, pacing=MinInterval(0.01), concurrency=3) as ledger:
        await enqueue(ledger, 9)
        claimed = await ledger.claim(TASKS, 9)
        assert starts(claimed) == [0, 0.01, 0.02]
        record = await ledger.job("j02")
        assert record is not None
        assert record.state is JobState.RUNNING
        assert not (await ledger.claim(TASKS, 9)).jobs
        await ledger.settle(claimed.jobs[0], SUCCEEDED, None)
        assert starts(await ledger.claim(TASKS, 9)) == [0.03]


async def test_times_that_were_given_out_do_not_go_back_after_a_restart(file: File) -> None:
    async with opened(file, pacing=TokenBucket(20)) as ledger:
        await enqueue(ledger, 9)
        assert starts(await ledger.claim(TASKS, 9)) == [0, 0.05, 0.1]
    async with opened(file, "w2", ahead=0.0, pacing=TokenBucket(20)) as ledger:
        # Its own worker was not told of them, but it does not start a job before those that are to come.
        claimed = await ledger.claim(TASKS, 9)
        assert (claimed.jobs, round(claimed.next.at - claimed.now, 6)) == ([], 0.15)


async def test_what_has_not_begun_is_given_back_and_what_has_is_not(file: File) -> None:
    pacing = SlidingWindow(4, per=60)
    async with opened(file, pacing=pacing) as ledger:
        await enqueue(ledger, 9)
        claimed = await ledger.claim(TASKS, 4)
        await ledger.release(claimed.jobs[:1], begun=False)
        await ledger.release(claimed.jobs[1:2], begun=True)
        again = await ledger.claim(TASKS, 9)
        assert [record.id for record in again.jobs] == [claimed.jobs[0].id]
        assert round(again.next.at - again.now, 6) == 60 - AHEAD / 2


async def test_a_job_is_not_claimed_for_a_time_at_which_it_will_have_expired(file: File) -> None:
    async with opened(file, pacing=MinInterval(0.04)) as ledger:
        await ledger.add([job("first"), job("short", expires=0.03), job("long")])
        claimed = await ledger.claim(TASKS, 9)
        assert [record.id for record in claimed.jobs] == ["first", "long"]
        assert starts(claimed) == [0, 0.04]
        file.clock.advance(0.03)
        assert [record.id for record in (await ledger.expire()).jobs] == ["short"]


@pytest.mark.parametrize("pacing", [FixedPause(0.05), PerKey(MinInterval(0.05))], ids=["pause", "lanes"])
async def test_a_pause_and_a_lane_are_asked_at_the_time_itself(file: File, pacing: Any) -> None:
    async with opened(file, pacing=pacing) as ledger:
        await enqueue(ledger, 3, key="a")
        claimed = await ledger.claim(TASKS, 1)
        await ledger.settle(claimed.jobs[0], SUCCEEDED, None)
        claimed = await ledger.claim(TASKS, 9)
        assert (claimed.jobs, round(claimed.next.at - claimed.now, 6)) == ([], 0.05)
