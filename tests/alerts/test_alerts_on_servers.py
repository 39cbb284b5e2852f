"""Schedulers of several processes on a server, as far as one event loop can be several: one of them tells."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from servers import RedisServer

from pacer import Scheduler, StoreUnavailableError, events
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


async def test_a_store_that_is_away_for_a_while_keeps_nobody_from_being_told_later(redis_prefix: str) -> None:
    from pacer.stores.redis import RedisStore

    told, away = anyio.Event(), anyio.Event()

    async def tell(message: AlertMessage) -> None:
        told.set()

    def observe(event: Any) -> None:
        if isinstance(event, events.StoreFailed) and event.action == "alerts":
            away.set()

    with RedisServer({"appendfsync": "always"}) as server:
        store = RedisStore(server.url, prefix=redis_prefix, poll=0.1)
        alerts = [Alert(PausedFor(0), tell, check_every=1)]
        async with Scheduler(store=store, alerts=alerts, observers=[observe]) as scheduler:
            server.kill()
            with anyio.fail_after(60):
                await away.wait()
            server.start()
            with anyio.fail_after(60):
                while True:
                    try:
                        await scheduler.pause()
                        break
                    except StoreUnavailableError:
                        await anyio.sleep(0.05)
                await told.wait()
