"""Jobs in a SQLite file, beside huey's SQLite queue with the same sync setting, and beside one commit a job by hand."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Literal

import attrs
import pytest
from huey import SqliteHuey

from benchmarks.contest import Contest, Figures
from pacer import BoundedQueue, Scheduler
from pacer._job import JobRecord, Outcome, OutcomeKind
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.stores.sqlite import SqliteStore

CALLERS = 100
SYNCHRONOUS = {"power": "FULL", "process": "NORMAL"}
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED)

Durability = Literal["power", "process"]


@attrs.frozen
class Jobs:
    """How many jobs: from each of 100 callers at once, then one after the other from one caller."""

    each: int
    from_one: int

    @property
    def total(self) -> int:
        return self.each * CALLERS + self.from_one

    def per_second(self, from_all: float, from_one: float, draining: float) -> Figures:
        """From the seconds that it took."""
        return {
            "enqueue_100_callers_per_s": self.each * CALLERS / from_all,
            "enqueue_one_caller_per_s": self.from_one / from_one,
            "drain_per_s": self.total / draining,
        }


@pytest.fixture
def new_file(tmp_path: Path) -> Callable[[], Path]:
    """A new path each time."""
    numbers = itertools.count()
    return lambda: tmp_path / f"{next(numbers)}.db"


def in_threads(run: Callable[[], object], count: int) -> float:
    """Run it in so many threads at once; seconds until all have ended."""
    gate = threading.Barrier(count + 1)

    def one() -> None:
        gate.wait()
        run()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    gate.wait()
    began = perf_counter()
    for thread in threads:
        thread.join()
    return perf_counter() - began


async def in_tasks(run: Callable[[], Awaitable[object]], count: int) -> float:
    """Run it in so many tasks at once; seconds until all have ended."""
    began = perf_counter()
    await asyncio.gather(*(run() for _ in range(count)))
    return perf_counter() - began


# -- one commit a job, by hand: what the disk and the driver can do ---------------------------------------------------


def by_hand(path: Path, durability: Durability, jobs: int) -> Figures:
    """INSERT and commit; then, for each, one UPDATE and commit. One thread, no queue."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={SYNCHRONOUS[durability]}")
        connection.execute("CREATE TABLE job (id INTEGER PRIMARY KEY, state TEXT, payload TEXT)")
        began = perf_counter()
        for number in range(jobs):
            connection.execute("INSERT INTO job VALUES (?, 'queued', ?)", (number, f"[[{number}], {{}}]"))
        enqueued = perf_counter()
        for number in range(jobs):
            connection.execute("UPDATE job SET state = 'done' WHERE id = ?", (number,))
        drained = perf_counter()
        assert connection.execute("SELECT count(*) FROM job WHERE state = 'done'").fetchone() == (jobs,)
    return {"enqueue_one_caller_per_s": jobs / (enqueued - began), "drain_per_s": jobs / (drained - enqueued)}


# -- huey -------------------------------------------------------------------------------------------------------------


def open_huey(path: Path, durability: Durability) -> tuple[SqliteHuey, Callable[[int], object], list[int]]:
    """Huey in WAL mode (its default) with its `fsync=True`, which is synchronous=FULL.

    It has no setting for NORMAL; that is set on its one connection, which all of its threads share.
    """
    huey, done = SqliteHuey("benchmark", filename=str(path), fsync=True), []

    @huey.task()
    def work(number: int) -> None:
        done.append(number)

    connection = huey.storage.conn
    connection.execute(f"PRAGMA synchronous={SYNCHRONOUS[durability]}")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2 if durability == "power" else 1,)
    return huey, work, done


def huey_worker(huey: SqliteHuey) -> None:
    """What a worker of huey's consumer does, until there is no more."""
    while (task := huey.dequeue()) is not None:
        huey.execute(task)


def with_huey(path: Path, durability: Durability, jobs: Jobs, workers: int) -> Figures:
    """100 threads enqueue, then one does; then so many threads drain. Takes a job off the disk when it starts it."""
    huey, work, done = open_huey(path, durability)

    def enqueue_some(count: int) -> None:
        for number in range(count):
            work(number)

    from_all = in_threads(lambda: enqueue_some(jobs.each), CALLERS)
    from_one = in_threads(lambda: enqueue_some(jobs.from_one), 1)
    assert huey.pending_count() == jobs.total
    draining = in_threads(lambda: huey_worker(huey), workers)
    assert len(done) == jobs.total
    assert huey.pending_count() == 0
    huey.storage.close()
    return jobs.per_second(from_all, from_one, draining)


# -- pacer ------------------------------------------------------------------------------------------------------------


async def with_scheduler(path: Path, durability: Durability, jobs: Jobs, slots: int) -> Figures:
    """The same through `Scheduler`: a claim and a settlement a job, both on disk; results and learned state kept."""
    done: list[int] = []
    all_done = asyncio.Event()
    async with Scheduler(
        queue=BoundedQueue(jobs.total), store=SqliteStore(path, durability=durability), concurrency=slots
    ) as scheduler:

        @scheduler.task(name="work")
        async def work(number: int) -> None:
            done.append(number)
            if len(done) == jobs.total:
                all_done.set()

        async def enqueue_some(count: int) -> None:
            for number in range(count):
                await scheduler.enqueue(work, number)

        await scheduler.pause()
        from_all = await in_tasks(lambda: enqueue_some(jobs.each), CALLERS)
        from_one = await in_tasks(lambda: enqueue_some(jobs.from_one), 1)
        assert (await scheduler.status()).pending == jobs.total
        began = perf_counter()
        await scheduler.resume()
        await all_done.wait()
        await scheduler.drain()
        draining = perf_counter() - began
        assert (await scheduler.status()).succeeded == len(done) == jobs.total
    return jobs.per_second(from_all, from_one, draining)


async def with_ledger(path: Path, durability: Durability, jobs: Jobs, slots: int) -> Figures:
    """The store alone: add, claim and settle, without tasks, events and receipts."""
    rules = Rules(BoundedQueue(jobs.total), Unpaced(), NoBackoff(), MovingAverage(), concurrency=slots)
    numbers, settled = itertools.count(), itertools.count()
    tasks = frozenset({"work"})
    async with SqliteStore(path, durability=durability).open("default", rules, "worker") as ledger:
        await ledger.recover(tasks)

        async def add_some(count: int) -> None:
            for _ in range(count):
                await ledger.add([JobRecord(f"job-{next(numbers)}", "work", "[[1],{}]")])

        async def settle_some() -> None:
            while claimed := (await ledger.claim(tasks, 1)).jobs:
                await ledger.settle(claimed[0], SUCCEEDED, None)
                next(settled)

        from_all = await in_tasks(lambda: add_some(jobs.each), CALLERS)
        from_one = await in_tasks(lambda: add_some(jobs.from_one), 1)
        assert (await ledger.snapshot()).waiting == jobs.total
        draining = await in_tasks(settle_some, slots)
        assert next(settled) == (await ledger.snapshot()).queue.succeeded == jobs.total
    return jobs.per_second(from_all, from_one, draining)


@pytest.mark.parametrize("durability", ["power", "process"])
def test_jobs_in_a_sqlite_file(contest: Contest, new_file: Callable[[], Path], durability: Durability) -> None:
    """Few jobs where each waits for the disk alone: rates, not sums, are compared."""
    many = Jobs(contest.size(50, 1), contest.size(500, 10))
    few = Jobs(contest.size(5, 1), contest.size(500, 10))

    def ours(run: Callable[..., Coroutine[None, None, Figures]], jobs: Jobs, slots: int) -> Figures:
        return asyncio.run(run(new_file(), durability, jobs, slots))

    contest.run(
        f"jobs in a SQLite file, synchronous={SYNCHRONOUS[durability]}",
        {
            "huey, 1 worker": lambda: with_huey(new_file(), durability, many, 1),
            "huey, 50 workers": lambda: with_huey(new_file(), durability, many, 50),
            "pacer, 50 slots": partial(ours, with_scheduler, many, 50),
            "pacer, 1 slot": partial(ours, with_scheduler, few, 1),
            "pacer's store alone, 50 slots": partial(ours, with_ledger, many, 50),
            "pacer's store alone, 1 slot": partial(ours, with_ledger, few, 1),
            "by hand, a commit a job": lambda: by_hand(new_file(), durability, few.total),
        },
    )
