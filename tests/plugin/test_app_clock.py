"""Virtual time for FastAPI's `TestClient`, which runs the app on an event loop in another thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from starlette.testclient import TestClient

from pacer import Scheduler
from pacer.fastapi import ReceiptView, lifespan, queue_router
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore
from pacer.testing import AppClock, VirtualTimeError, rehearse


@pytest.fixture
def scheduler(tmp_path):
    return Scheduler(pacing=FixedPause(10), store=SqliteStore(tmp_path / "own.db"), observers=())


@pytest.fixture
def app(scheduler):
    app = FastAPI(lifespan=lifespan(scheduler))
    app.include_router(queue_router(scheduler, include_results=True))

    @scheduler.task
    async def summarise(text: str) -> str:
        await anyio.sleep(20)
        return text.upper()

    @app.post("/summaries", status_code=202)
    async def submit(text: str) -> ReceiptView:
        return ReceiptView.of(await scheduler.enqueue(summarise, text))

    @app.get("/summaries/{job_id}")
    async def wait(job_id: str) -> str:
        return await scheduler.wait(job_id)

    return app


@pytest.mark.parametrize("in_a_file", [False, True])
def test_time_stands_between_requests_and_moves_when_told(app, scheduler, tmp_path, in_a_file):
    clock, store = AppClock(), SqliteStore(tmp_path / "test.db") if in_a_file else None
    with rehearse(scheduler, store=store) as rehearsal:
        with clock.client(app) as client:
            assert clock.now == 0
            jobs = [client.post("/summaries", params={"text": text}).json()["job_id"] for text in ("a", "b")]

            def states():
                return [client.get(f"/queue/jobs/{job}").json()["state"] for job in jobs]

            clock.advance(0)
            assert states() == ["running", "queued"]
            clock.advance(20)
            assert states() == ["succeeded", "queued"]
            clock.advance(9.75)
            assert states() == ["succeeded", "queued"]
            clock.advance(0.25)
            assert states() == ["succeeded", "running"]
            assert clock.now == pytest.approx(30, abs=1e-6)
        assert rehearsal.report.outcomes == ["succeeded", "released"]
        assert rehearsal.report.starts == [0, 30]


def test_a_request_that_waits_lets_time_pass(app, scheduler):
    clock = AppClock()
    with rehearse(scheduler), clock.client(app) as client:
        jobs = [client.post("/summaries", params={"text": text}).json()["job_id"] for text in ("a", "b", "c")]
        assert client.get(f"/summaries/{jobs[2]}").json() == "C"
        assert clock.now == 80
        clock.advance(100)
        assert clock.now == 180


def test_coroutine_functions_can_be_called_on_the_apps_loop(app, scheduler):
    clock = AppClock()
    with rehearse(scheduler) as rehearsal, clock.client(app) as client:
        job = client.post("/summaries", params={"text": "a"}).json()["job_id"]
        assert clock.call(scheduler.wait, job) == "A"
        client.post("/summaries", params={"text": "b"})
        report = clock.call(rehearsal.drain)
        assert report.starts == [0, 30]
        with pytest.raises(LookupError):
            clock.call(scheduler.job, "unknown")


def test_time_passes_at_start_and_stop_in_background_tasks_and_between_messages_of_a_websocket():
    told = list[float]()

    @asynccontextmanager
    async def slow(app: FastAPI) -> AsyncGenerator[None]:
        await anyio.sleep(100)
        yield
        await anyio.sleep(100)

    app = FastAPI(lifespan=slow)

    @app.get("/")
    async def get(background: BackgroundTasks) -> None:
        background.add_task(anyio.sleep, 50)

    @app.websocket("/")
    async def talk(socket: WebSocket) -> None:
        await socket.accept()
        while await socket.receive_text() != "end":
            await anyio.sleep(7)
            await socket.send_text(f"{anyio.current_time():g}")
            told.append(anyio.current_time())
        await socket.close()

    clock = AppClock()
    with clock.client(app) as client:
        assert clock.now == 100
        client.get("/")
        assert clock.now == 150
        with client.websocket_connect("/") as socket:
            for expected in ("157", "164"):
                socket.send_text("x")
                assert socket.receive_text() == expected
            clock.advance(6)
            assert clock.now == 170
            socket.send_text("end")
    assert clock.now == 270
    assert told == [157, 164]


def test_a_client_of_ones_own_class_can_be_used(app, scheduler):
    class Ours(TestClient):
        pass

    clock = AppClock()
    with rehearse(scheduler), Ours(clock.wrap(app), backend_options=clock.backend_options) as client:
        client.post("/summaries", params={"text": "a"})
        clock.advance(20)
        assert client.get("/queue/status").json()["succeeded"] == 1
    with pytest.raises(TypeError, match=r"pass backend_options=clock\.backend_options"), Ours(clock.wrap(app)):
        pass


def test_an_app_in_which_nothing_can_happen_any_more_is_an_error_not_a_hang():
    app = FastAPI()

    @app.get("/")
    async def get() -> None:
        await asyncio.Event().wait()

    @app.get("/fine")
    async def fine() -> str:
        await anyio.sleep(1)
        return "fine"

    with AppClock().client(app) as client:
        with pytest.raises(VirtualTimeError, match="nothing can happen any more"):
            client.get("/")
        assert client.get("/fine").json() == "fine"


def test_a_websocket_that_listens_to_a_test_which_listens_to_it_is_an_error_not_a_hang(monkeypatch):
    app = FastAPI()

    @app.websocket("/")
    async def tell(socket: WebSocket) -> None:
        await socket.accept()

        async def later() -> None:
            await anyio.sleep(5)
            await socket.send_text("later")

        async with anyio.create_task_group() as group:
            group.start_soon(later)
            await socket.receive_text()

    clock = AppClock()
    with clock.client(app) as client:
        with client.websocket_connect("/") as socket:
            clock.advance(5)
            assert socket.receive_text() == "later"
            socket.send_text("end")
        clock._running_loop()._patience = 0.05
        with (
            pytest.raises(VirtualTimeError, match="a websocket of the app listens"),
            client.websocket_connect("/") as socket,
        ):
            socket.receive_text()


def test_the_clock_of_an_app_that_does_not_run_says_so(app, scheduler):
    clock = AppClock()
    assert clock.now == 0
    for _ in range(2):
        with pytest.raises(RuntimeError, match="the app does not run; use it inside `with clock"):
            clock.advance(1)
        with rehearse(scheduler), clock.client(app), pytest.raises(ValueError, match="advance goes forward"):
            clock.advance(-1)
    with pytest.raises(RuntimeError, match="the app does not run"):
        clock.call(anyio.sleep, 1)
