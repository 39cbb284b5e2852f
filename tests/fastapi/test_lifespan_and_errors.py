"""The scheduler's lifetime in an application, the dependency, and errors as answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI, Request, WebSocket

from pacer import (
    BoundedQueue,
    ImpossibleJobError,
    NotRunningError,
    QueueFullError,
    Scheduler,
    StoreError,
    UnknownJobError,
)
from pacer.estimators import MovingAverage
from pacer.fastapi import ReceiptView, SchedulerDep, install_error_handlers, lifespan, problem_responses
from pacer.pacing import FixedPause

pytestmark = pytest.mark.anyio


def client_of(app: FastAPI, **options: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app, **options), base_url="http://test")


async def nap() -> None:
    await anyio.sleep(60)


async def test_the_scheduler_runs_exactly_as_long_as_the_application() -> None:
    scheduler = Scheduler()
    app = FastAPI(lifespan=lifespan(scheduler))
    async with app.router.lifespan_context(app):
        assert (await scheduler.status()).working
    with pytest.raises(NotRunningError):
        await scheduler.status()


async def test_the_inner_lifespan_is_around_the_jobs_and_its_state_is_passed_on() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def resources(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        log.append("opened")
        yield {"model": "qwen"}
        log.append("closed")

    async def uses_resources() -> None:
        log.append("job began")
        try:
            await anyio.sleep(1000)
        finally:
            log.append("job ended")

    scheduler = Scheduler()
    app = FastAPI(lifespan=lifespan(scheduler, resources))
    async with app.router.lifespan_context(app) as state:
        assert state["model"] == "qwen"
        await scheduler.enqueue(uses_resources)
        await anyio.sleep(1)
    assert log == ["opened", "job began", "job ended", "closed"]


async def test_an_inner_lifespan_without_state_is_fine() -> None:
    @asynccontextmanager
    async def silent(app: FastAPI) -> AsyncGenerator[None]:
        yield

    app = FastAPI(lifespan=lifespan(Scheduler(), silent))
    async with app.router.lifespan_context(app) as state:
        assert len(state) == 1


def test_a_bare_generator_as_inner_lifespan_is_refused_with_a_hint() -> None:
    async def bare(app: FastAPI) -> AsyncGenerator[None]:
        yield

    with pytest.raises(TypeError, match="asynccontextmanager"):
        lifespan(Scheduler(), bare)  # type: ignore[arg-type]


def reference_app(capacity: int = 50) -> tuple[FastAPI, Scheduler]:
    scheduler = Scheduler(
        queue=BoundedQueue(capacity), pacing=FixedPause(10), estimator=MovingAverage(initial=60, weight=0.2)
    )
    app = FastAPI(lifespan=lifespan(scheduler))
    install_error_handlers(app)

    @app.post("/nap", status_code=202, responses=problem_responses(429, 503))
    async def start(scheduler: SchedulerDep) -> ReceiptView:
        return ReceiptView.of(await scheduler.enqueue(nap))

    return app, scheduler


async def test_the_dependency_finds_the_running_scheduler() -> None:
    app, scheduler = reference_app()
    async with app.router.lifespan_context(app), client_of(app) as client:
        answer = await client.post("/nap")
        assert answer.status_code == 202
        assert (await scheduler.job(answer.json()["job_id"])).task.endswith("nap")


async def test_the_dependency_finds_the_scheduler_in_the_request_state_that_servers_pass_on() -> None:
    app, scheduler = reference_app()

    async def with_state(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {"pacer_scheduler": scheduler}}, receive, send)

    async with (
        scheduler,
        httpx.AsyncClient(transport=httpx.ASGITransport(with_state), base_url="http://test") as client,
    ):
        assert (await client.post("/nap")).status_code == 202


async def test_the_dependency_works_for_websockets() -> None:
    scheduler = Scheduler()
    app = FastAPI(lifespan=lifespan(scheduler))

    @app.websocket("/watch")
    async def watch(socket: WebSocket, scheduler: SchedulerDep) -> None:
        await socket.accept()
        await socket.send_json((await scheduler.status()).pending)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/watch", "headers": [], "query_string": b"", "subprotocols": []}
    async with app.router.lifespan_context(app):
        await app(scope, receive, send)
    assert [message.get("text") for message in sent] == [None, "0"]


async def test_a_missing_lifespan_is_named_as_the_cause() -> None:
    app = FastAPI()

    @app.get("/")
    async def show(scheduler: SchedulerDep) -> None: ...

    async with client_of(app) as client:
        with pytest.raises(RuntimeError, match=r"FastAPI\(lifespan=pacer.fastapi.lifespan\(scheduler\)\)"):
            await client.get("/")


async def test_the_51st_waiting_request_gets_429_with_whole_seconds_and_a_problem() -> None:
    app, _ = reference_app()
    async with app.router.lifespan_context(app), client_of(app) as client:
        await client.post("/nap")
        await anyio.sleep(1)  # it runs now and takes no slot
        positions = [(await client.post("/nap")).json()["position"] for _ in range(50)]
        refused = await client.post("/nap")
        assert positions == list(range(1, 51))
        assert refused.status_code == 429
        # 59 s of the running job and the pause after it, and a little because it may be a slow one; rounded up.
        assert refused.headers["retry-after"] == "70"
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json() == {
            "type": "about:blank",
            "title": "Too Many Requests",
            "status": 429,
            "detail": "The queue is full: 50 jobs wait. A slot is expected to be free in 70 s.",
            "code": "queue-full",
            "retry_after": pytest.approx(69, abs=0.01),
            "capacity": 50,
        }
        await anyio.sleep(70)
        assert (await client.post("/nap")).status_code == 202


@pytest.mark.parametrize(
    ("error", "status", "code", "header"),
    [
        (QueueFullError(5, 0.1), 429, "queue-full", "1"),
        (QueueFullError(5, 12.01), 429, "queue-full", "13"),
        (NotRunningError("stopped"), 503, "not-running", "5"),
        (StoreError("the file /var/secret/jobs.db is away"), 503, "store-unavailable", "5"),
        (UnknownJobError("x"), 404, "unknown-job", None),
        (ImpossibleJobError("its cost of 9 tokens is above the 5"), 422, "impossible-job", None),
    ],
)
async def test_each_error_has_its_answer(error: Exception, status: int, code: str, header: str | None) -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    async def fail(request: Request) -> None:
        raise error

    async with client_of(app) as client:
        answer = await client.get("/")
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
    assert answer.headers.get("retry-after") == header
    assert "secret" not in answer.text


def test_the_openapi_page_shows_the_429_of_a_users_own_route() -> None:
    app, _ = reference_app()
    answers = app.openapi()["paths"]["/nap"]["post"]["responses"]
    assert answers["429"]["headers"]["Retry-After"]["schema"]["type"] == "integer"
    schema = answers["429"]["content"]["application/problem+json"]["schema"]
    assert {"type", "title", "status", "detail"} <= set(schema["properties"])
