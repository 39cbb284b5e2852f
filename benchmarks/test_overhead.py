"""What one job costs when nothing is paced and nothing is stored."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import tracemalloc
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from time import perf_counter, process_time
from typing import Any

from benchmarks.contest import Contest, Figures
from benchmarks.in_app_queue import InAppQueue
from pacer import BoundedQueue, Scheduler, call
from pacer.stores import MemoryStore

MICROSECONDS = 1e6


class Work:
    """A job that counts how often it ran."""

    def __init__(self) -> None:
        self.done = 0

    async def __call__(self, number: int) -> None:
        self.done += 1


class Stopwatch:
    """Times the two halves of a run; by the wall, and in all by the processor, which other processes disturb less."""

    def __init__(self) -> None:
        self.cpu = process_time()
        self.began = perf_counter()

    def enqueued(self) -> None:
        self.between = perf_counter()

    def drained(self) -> None:
        self.ended = perf_counter()
        self.cpu = process_time() - self.cpu

    def per_job(self, jobs: int) -> Figures:
        scale = MICROSECONDS / jobs
        return {
            "enqueue_us": (self.between - self.began) * scale,
            "drain_us": (self.ended - self.between) * scale,
            "total_us": (self.ended - self.began) * scale,
            "cpu_us": self.cpu * scale,
        }


async def in_app_queue(jobs: int) -> Figures:
    """The loop that applications write for themselves, pause 0."""
    work, queue = Work(), InAppQueue(jobs, pause=0)
    worker = asyncio.create_task(queue.work())
    watch = Stopwatch()
    for number in range(jobs):
        await queue.enqueue(f"job-{number}", work, number)
    watch.enqueued()
    await queue.jobs.join()
    watch.drained()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert work.done == queue.processed == jobs
    return watch.per_job(jobs)


async def bare_queue(jobs: int) -> Figures:
    """An asyncio.Queue and nothing else."""
    work, queue = Work(), asyncio.Queue[int](maxsize=jobs)

    async def run() -> None:
        while True:
            number = await queue.get()
            await work(number)
            queue.task_done()

    worker = asyncio.create_task(run())
    watch = Stopwatch()
    for number in range(jobs):
        queue.put_nowait(number)
    watch.enqueued()
    await queue.join()
    watch.drained()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
    assert work.done == jobs
    return watch.per_job(jobs)


async def task_per_job(jobs: int) -> Figures:
    """One asyncio.Task a job, all at once: no queue, no bound, no order."""
    work = Work()
    watch = Stopwatch()
    tasks = [asyncio.create_task(work(number)) for number in range(jobs)]
    watch.enqueued()
    await asyncio.gather(*tasks)
    watch.drained()
    assert work.done == jobs
    return watch.per_job(jobs)


async def scheduled(jobs: int, *, registered: bool, batches: bool = False, **parts: Any) -> Figures:
    """`Scheduler` with default parts: a log observer (at Python's default level), a moving average, one slot."""
    work = Work()
    async with Scheduler(queue=BoundedQueue(jobs), store=MemoryStore(), **parts) as scheduler:
        if registered:
            scheduler.task(name="work")(work)
        watch = Stopwatch()
        if batches:
            for first in range(0, jobs, 100):
                await scheduler.enqueue_many(call(work, first + number) for number in range(100))
        else:
            for number in range(jobs):
                await scheduler.enqueue(work, number)
        watch.enqueued()
        await scheduler.drain()
        watch.drained()
        succeeded = (await scheduler.status()).succeeded
    assert work.done == succeeded == jobs
    return watch.per_job(jobs)


def test_a_job_in_memory_without_pace(contest: Contest) -> None:
    jobs = contest.size(20_000, 300)
    contenders: Mapping[str, Callable[[], Coroutine[None, None, Figures]]] = {
        "in-app queue": lambda: in_app_queue(jobs),
        "bare asyncio.Queue": lambda: bare_queue(jobs),
        "asyncio.Task per job": lambda: task_per_job(jobs),
        "pacer, registered task": lambda: scheduled(jobs, registered=True),
        "pacer, any function": lambda: scheduled(jobs, registered=False),
        "pacer, batches of 100": lambda: scheduled(jobs, registered=True, batches=True),
        "pacer, 50 slots": lambda: scheduled(jobs, registered=True, concurrency=50),
        "pacer, no observers": lambda: scheduled(jobs, registered=True, observers=()),
    }
    contest.run(
        f"a job in memory, without pace ({jobs} jobs)",
        {name: lambda run=run: asyncio.run(run()) for name, run in contenders.items()},
        rounds=7,
    )


@contextmanager
def log_lines_written() -> Iterator[None]:
    """As an application logs in production: INFO and above, formatted with time and level, to a file."""
    root = logging.getLogger()
    with tempfile.TemporaryFile("w") as file:
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        before = root.level
        root.addHandler(handler)
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.setLevel(before)
            root.removeHandler(handler)


def test_a_job_in_memory_with_its_log_lines_written(contest: Contest) -> None:
    """Both log three lines a job."""
    jobs = contest.size(20_000, 300)

    def logged(run: Callable[[], Coroutine[None, None, Figures]]) -> Figures:
        with log_lines_written():
            return asyncio.run(run())

    contest.run(
        f"a job in memory, without pace, with its log lines written ({jobs} jobs)",
        {
            "in-app queue": lambda: logged(lambda: in_app_queue(jobs)),
            "pacer, registered task": lambda: logged(lambda: scheduled(jobs, registered=True)),
        },
        rounds=7,
    )


async def bytes_in_app_queue(jobs: int) -> Figures:
    work, queue = Work(), InAppQueue(jobs, pause=0)
    before, _ = tracemalloc.get_traced_memory()
    for number in range(jobs):
        await queue.enqueue(f"job-{number}", work, number)
    after, _ = tracemalloc.get_traced_memory()
    assert queue.jobs.qsize() == jobs
    return {"bytes_per_queued_job": (after - before) / jobs}


async def bytes_scheduled(jobs: int, *, registered: bool) -> Figures:
    """Receipts are let go of: what is counted is what the queue keeps."""
    work = Work()
    async with Scheduler(queue=BoundedQueue(jobs)) as scheduler:
        if registered:
            scheduler.task(name="work")(work)
        await scheduler.pause()
        before, _ = tracemalloc.get_traced_memory()
        for number in range(jobs):
            await scheduler.enqueue(work, number)
        after, _ = tracemalloc.get_traced_memory()
        assert (await scheduler.status()).pending == jobs
    return {"bytes_per_queued_job": (after - before) / jobs}


def traced(run: Callable[[], Coroutine[None, None, Figures]]) -> Figures:
    """Counts what Python's allocator hands out; the same on every machine with the same Python."""
    tracemalloc.start()
    try:
        return asyncio.run(run())
    finally:
        tracemalloc.stop()


def test_bytes_of_a_queued_job(contest: Contest) -> None:
    jobs = contest.size(100_000, 300)
    contest.run(
        f"memory of a queued job ({jobs} jobs)",
        {
            "in-app queue": lambda: traced(lambda: bytes_in_app_queue(jobs)),
            "pacer, registered task": lambda: traced(lambda: bytes_scheduled(jobs, registered=True)),
            "pacer, any function": lambda: traced(lambda: bytes_scheduled(jobs, registered=False)),
        },
        rounds=1,
    )
