"""A queue in Redis, as one worker sees it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from backends import backend

from pacer.stores._redis._backend import RedisBackend


@pytest.fixture
def worker(redis, redis_prefix) -> Iterator[RedisBackend]:
    made = backend(redis.url, redis_prefix)
    yield made
    made.close()


@pytest.fixture
def other(redis, redis_prefix) -> Iterator[RedisBackend]:
    """Another worker of the same queue."""
    made = backend(redis.url, redis_prefix, "b")
    yield made
    made.close()
