"""Schedulers that share a memory store hear of each other at once, and not with the next poll."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest

from pacer import Outcome, OutcomeKind, Scheduler
from pacer._job import JobRecord
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import ManualPace
from pacer.queues._bounded import BoundedQueue
from pacer.stores import MemoryStore
from pacer.testing import ManualClock

pytestmark = pytest.mark.anyio

TASKS = frozenset({"work"})
# Heartbeats and polls come so late that nothing in these tests can be owed to them.
LEASE = 10_000.0


@attrs.define(eq=False)
class Heard:
    """What one of the workers has been told."""

    changes: int = 0
    ends: list[str | None] = attrs.field(factory=list)

    def changed(self) -> None:
        self.changes += 1

    def ended(self, job_id: str | None) -> None:
        self.ends.append(job_id)

    def take(self) -> tuple[bool, list[str | None]]:
        heard = self.changes > 0, self.ends
        self.changes, self.ends = 0, []
        return heard


@asynccontextmanager
async def two_ledgers() -> AsyncGenerator[tuple[Any, Any, Heard, Heard, ManualClock]]:
    clock = ManualClock(0.0)
    store = MemoryStore(lease=LEASE, clock=clock)
    rules = Rules(BoundedQueue(3, "drop-oldest"), ManualPace(1000), NoBackoff(), MovingAverage(), concurrency=5)
    a, b = Heard(), Heard()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(store.open("default", rules, "one"))
        two = await stack.enter_async_context(store.open("default", rules, "two"))
        one.watch(a.changed, a.ended)
        two.watch(b.changed, b.ended)
        yield one, two, a, b, clock


def job(job_id: str, **fields: Any) -> JobRecord:
    return JobRecord(job_id, "work", **fields)


async def test_the_others_are_told_of_what_comes_in_what_ends_and_what_people_say() -> None:
    async with two_ledgers() as (one, two, a, b, clock):
        await one.add([job("j1"), job("j2", expires=60)])
        assert b.take() == (True, [])
        claimed = await two.claim(TASKS, 1)
        assert a.take() == (False, [])
        await two.settle(claimed.jobs[0], Outcome(OutcomeKind.SUCCEEDED), None)
        assert a.take() == (True, ["j1"])
        await one.set_paused(True)
        assert b.take() == (True, [])
        await one.set_paused(False)
        await one.set_rate(500)
        assert b.take() == (True, [])
        clock.advance(60)
        await one.expire()
        assert b.take() == (True, ["j2"])
        await one.add([job("j3")])
        await one.cancel("j3")
        assert b.take() == (True, ["j3"])
        await one.add([job(f"n{number}") for number in range(3)])
        b.take()
        await one.add([job("n3")])
        assert b.take() == (True, ["n0"])
        (held,) = (await one.claim(TASKS, 1)).jobs
        await one.release([held], begun=False)
        assert b.take() == (True, [held.id])


async def test_nobody_is_told_of_its_own_doings_or_after_it_has_left() -> None:
    clock = ManualClock(0.0)
    store = MemoryStore(lease=LEASE, clock=clock)
    rules = Rules(BoundedQueue(9), ManualPace(1000), NoBackoff(), MovingAverage())
    heard, other = Heard(), Heard()
    async with store.open("default", rules, "one") as one:
        one.watch(heard.changed, heard.ended)
        async with store.open("default", rules, "two") as two:
            two.watch(other.changed, other.ended)
            await one.add([job("j1")])
            assert heard.take() == (False, [])
            assert other.take() == (True, [])
        await one.add([job("j2")])
        assert (heard.take(), other.take()) == ((False, []), (False, []))


async def test_a_job_enqueued_by_one_scheduler_starts_at_once_on_the_other_which_hears_of_the_end_at_once() -> None:
    store, ran = MemoryStore(lease=LEASE), []

    def station(slots: int) -> tuple[Scheduler, Any]:
        scheduler = Scheduler(store=store, concurrency=1, worker_concurrency=slots)

        @scheduler.task(name="work")
        async def work() -> str:
            ran.append(anyio.current_time())
            await anyio.sleep(3)
            return "done"

        return scheduler, work

    producer, task = station(0)
    worker, _ = station(1)
    async with producer, worker:
        await anyio.sleep(5)
        receipt = await producer.enqueue(task)
        assert await producer.wait(receipt.job_id) == "done"
        # Not a second of the thousands until the next heartbeat.
        assert anyio.current_time() - ran[0] == pytest.approx(3, abs=1e-6)
        assert anyio.current_time() == pytest.approx(8, abs=1e-6)


async def test_whoever_waits_for_room_hears_of_a_start_elsewhere_that_makes_some() -> None:
    store = MemoryStore(lease=LEASE)

    def station(slots: int) -> tuple[Scheduler, Any]:
        queue = BoundedQueue(1, when_full="wait")
        scheduler = Scheduler(queue=queue, store=store, concurrency=1, worker_concurrency=slots)

        @scheduler.task(name="work")
        async def work() -> None:
            await anyio.sleep(100)

        return scheduler, work

    producer, task = station(0)
    worker, _ = station(1)
    async with producer, worker:
        began = anyio.current_time()
        await producer.options(delay=5).enqueue(task)
        await producer.enqueue(task)
        assert anyio.current_time() - began == pytest.approx(5, abs=1e-6)
