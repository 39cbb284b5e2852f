"""What is measured of queues on a server, whoever they are of: how fast jobs come in and end, how soon one starts."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import perf_counter
from typing import Protocol

import attrs

from benchmarks.contest import Figures, quantile
from pacer import BoundedQueue, Scheduler, call
from pacer.protocols import Store

CALLERS = 100
BATCH = 500
SLOTS = 50

Started = Callable[[int], object]


class Queue(Protocol):
    """A contender, on an empty queue of its own; a job is a number. Nothing runs outside `working`."""

    async def one(self, number: int) -> object:
        """Enqueue a job; it is in the database when this returns."""

    @property
    def many(self) -> Callable[[Sequence[int]], Awaitable[object]] | None:
        """Enqueue these in one call; None if there is no such call."""

    def working(self, started: Started) -> AbstractAsyncContextManager[object]:
        """Run jobs, at most 50 at once, each of which only says that it has started."""

    async def left(self) -> int:
        """How many jobs have not ended in the database."""


@attrs.frozen
class Jobs:
    """How many: one after the other from one caller, from each of 100 callers at once, and batches of 500."""

    from_one: int
    each: int
    batches: int

    @property
    def total(self) -> int:
        return self.from_one + self.each * CALLERS + self.batches * BATCH


async def rates(queue: Queue, jobs: Jobs) -> Figures:
    """Enqueue while nobody works, then drain: until all have run once, and the database says that they have ended."""
    numbers, figures = itertools.count(), {}

    async def enqueue_some(count: int) -> None:
        for _ in range(count):
            await queue.one(next(numbers))

    began = perf_counter()
    await enqueue_some(jobs.from_one)
    figures["enqueue_one_caller_per_s"] = jobs.from_one / (perf_counter() - began)
    began = perf_counter()
    await asyncio.gather(*(enqueue_some(jobs.each) for _ in range(CALLERS)))
    figures["enqueue_100_callers_per_s"] = jobs.each * CALLERS / (perf_counter() - began)
    if queue.many is not None:
        began = perf_counter()
        for _ in range(jobs.batches):
            await queue.many(list(itertools.islice(numbers, BATCH)))
        figures["enqueue_batch_500_per_s"] = jobs.batches * BATCH / (perf_counter() - began)
    total = next(numbers)
    assert await queue.left() == total
    figures["drain_per_s"] = total / await draining(queue, total)
    return figures


async def draining(queue: Queue, total: int) -> float:
    """Seconds that it takes to run what waits."""
    seen, all_seen = list[int](), asyncio.Event()

    def started(number: int) -> None:
        seen.append(number)
        if len(seen) == total:
            all_seen.set()

    began = perf_counter()
    async with queue.working(started):
        await all_seen.wait()
        await empty(queue)
        took = perf_counter() - began
    assert sorted(seen) == list(range(total))
    return took


async def empty(queue: Queue) -> None:
    while await queue.left():  # noqa: ASYNC110 - what is asked is in a database
        await asyncio.sleep(0.001)


async def latency(queue: Queue, jobs: int) -> Figures:
    """One job at a time, while nothing else waits or runs: from the call of enqueue to the start of the job."""
    waits, going = list[float](), asyncio.Event()
    called = 0.0

    def started(number: int) -> None:
        waits.append(perf_counter() - called)
        going.set()

    warm_up = 5
    async with queue.working(started):
        for number in range(jobs + warm_up):
            going.clear()
            called = perf_counter()
            await queue.one(number)
            await going.wait()
            await empty(queue)
            await asyncio.sleep(0.005)
    assert len(waits) == jobs + warm_up
    waits = waits[warm_up:]
    return {f"start_p{level}_ms": quantile(waits, level / 100) * 1e3 for level in (50, 99)} | {
        "start_max_ms": max(waits) * 1e3
    }


@attrs.frozen(eq=False)
class Scheduled:
    """pacer: one scheduler enqueues and asks, as a web application does, another runs the jobs, each as it would alone.

    Both are in this process, as both halves of the other contenders are.
    """

    producer: Scheduler
    worker: Scheduler
    _started: list[Started] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.producer.task(name="work")(self.work)
        self.worker.task(name="work")(self.work)

    async def work(self, number: int) -> None:
        self._started[-1](number)

    async def one(self, number: int) -> object:
        return await self.producer.enqueue(self.work, number)

    async def many(self, numbers: Sequence[int]) -> object:
        return await self.producer.enqueue_many([call(self.work, number) for number in numbers])

    @asynccontextmanager
    async def working(self, started: Started) -> AsyncGenerator[None]:
        self._started.append(started)
        async with self.worker:
            yield

    async def left(self) -> int:
        status = await self.producer.status()
        return status.pending + status.running


@asynccontextmanager
async def scheduled(store: Callable[[], Store], capacity: int) -> AsyncGenerator[Scheduled]:
    """Two schedulers on one queue with 50 slots."""

    def scheduler(slots: int) -> Scheduler:
        return Scheduler(queue=BoundedQueue(capacity), store=store(), concurrency=SLOTS, worker_concurrency=slots)

    queue = Scheduled(scheduler(0), scheduler(SLOTS))
    async with queue.producer:
        yield queue
