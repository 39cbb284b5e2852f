"""Workers hear of each other by NOTIFY, on a connection of its own that is made anew when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable

import attrs
import psycopg
import pytest
from backend_contract import commit, opened
from proxy import Proxy

from pacer.stores._postgres import _notices
from pacer.stores._postgres._backend import channel_of
from pacer.stores._postgres._notices import PostgresNotices

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


@attrs.define(eq=False)
class Ear:
    """What has been heard."""

    texts: list[str] = attrs.field(factory=list)
    connections: list[bool] = attrs.field(factory=list)
    _something: asyncio.Event = attrs.field(factory=asyncio.Event)

    def hear(self, text: str) -> None:
        self.texts.append(text)
        self._something.set()

    def connected(self, there: bool) -> None:
        self.connections.append(there)
        self._something.set()

    async def until(self, look: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not look():
                self._something.clear()
                await self._something.wait()


@contextlib.asynccontextmanager
async def listening(notices: PostgresNotices) -> AsyncGenerator[Ear]:
    ear = Ear()
    task = asyncio.create_task(notices.run(ear.hear, ear.connected))
    try:
        await ear.until(lambda: ear.connections == [True])
        yield ear
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert ear.connections[-1] is False


async def test_notices_come_in_order_and_only_those_of_the_queue(place, make):
    (backend,) = opened(make, "a")
    (other,) = opened(lambda worker: make(worker, queue="other"), "a")
    async with listening(PostgresNotices(place.target(), channel_of(place.schema, "default"))) as ear:
        for number in range(20):
            commit(other, notice="not for us")
            commit(backend, notice=f"{number}\né")
        commit(backend)
        commit(backend, notice="last")
        await ear.until(lambda: "last" in ear.texts)
        assert ear.texts == [*(f"{number}\né" for number in range(20)), "last"]


async def test_a_lost_connection_is_told_and_made_anew(place, make):
    (backend,) = opened(make, "a")
    async with listening(PostgresNotices(place.target(), channel_of(place.schema, "default"))) as ear:
        place.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
        await ear.until(lambda: ear.connections == [True, False, True])
        commit(backend, notice="again")
        await ear.until(lambda: ear.texts == ["again"])


async def test_a_connection_that_is_silent_is_asked_whether_it_is_there(postgres, place, make, monkeypatch):
    monkeypatch.setattr(_notices, "QUIET", 0.05)
    (backend,) = opened(make, "a")
    with Proxy(postgres.port) as proxy:
        dsn = place.dsn.replace(f":{postgres.port}/", f":{proxy.port}/")
        target = place.target(dsn=dsn, timeout=0.1, connect_timeout=2.0)
        async with listening(PostgresNotices(target, channel_of(place.schema, "default"))) as ear:
            commit(backend, notice="heard")
            await ear.until(lambda: ear.texts == ["heard"])
            proxy.stall()
            await ear.until(lambda: ear.connections == [True, False])
            proxy.cut()
            proxy.flow()
            await ear.until(lambda: ear.connections == [True, False, True])


async def test_a_server_that_is_away_is_tried_again_until_cancelled(place):
    ear = Ear()
    away = PostgresNotices(place.target(dsn="host=127.0.0.1 port=1 user=nobody"), "channel")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await away.run(ear.hear, ear.connected)
    assert ear.connections == []


async def test_a_cancellation_that_the_driver_loses_while_it_connects_counts_all_the_same(place, monkeypatch):
    connect, connecting = psycopg.AsyncConnection.connect, asyncio.Event()

    async def losing(**arguments):
        connecting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return await connect(**arguments)

    monkeypatch.setattr(psycopg.AsyncConnection, "connect", losing)
    ear = Ear()
    task = asyncio.create_task(PostgresNotices(place.target(), "channel").run(ear.hear, ear.connected))
    await connecting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 30)
    assert task.cancelled()
    assert ear.connections == []
