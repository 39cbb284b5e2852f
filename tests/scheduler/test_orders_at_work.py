"""Orders with a state on real schedulers: across restarts, and over several schedulers on one store."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from every_store import MakeStore, on_every_store
from orders import Line, ids

from pacer import BoundedQueue, Scheduler
from pacer.protocols import JobOrder
from pacer.queues import FairShare, Lifo
from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore, SampleJob

FAIR = FairShare({"b": 2})
FIRST = [f"{key}{number}" for number in range(6) for key in "aab"]
LATER = ["b-late", "c-late", "a-late", "c-last"]


class Works:
    """Jobs of 10 s that note their names when they are done."""

    def __init__(self, make_store: MakeStore, order: JobOrder[Any]) -> None:
        self.done: list[str] = []
        self.make_store, self.order = make_store, order

    def scheduler(self) -> Scheduler:
        scheduler = Scheduler(store=self.make_store(), queue=BoundedQueue(50, order=self.order), observers=())

        @scheduler.task(name="work")
        async def work(name: str) -> None:
            await anyio.sleep(10)
            self.done.append(name)

        self.work = work
        return scheduler

    async def add(self, scheduler: Scheduler, *names: str) -> None:
        for name in names:
            await scheduler.options(key=name[0]).enqueue(self.work, name)


def expected(order: JobOrder[Any], before_more: int) -> list[str]:
    """In miniature: so many have started when the later ones come in."""
    line = Line(order)
    for number, name in enumerate(FIRST):
        line.add(SampleJob(id=name, key=name[0], created_at=float(number)))
    started = [line.start() for _ in range(before_more)]
    for number, name in enumerate(LATER):
        line.add(SampleJob(id=name, key=name[0], created_at=100.0 + number))
    return ids(started + line.drain())


@pytest.mark.parametrize("order", [FAIR, Lifo()], ids=lambda order: type(order).__name__)
def test_a_restart_in_mid_run_changes_nothing_about_who_is_next(order: JobOrder[Any], tmp_path: Any) -> None:
    """Stopped in the middle of the fourth job, which is put back and comes first again; then others come in."""

    @on_every_store
    async def play(make_store: MakeStore) -> None:
        works = Works(make_store, order)
        async with works.scheduler() as scheduler:
            await scheduler.pause()
            await works.add(scheduler, *FIRST)
            await scheduler.resume()
            await anyio.sleep(35)
        assert len(works.done) == 3
        async with works.scheduler() as scheduler:
            await anyio.sleep(1)  # the fourth runs again
            await works.add(scheduler, *LATER)
            await scheduler.drain()
        assert works.done == expected(order, before_more=4)

    for store, backend in (("memory", "asyncio"), ("memory", "trio"), ("sqlite", "asyncio")):
        path = tmp_path / f"{store}-{backend}"
        path.mkdir()
        play(store, backend, path)


@on_every_store
async def test_a_key_that_floods_the_queue_delays_another_by_the_job_that_runs(make_store: MakeStore) -> None:
    works = Works(make_store, FairShare())
    async with works.scheduler() as scheduler:
        await works.add(scheduler, *(f"a{number}" for number in range(30)))
        await anyio.sleep(25)
        receipt = await scheduler.options(key="b").enqueue(works.work, "b0")
        assert receipt.position == 1
        await works.add(scheduler, *(f"a{number}" for number in range(30, 45)))
        await scheduler.wait(receipt)
    assert works.done == ["a0", "a1", "a2", "b0"]


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.parametrize("order", [FAIR, Lifo()], ids=lambda order: type(order).__name__)
async def test_two_schedulers_on_one_file_start_jobs_in_one_order(order: JobOrder[Any], tmp_path: Any) -> None:
    """Each has a connection and a memory of the queue of its own, as two processes have."""

    def make_store() -> HeldStore:
        clock = asyncio.get_running_loop().time
        return HeldStore(SqliteStore(tmp_path / "jobs.db", durability="process", clock=clock))

    works = Works(make_store, order)
    async with works.scheduler() as one:
        works_of_one = works.work
        async with works.scheduler() as two:
            await one.pause()
            for number, name in enumerate(FIRST):
                scheduler = (one, two)[number % 2]
                function = (works_of_one, works.work)[number % 2]
                await scheduler.options(key=name[0]).enqueue(function, name)
            await two.resume()
            await anyio.sleep(31)
            await works.add(two, *LATER)
            await one.drain()
    assert works.done == expected(order, before_more=4)
