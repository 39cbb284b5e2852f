"""Workers hear each other from the first commit on, whoever came first."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from pacer import Scheduler
from pacer.protocols import Store
from pacer.stores.postgres import PostgresStore
from pacer.stores.redis import RedisStore

# Long enough for a test to fail that waits for somebody to look.
POLL = 1000.0


@pytest.fixture(params=["postgres", "redis"])
def store(request: pytest.FixtureRequest) -> Store:
    server: Any = request.getfixturevalue(request.param)
    if request.param == "postgres":
        return PostgresStore(server.dsn, schema=request.getfixturevalue("postgres_schema"), poll=POLL)
    return RedisStore(server.url, prefix=request.getfixturevalue("redis_prefix"), poll=POLL)


async def work() -> str:
    return "done"


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
@pytest.mark.parametrize("worker_first", [True, False])
async def test_the_first_job_of_a_process_that_has_just_come_is_heard_by_the_worker(
    store: Store, worker_first: bool
) -> None:
    worker, producer = Scheduler(store=store), Scheduler(store=store, worker_concurrency=0)
    for scheduler in (worker, producer):
        scheduler.task(name="work")(work)
    first, second = (worker, producer) if worker_first else (producer, worker)
    async with first, second:
        await listening(first, second)
        with anyio.fail_after(60):
            assert await producer.wait(await producer.enqueue(work)) == "done"


async def listening(*schedulers: Scheduler) -> None:
    """Until then they look every half second."""
    for scheduler in schedulers:
        while scheduler._running.worker.ledger.poll != POLL:
            await anyio.sleep(0.01)
