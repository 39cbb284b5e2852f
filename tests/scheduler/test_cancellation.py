"""Cancellation at every single step: of a caller who enqueues, and of a whole scheduler at work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from pacer import BoundedQueue, JobState, Scheduler, UnknownJobError, events
from pacer.backoff import ConstantBackoff
from pacer.pacing import FixedPause
from pacer.protocols import Store
from pacer.stores import MemoryStore
from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore, VirtualTimeLoop

MakeStore = Callable[[Path], Store]


def on_disk(path: Path) -> Store:
    return HeldStore(
        SqliteStore(path / "jobs.db", durability="process", lease=20, clock=asyncio.get_running_loop().time)
    )


def in_memory(path: Path) -> Store:
    return MemoryStore()


@pytest.fixture(params=[in_memory, on_disk], ids=["memory", "sqlite"])
def make_store(request: pytest.FixtureRequest) -> MakeStore:
    make: MakeStore = request.param
    return make


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def run(main: Any) -> Any:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def test_a_caller_cancelled_at_any_step_leaves_the_whole_job_or_none(make_store: MakeStore, tmp_path: Path) -> None:
    async def main() -> None:
        scheduler = Scheduler(queue=BoundedQueue(1000), store=make_store(tmp_path))

        @scheduler.task(name="work")
        async def work(n: int) -> int:
            return n

        async def local(n: int) -> int:
            return n

        entered = 0
        async with scheduler:
            await scheduler.pause()
            for n in range(40):
                for function in (work, local):
                    job_id = f"{function.__name__}-{n}"
                    task = asyncio.create_task(scheduler.options(job_id=job_id).enqueue(function, n))
                    await steps(n)
                    task.cancel()
                    done = (await asyncio.gather(task, return_exceptions=True))[0]
                    try:
                        assert (await scheduler.job(job_id)).state is JobState.QUEUED
                        entered += 1
                    except UnknownJobError:
                        # Whoever was told that the job is in the queue was told the truth.
                        assert isinstance(done, asyncio.CancelledError)
            assert (await scheduler.status()).pending == entered
            await scheduler.resume()
            assert await scheduler.drain(timeout=60)
            assert (await scheduler.status()).succeeded == entered
            assert entered > 0

    run(main())


def make_scheduler(store: Store, observe: Callable[[Any], None]) -> tuple[Scheduler, Any]:
    scheduler = Scheduler(
        queue=BoundedQueue(10_000),
        pacing=FixedPause(0.001),
        backoff=ConstantBackoff(0.001),
        store=store,
        concurrency=2,
        max_recoveries=1000,
        observers=(observe,),
    )

    @scheduler.task(name="work")
    async def work(n: int) -> int:
        await steps(n % 3)
        if n % 4 == 0:
            raise OSError
        return n

    return scheduler, work


def test_a_scheduler_cancelled_at_any_step_loses_nothing_and_settles_nothing_twice(
    make_store: MakeStore, tmp_path: Path
) -> None:
    async def main() -> None:
        # A thread takes many steps of the loop to answer.
        first_stride = 1 if make_store is in_memory else 10
        settled: Counter[str] = Counter()
        acknowledged: set[str] = set()
        store = make_store(tmp_path)

        def observe(event: Any) -> None:
            if isinstance(event, events.JobSucceeded | events.JobFailed):
                settled[event.job_id] += 1

        def make() -> tuple[Scheduler, Any]:
            return make_scheduler(store, observe)

        async def session(started: asyncio.Event) -> None:
            scheduler, work = make()
            async with scheduler:
                started.set()
                for n in range(4):
                    receipt = await scheduler.enqueue(work, n)
                    acknowledged.add(receipt.job_id)
                await scheduler.drain()

        numbers = count()
        while (number := next(numbers)) < 150 or len(acknowledged) <= 150:
            stride = first_stride * 2 ** (number // 150)  # a slow thread answers only after many steps: cancel later
            started = asyncio.Event()
            task = asyncio.create_task(session(started))
            if number % 10:  # now and then cancel while it starts
                await started.wait()
            await steps(number % 150 * stride)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert len(asyncio.all_tasks()) == 1

        scheduler, _ = make()
        async with scheduler:
            assert await scheduler.drain(timeout=600)
            states = {job_id: (await scheduler.job(job_id)).state for job_id in acknowledged}
        assert set(states.values()) == {JobState.SUCCEEDED, JobState.FAILED}
        # Each end was told once: also that of a job whose scheduler was cancelled while it was being written.
        assert acknowledged <= set(settled)
        assert set(settled.values()) == {1}

    run(main())
