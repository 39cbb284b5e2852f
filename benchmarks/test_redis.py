"""Jobs in Redis, beside BullMQ, taskiq's streams, and what the driver does by hand; AOF synced every second."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.contest import Contest, Figures
from benchmarks.queues import Jobs, Queue, latency, rates, scheduled
from benchmarks.redis_contenders import bull_mq, by_hand, emptied, taskiq_stream
from benchmarks.test_latency import questions
from pacer.stores.redis import RedisStore

if TYPE_CHECKING:
    from servers import RedisServer

Opening = Callable[[str], AbstractAsyncContextManager[Queue]]


def pacer(url: str) -> AbstractAsyncContextManager[Queue]:
    return scheduled(lambda: RedisStore(url), capacity=1_000_000)


def test_jobs_in_redis(contest: Contest, redis: RedisServer) -> None:
    jobs = Jobs(contest.size(1000, 5), contest.size(30, 1), contest.size(10, 1))

    def run(opening: Opening) -> Figures:
        return asyncio.run(measured(opening, redis.url, partial(rates, jobs=jobs)))

    contest.run(
        f"jobs in Redis, drained with 50 slots ({jobs.total} jobs)",
        {
            "BullMQ": lambda: run(bull_mq),
            "taskiq, stream (no batches)": lambda: run(taskiq_stream),
            "pacer": lambda: run(pacer),
            "redis-py by hand, 50 jobs a claim": lambda: run(partial(by_hand, claim=50, workers=1)),
            "redis-py by hand, 1 job a claim": lambda: run(partial(by_hand, claim=1, workers=50)),
        },
    )


def test_from_enqueue_to_start_in_redis(contest: Contest, redis: RedisServer) -> None:
    jobs = contest.size(100, 5)

    def run(opening: Opening) -> Figures:
        return asyncio.run(measured(opening, redis.url, partial(latency, jobs=jobs)))

    contest.run(
        f"from enqueue to start in Redis, one job at a time ({jobs} jobs)",
        {
            "redis-py by hand: XADD, XREADGROUP": lambda: run(partial(by_hand, claim=1, workers=1)),
            "BullMQ": lambda: run(bull_mq),
            "taskiq, stream": lambda: run(taskiq_stream),
            "pacer": lambda: run(pacer),
        },
    )


def test_questions_with_many_jobs_waiting_in_redis(contest: Contest, redis: RedisServer) -> None:
    times = contest.size(200, 3)

    def run(waiting: int) -> Figures:
        return asyncio.run(asked(waiting))

    async def asked(waiting: int) -> Figures:
        await emptied(redis.url)
        return await questions(RedisStore(redis.url), waiting, times)

    contest.run(
        "questions with many jobs waiting, Redis",
        {f"{depth} waiting": partial(run, depth) for depth in ([1000, 2000] if contest.short else [1000, 1_000_000])},
        rounds=3,
    )


async def measured(opening: Opening, url: str, measure: Callable[[Queue], Awaitable[Figures]]) -> Figures:
    await emptied(url)
    async with opening(url) as queue:
        return await measure(queue)
