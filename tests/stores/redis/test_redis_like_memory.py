"""A Redis store answers as the memory store does, whatever is done to it."""

from __future__ import annotations

import itertools

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from like_memory import CASES, RERUNS, check_like_memory

from pacer.pacing import Unpaced
from pacer.queues._bounded import BoundedQueue
from pacer.stores.redis import RedisStore

_numbers = itertools.count()


@given(**CASES)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_redis_store_answers_as_the_memory_store(redis, redis_prefix, queue, pacing, concurrency, operations):
    prefix = f"{redis_prefix}-{next(_numbers)}"

    async def main() -> None:
        await check_like_memory(
            lambda clock: RedisStore(redis.url, prefix=prefix, clock=clock, lease=30, ahead=0),
            queue,
            pacing,
            concurrency,
            operations,
        )

    anyio.run(main)


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
@pytest.mark.parametrize("queue", [BoundedQueue(50), BoundedQueue(3), BoundedQueue(3, "drop-oldest")], ids=repr)
async def test_jobs_come_back_as_in_the_memory_store(redis, redis_prefix, queue):
    await check_like_memory(
        lambda clock: RedisStore(redis.url, prefix=redis_prefix, clock=clock, lease=30, ahead=0),
        queue,
        Unpaced(),
        3,
        RERUNS,
    )
