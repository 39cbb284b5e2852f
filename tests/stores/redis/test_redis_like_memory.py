"""A Redis store answers as the memory store does, whatever is done to it."""

from __future__ import annotations

import itertools

import anyio
from hypothesis import HealthCheck, given, settings
from like_memory import CASES, check_like_memory

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
