"""Every store keeps the store's contract."""

from __future__ import annotations

import itertools

import anyio
import pytest

from pacer.stores import MemoryStore
from pacer.stores.postgres import PostgresStore
from pacer.stores.redis import RedisStore
from pacer.stores.sqlite import SqliteStore
from pacer.testing import STORE_CHECKS, HeldStore, check_store


def memory(clock, lease):
    return MemoryStore(clock=clock, lease=lease)


@pytest.mark.anyio
@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_memory_store_keeps_the_contract(check):
    await check(memory)


@pytest.mark.anyio
async def test_a_held_memory_store_keeps_the_contract():
    await check_store(lambda clock, lease: HeldStore(memory(clock, lease)))


@pytest.fixture
def sqlite(tmp_path):
    """Makes SQLite stores, each on a file of its own."""
    numbers = itertools.count()
    return lambda clock, lease: SqliteStore(tmp_path / f"{next(numbers)}.db", clock=clock, lease=lease)


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_sqlite_store_keeps_the_contract(check, sqlite):
    await check(sqlite)


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_a_held_sqlite_store_keeps_the_contract_in_virtual_time(sqlite):
    await check_store(lambda clock, lease: HeldStore(sqlite(clock, lease)))
    assert anyio.current_time() == 0, "no call of a held store takes virtual time"


@pytest.fixture
def postgres_stores(postgres, postgres_schema):
    """Makes PostgreSQL stores, each in a schema of its own."""
    numbers = itertools.count()
    return lambda clock, lease: PostgresStore(
        postgres.dsn, schema=f"{postgres_schema}-{next(numbers)}", clock=clock, lease=lease, ahead=0
    )


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_postgres_store_keeps_the_contract(check, postgres_stores):
    await check(postgres_stores)


@pytest.fixture
def redis_stores(redis, redis_prefix):
    """Makes Redis stores, each with a prefix of its own."""
    numbers = itertools.count()
    return lambda clock, lease: RedisStore(
        redis.url, prefix=f"{redis_prefix}-{next(numbers)}", clock=clock, lease=lease, ahead=0
    )


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_redis_store_keeps_the_contract(check, redis_stores):
    await check(redis_stores)
