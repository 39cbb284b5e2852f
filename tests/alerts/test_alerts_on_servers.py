"""Schedulers of several processes on a server, as far as one event loop can be several: one of them tells."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from pacer import Scheduler
from pacer.alerts import Alert, AlertMessage, JobEnded, PausedFor
from pacer.protocols import Store

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


@pytest.fixture(params=["postgres", "redis"])
def store(request: pytest.FixtureRequest, postgres_schema: str, redis_prefix: str) -> Store:
    if request.param == "postgres":
        from pacer.stores.postgres import PostgresStore

        return PostgresStore(request.getfixturevalue("postgres").dsn, schema=postgres_schema, poll=0.1)
    from pacer.stores.redis import RedisStore

    return RedisStore(request.getfixturevalue("redis").url, prefix=redis_prefix, poll=0.1)


async def test_of_several_processes_one_tells(store: Store) -> None:
    told = list[tuple[str, bool]]()
    something = anyio.Event()

    async def tell(message: AlertMessage) -> None:
        nonlocal something
        told.append((message.alert, message.firing))
        something.set()
        something = anyio.Event()

    async def until_told(count: int) -> None:
        with anyio.fail_after(60):
            while len(told) < count:
                await something.wait()

    def one() -> Scheduler:
        alerts = [
            Alert(PausedFor(0), tell, over_after=0, check_every=1),
            Alert(JobEnded("failed"), tell, check_every=1),
        ]
        scheduler = Scheduler(store=store, alerts=alerts)
        scheduler.task(fail, name="fail")
        return scheduler

    async with one() as first, one(), one():
        await looked(first)
        await first.pause()
        await until_told(1)
        await first.resume()
        await until_told(2)
        await first.enqueue(fail)
        await until_told(3)
        await looks(first, 2)
    assert told == [("PausedFor(0)", True), ("PausedFor(0)", False), ("JobEnded(failed)", True)]


async def fail() -> None:
    raise ValueError


async def looked(scheduler: Scheduler) -> None:
    """Wait until it is known which jobs have ended before."""
    ledger: Any = scheduler._running.worker.ledger
    with anyio.fail_after(60):
        while "alert:JobEnded(failed):seen" not in (await ledger.snapshot(0)).queue.ticks:
            await anyio.sleep(0.05)


async def looks(scheduler: Scheduler, count: int) -> None:
    """Wait until all have looked so often, whether there is something to tell or not: they do so every second."""
    began = scheduler._running.worker.ledger.now()
    while scheduler._running.worker.ledger.now() < began + count:
        await anyio.sleep(0.05)
