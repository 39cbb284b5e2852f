"""The stream of events against clients that are slow, and stores that fail, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest

from pacer import Scheduler, StoreError
from pacer.fastapi._events import Telling, stream_events
from pacer.fastapi._streaming import ServerStream
from pacer.pacing import FixedPause

pytestmark = pytest.mark.anyio


@attrs.define(eq=False)
class Client:
    """The other end of an answer: it reads only while `reading` is set."""

    reading: anyio.Event = attrs.field(factory=anyio.Event)
    gone: anyio.Event = attrs.field(factory=anyio.Event)
    text: str = ""
    complete: bool = False

    async def send(self, message: Any) -> None:
        await self.reading.wait()
        self.text += message.get("body", b"").decode()
        self.complete |= message["type"] == "http.response.body" and not message.get("more_body", False)

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def names(self) -> list[str]:
        lines = self.text.replace("\r", "").split("\n")
        return [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]


@asynccontextmanager
async def watched(scheduler: Scheduler, client: Client, **settings: Any) -> AsyncGenerator[anyio.abc.TaskGroup]:
    answer = stream_events(scheduler, **{"status_interval": 5.0, "buffer": 10, **settings})
    scope = {"type": "http", "method": "GET", "path": "/"}
    async with anyio.create_task_group() as task_group:
        task_group.start_soon(answer, scope, client.receive, client.send)
        await anyio.sleep(0.001)
        yield task_group
        task_group.cancel_scope.cancel()


async def work() -> None:
    await anyio.sleep(1)


async def test_a_client_that_does_not_read_slows_nothing_and_is_told_what_it_missed() -> None:
    client = Client()
    client.reading.set()
    async with Scheduler(pacing=FixedPause(0)) as scheduler, watched(scheduler, client):
        client.reading = anyio.Event()
        for _ in range(50):
            await scheduler.enqueue(work)
        begun = anyio.current_time()
        await scheduler.drain()
        assert anyio.current_time() - begun == pytest.approx(50, abs=0.01)
        client.reading.set()
        await anyio.sleep(0.1)
    names = client.names()
    assert "missed" in names
    # The newest are kept.
    assert names[-1] == "job_succeeded"
    assert names.count("job_succeeded") < 50


async def test_a_client_that_reads_misses_nothing() -> None:
    client = Client()
    client.reading.set()
    async with Scheduler() as scheduler, watched(scheduler, client):
        for _ in range(50):
            await scheduler.enqueue(work)
            await anyio.sleep(2)
    names = client.names()
    assert names.count("job_enqueued") == names.count("job_started") == names.count("job_succeeded") == 50
    assert "missed" not in names
    assert names[0] == "status"
    # One at the beginning and one every 5 of 100 s.
    assert 20 <= names.count("status") <= 21


async def test_a_client_that_leaves_ends_its_stream() -> None:
    client = Client()
    client.reading.set()
    async with Scheduler() as scheduler, watched(scheduler, client) as task_group:
        client.gone.set()
        await anyio.sleep(0.1)
        client.text = ""
        await scheduler.enqueue(work)
        await anyio.sleep(10)
        assert client.text == ""
        assert not task_group.cancel_scope.cancel_called


async def test_the_stream_ends_in_order_when_the_scheduler_stops() -> None:
    client = Client()
    client.reading.set()
    async with anyio.create_task_group() as task_group:
        async with Scheduler() as scheduler:
            answer = stream_events(scheduler, 5.0, 10)
            scope = {"type": "http", "method": "GET", "path": "/"}
            task_group.start_soon(answer, scope, client.receive, client.send)
            await anyio.sleep(1)
        await anyio.sleep(1)
        assert client.complete
        assert client.names()[-1] == "scheduler_stopped"


async def test_a_store_that_fails_for_a_while_costs_a_status_and_nothing_else() -> None:
    client = Client()
    client.reading.set()
    async with Scheduler() as scheduler, watched(scheduler, client):
        await anyio.sleep(1)
        status, failing = Scheduler.status, True

        async def sometimes(self: Scheduler) -> Any:
            if failing:
                raise StoreError("/secret/jobs.db: the disk is away")
            return await status(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Scheduler, "status", sometimes)
            before = client.names().count("status")
            await anyio.sleep(10)
            assert client.names().count("status") == before
            failing = False
            await anyio.sleep(5)
            assert client.names().count("status") == before + 1
    assert "secret" not in client.text


async def test_what_only_operators_should_see_is_not_sent() -> None:
    class Bad:
        """A pacing policy that fails when asked."""

        def initial_state(self) -> None:
            return None

        def earliest(self, *facts: object) -> Any:
            raise RuntimeError("internal detail")

        def started(self, *facts: object) -> None:
            return None

        ended = started

    client = Client()
    client.reading.set()
    async with Scheduler(pacing=Bad()) as scheduler, watched(scheduler, client):  # type: ignore[arg-type]
        await scheduler.enqueue(work)
        await anyio.sleep(30)
    assert "job_succeeded" in client.names()
    assert "part_misbehaved" not in client.names()
    assert "internal detail" not in client.text


async def test_the_stream_ends_when_the_server_is_told_to_stop() -> None:
    names: list[str | None] = []
    async with Scheduler() as scheduler:
        stream = ServerStream(Telling(scheduler, scheduler.utc(0.0), 1000.0, 10).messages())

        async def read() -> None:
            names.extend([message.event async for message in stream.messages()])

        async with anyio.create_task_group() as task_group:
            task_group.start_soon(read)
            task_group.start_soon(stream.end_with_server)
            await anyio.sleep(1)
            await scheduler.enqueue(work)
            await anyio.sleep(0.5)
            stream.stopping.set()
    assert names == ["status", "job_enqueued", "job_started"]


async def test_a_stream_that_begins_while_the_server_stops_ends_at_once() -> None:
    async with Scheduler() as scheduler:
        stream = ServerStream(Telling(scheduler, scheduler.utc(0.0), 1000.0, 10).messages())
        stream.stopping.set()
        await stream.end_with_server()
        assert [message async for message in stream.messages()] == []


async def test_a_stream_that_begins_after_the_scheduler_has_stopped_is_empty() -> None:
    async with Scheduler() as scheduler:
        telling = Telling(scheduler, scheduler.utc(0.0), 1000.0, 10)
    assert [message async for message in telling.messages()] == []
