"""Jobs that leave the waiting ones at the same time do so in several transactions if they are many."""

from __future__ import annotations

import pytest
from memory_server import MemoryServerStore

from pacer import BoundedQueue
from pacer._job import JobRecord
from pacer.stores import _care, _oversight, _queue
from pacer.stores.sqlite import SqliteStore
from pacer.testing import ManualClock
from pacer.testing._store_desk import make_rules

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})


def job(job_id, task="work", **fields):
    return JobRecord(job_id, task, "[[],{}]", **fields)


def ids(jobs):
    return [one.id for one in jobs]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture(params=["server", "file"])
def store(request, clock, tmp_path, monkeypatch):
    for module in (_queue, _care, _oversight):
        monkeypatch.setattr(module, "AT_ONCE", 3)
    return MemoryServerStore(clock) if request.param == "server" else SqliteStore(tmp_path / "jobs.db", clock=clock)


async def test_nothing_starts_until_all_that_have_expired_have_left(store, clock):
    async with store.open("default", make_rules(queue=BoundedQueue(20)), "a") as ledger:
        await ledger.recover(TASKS)
        await ledger.add([job(f"j{number}", expires=10.0) for number in range(7)])
        await ledger.add([job("later")])
        clock.advance(11)
        left = []
        while True:
            claimed = await ledger.claim(TASKS, 5)
            expired = await ledger.expire()
            left.append(len(expired.jobs))
            if claimed.jobs:
                break
            assert claimed.next.at <= ledger.now()
        assert ids(claimed.jobs) == ["later"]
        assert (sum(left), max(left), expired.next) == (7, 6, None)


async def test_jobs_that_nobody_can_run_become_stale_a_few_at_a_time(store, clock):
    async with store.open("default", make_rules(queue=BoundedQueue(20)), "a") as ledger:
        await ledger.recover(TASKS)
        await ledger.add([job(f"{task}{number}", task) for task in ("gone", "old") for number in range(4)])
        await ledger.add([job("known")])
        recovered = [len(await ledger.recover(TASKS)) for _ in range(4)]
        assert recovered == [3, 3, 2, 0]
        assert ids((await ledger.claim(TASKS, 5)).jobs) == ["known"]


async def test_a_queue_that_has_become_smaller_drops_the_oldest_a_few_at_a_time(store, clock):
    async with store.open("default", make_rules(queue=BoundedQueue(20, when_full="drop-oldest")), "a") as ledger:
        await ledger.add([job(f"j{number}") for number in range(12)])
    async with store.open("default", make_rules(queue=BoundedQueue(2, when_full="drop-oldest")), "b") as ledger:
        dropped = [ids((await ledger.add([job(f"new{number}")])).dropped) for number in range(4)]
        assert dropped[0] == ["j0", "j1", "j2", "j3"]
        assert [len(some) for some in dropped] == [4, 4, 4, 2]
        snapshot = await ledger.snapshot()
        assert snapshot.waiting == 2


async def test_jobs_that_run_again_make_a_queue_that_has_become_smaller_drop_the_oldest_a_few_at_a_time(store, clock):
    async with store.open("default", make_rules(queue=BoundedQueue(20, when_full="drop-oldest")), "a") as ledger:
        await ledger.add([job(f"j{number}") for number in range(14)])
        for number in range(2):
            await ledger.cancel(f"j{number}")
        await ledger.set_numbers({"queue.capacity": 2})
        rerun = await ledger.rerun(["j0", "j1"])
        assert (ids(rerun.jobs), len(rerun.dropped)) == (["j0", "j1"], 5)
        assert ids(rerun.dropped)[:2] == ["j2", "j3"]
        assert (await ledger.snapshot()).waiting == 9
