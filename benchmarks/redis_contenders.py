"""Queues in Redis: by hand on its driver, BullMQ's Python package, and taskiq's stream broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import bullmq
import taskiq
from redis.asyncio import Redis
from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from benchmarks.queues import SLOTS, Started

STREAM, GROUP = "jobs", "workers"


async def emptied(url: str) -> None:
    """Nothing is left in this server; what was written is in its file, which it syncs every second."""
    async with Redis.from_url(url, decode_responses=True) as client:
        await client.flushall()
        settings = await client.config_get("append*")
        assert (settings["appendonly"], settings["appendfsync"]) == ("yes", "everysec")


@attrs.frozen(eq=False)
class ByHand:
    """A stream with a consumer group; a job that has ended is acknowledged and removed.

    Attributes:
        claim: How many jobs a worker takes in one call; it ends them together, too.
        workers: How many tasks do so.
    """

    client: Redis
    claim: int
    workers: int

    async def one(self, number: int) -> object:
        return await self.client.xadd(STREAM, {"number": number})

    async def many(self, numbers: Sequence[int]) -> object:
        async with self.client.pipeline() as pipeline:
            for number in numbers:
                pipeline.xadd(STREAM, {"number": number})
            return await pipeline.execute()

    @asynccontextmanager
    async def working(self, started: Started) -> AsyncGenerator[None]:
        workers = [asyncio.create_task(self._worker(str(one), started)) for one in range(self.workers)]
        yield
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    async def _worker(self, name: str, started: Started) -> None:
        while True:
            found: Any = await self.client.xreadgroup(GROUP, name, {STREAM: ">"}, count=self.claim, block=1000)
            for _, jobs in found:
                for _, fields in jobs:
                    started(int(fields["number"]))
                ids = [number for number, _ in jobs]
                async with self.client.pipeline() as pipeline:
                    await pipeline.xack(STREAM, GROUP, *ids).xdel(STREAM, *ids).execute()

    async def left(self) -> int:
        return int(await self.client.xlen(STREAM))


@asynccontextmanager
async def by_hand(url: str, claim: int, workers: int) -> AsyncGenerator[ByHand]:
    async with Redis.from_url(url, decode_responses=True) as client:
        await client.xgroup_create(STREAM, GROUP, mkstream=True)
        yield ByHand(client, claim, workers)


@attrs.frozen(eq=False)
class BullMQ:
    """BullMQ keeps ended jobs; a batch is one transaction."""

    url: str
    queue: bullmq.Queue

    async def one(self, number: int) -> object:
        return await self.queue.add("work", {"number": number})

    async def many(self, numbers: Sequence[int]) -> object:
        return await self.queue.addBulk([{"name": "work", "data": {"number": number}} for number in numbers])

    @asynccontextmanager
    async def working(self, started: Started) -> AsyncGenerator[None]:
        async def work(job: bullmq.Job, _: str) -> None:
            started(job.data["number"])

        worker = bullmq.Worker(STREAM, work, {"connection": self.url, "concurrency": SLOTS})
        yield
        await worker.close(force=True)

    async def left(self) -> int:
        return sum((await self.queue.getJobCounts("waiting", "active", "paused")).values())


@asynccontextmanager
async def bull_mq(url: str) -> AsyncGenerator[BullMQ]:
    queue = bullmq.Queue(STREAM, {"connection": url})
    yield BullMQ(url, queue)
    await queue.close()


@attrs.frozen(eq=False)
class TaskiqStream:
    """taskiq with a stream and without a result backend. It has no call for batches, and never shortens the stream."""

    broker: RedisStreamBroker
    client: Redis
    task: taskiq.AsyncTaskiqDecoratedTask[[int], None]
    _started: list[Started]

    many = None

    async def one(self, number: int) -> object:
        return await self.task.kiq(number)

    @asynccontextmanager
    async def working(self, started: Started) -> AsyncGenerator[None]:
        self._started.append(started)
        running = asyncio.create_task(run_receiver_task(self.broker, sync_workers=1, max_async_tasks=SLOTS))
        yield
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    async def left(self) -> int:
        (group,) = await self.client.xinfo_groups("taskiq")
        return int(group["pending"]) + int(group["lag"])


@asynccontextmanager
async def taskiq_stream(url: str) -> AsyncGenerator[TaskiqStream]:
    broker, started = RedisStreamBroker(url), list[Started]()

    @broker.task
    async def work(number: int) -> None:
        started[-1](number)

    async with Redis.from_url(url, decode_responses=True) as client:
        await broker.startup()
        yield TaskiqStream(broker, client, work, started)
        await broker.shutdown()
