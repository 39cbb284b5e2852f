"""A server that is not there, or has no room, and what applications say then."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

import anyio
import attrs
import httpx
import psycopg
import pytest
import redis as redis_client
from fastapi import FastAPI
from pool_worker import Plan, make_scheduler
from proxy import Proxy
from servers import PASSWORD, PostgresServer, RedisServer, Server, free_port

from pacer import Scheduler, StoreError, StoreUnavailableError, events
from pacer.fastapi import ReceiptView, install_error_handlers, lifespan
from pacer.testing import Recorder

T = TypeVar("T")

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


async def opening_fails(plan: Plan) -> StoreError:
    """What a scheduler says that cannot start."""
    scheduler, _ = make_scheduler(plan)
    with pytest.raises(StoreError) as caught:
        async with scheduler:
            pass
    return caught.value


async def until_it_works(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again and again; what is asked may fail for a while."""
    deadline = time.monotonic() + 30
    while True:
        try:
            return await ask()
        except StoreUnavailableError:
            assert time.monotonic() < deadline
            await anyio.sleep(0.05)


async def test_a_server_that_is_not_there_is_named_without_the_password(plan: Plan) -> None:
    nobody = free_port()
    error = await opening_fails(attrs.evolve(plan, address=plan.by_way_of(nobody)))
    assert isinstance(error, StoreUnavailableError)
    assert f"127.0.0.1:{nobody}" in str(error)
    assert PASSWORD not in str(error)


async def test_a_wrong_password_is_not_repeated(plan: Plan) -> None:
    error = await opening_fails(attrs.evolve(plan, address=plan.address.replace(PASSWORD, "open-sesame")))
    assert "password" in str(error)
    assert "open-sesame" not in str(error)


def take_all(server: Server, stack: ExitStack) -> None:
    """All connections that the server has left."""
    if isinstance(server, PostgresServer):
        with pytest.raises(psycopg.OperationalError, match="too many"):
            while True:
                stack.enter_context(psycopg.connect(server.dsn))
    elif isinstance(server, RedisServer):
        with pytest.raises(redis_client.ConnectionError, match="max number of clients"):
            while True:
                client = stack.enter_context(redis_client.Redis.from_url(server.url, single_connection_client=True))
                client.ping()


@pytest.fixture(params=["postgres", "redis"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Plan]]:
    """A server with room for few, and a queue on it."""
    with (
        PostgresServer({"max_connections": "12"})
        if request.param == "postgres"
        else RedisServer({"maxclients": "12"}) as server
    ):
        address = server.dsn if isinstance(server, PostgresServer) else server.url
        yield server, Plan(name="w", log=str(tmp_path / "log"), store=request.param, address=address, place="q")


async def test_a_server_without_room_refuses_and_works_as_soon_as_there_is_some(small: tuple[Server, Plan]) -> None:
    server, plan = small
    with ExitStack() as others:
        take_all(server, others)
        error = await opening_fails(plan)
        assert isinstance(error, StoreUnavailableError)
        assert "too many clients" in str(error) or "max number of clients" in str(error)
        assert PASSWORD not in str(error)

    scheduler, work = make_scheduler(plan)

    async def use() -> None:
        async with scheduler:
            assert await scheduler.wait(await scheduler.enqueue(work, 7)) == 7

    await until_it_works(use)


async def test_a_scheduler_that_has_lost_its_place_to_others_goes_on_when_there_is_room(
    small: tuple[Server, Plan],
) -> None:
    server, plan = small
    with Proxy(server.port) as proxy, ExitStack() as others:
        scheduler, work = make_scheduler(attrs.evolve(plan, address=plan.by_way_of(proxy.port)))
        async with scheduler:
            await scheduler.enqueue(work, 1)
            proxy.refuse()
            proxy.cut()
            take_all(server, others)
            proxy.accept()
            with pytest.raises(StoreUnavailableError) as caught:
                await scheduler.enqueue(work, 2)
            assert PASSWORD not in str(caught.value)
            others.close()
            receipt = await until_it_works(lambda: scheduler.enqueue(work, 3))
            assert await scheduler.wait(receipt) == 3


async def test_an_application_says_that_it_is_out_of_order_and_goes_on_by_itself(server: Server, plan: Plan) -> None:
    recorder = Recorder()
    scheduler, work = make_scheduler(plan)
    scheduler = attrs.evolve(scheduler, observers=(recorder,))
    app = application(scheduler, work)
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):
        assert (await client.post("/jobs")).status_code == 202
        server.kill()
        for _ in range(3):
            answer = await client.post("/jobs")
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert PASSWORD not in answer.text
            assert "127.0.0.1" not in answer.text
        assert (await client.get("/status")).status_code == 503
        server.start()

        async def accepted() -> httpx.Response:
            answer = await client.post("/jobs")
            if answer.status_code == 503:
                raise StoreUnavailableError
            return answer

        answer = await until_it_works(accepted)
        assert answer.status_code == 202
        assert await scheduler.wait(answer.json()["job_id"]) == 1
    assert recorder.of(events.StoreFailed)
    assert all(PASSWORD not in repr(event) for event in recorder.events)


def application(scheduler: Scheduler, work: Any) -> FastAPI:
    app = FastAPI(lifespan=lifespan(scheduler))
    install_error_handlers(app)

    @app.post("/jobs", status_code=202)
    async def submit() -> ReceiptView:
        return ReceiptView.of(await scheduler.enqueue(work, 1))

    @app.get("/status")
    async def status() -> int:
        return (await scheduler.status()).pending

    return app
