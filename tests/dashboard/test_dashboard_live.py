"""The readings: one for all who look, at once when something happens, and nothing while nobody looks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import attrs
import pytest
from mounted import failing, make_scheduler, sleeper

from pacer import BoundedQueue, JobState, Scheduler, StoreError, Throttled
from pacer.dashboard import _stream
from pacer.dashboard._reading import GAP, PERIOD, Watch
from pacer.dashboard._stream import Telling
from pacer.fastapi._streaming import ServerStream
from pacer.pacing import TokenBucket

pytestmark = pytest.mark.anyio


@attrs.define(eq=False)
class Viewer:
    """Somebody who has the page open.

    Attributes:
        parts: The newest of each.
        told: What came, in order.
    """

    parts: dict[str, Any] = attrs.field(init=False, factory=dict)
    told: list[str] = attrs.field(init=False, factory=list)

    async def look(self, watch: Watch, job_id: str | None = None) -> None:
        """Until there is no more."""
        async with aclosing(Telling(watch, job_id).messages()) as messages:
            async for message in messages:
                assert isinstance(message.event, str)
                self.told.append(message.event)
                self.parts[message.event] = json.loads(str(message.data))


@asynccontextmanager
async def looking(scheduler: Scheduler, *job_ids: str | None) -> AsyncGenerator[list[Viewer]]:
    """Viewers of the queue, one for each of these; all have seen it once. They leave at the end."""
    watch, viewers = Watch(scheduler), [Viewer() for _ in job_ids]
    async with anyio.create_task_group() as tasks:
        for viewer, job_id in zip(viewers, job_ids, strict=True):
            tasks.start_soon(viewer.look, watch, job_id)
        await anyio.sleep(0.01)
        yield viewers
        tasks.cancel_scope.cancel()


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a scheduler is asked what, from now on."""
    counts: Counter[str] = Counter()

    def counting(name: str, ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asked(self: Scheduler, *args: Any, **kwargs: Any) -> Any:
            counts[name] += 1
            return await ask(self, *args, **kwargs)

        return asked

    for name in ("status", "jobs", "upcoming", "history", "tally", "workers", "explain", "numbers"):
        monkeypatch.setattr(Scheduler, name, counting(name, getattr(Scheduler, name)))
    return counts


async def test_who_looks_sees_the_whole_queue_at_once() -> None:
    async with make_scheduler() as scheduler:
        for number in range(12):
            await scheduler.options(job_id=f"job-{number}", key="tenant").enqueue(sleeper, 30, "secret")
        await anyio.sleep(1)
        async with looking(scheduler, None) as (viewer,):
            parts = viewer.parts
    assert set(parts) == {"status", "running", "upcoming", "next", "history", "ended", "workers"}
    status = parts["status"]
    assert (status["queue"], status["pending"], status["running"], status["paused"]) == ("papers", 11, 1, False)
    assert status["waiting_for"] == "1 of 1 running"
    assert [(job["id"], job["progress"], job["message"]) for job in parts["running"]] == [("job-0", 0.25, "begun")]
    assert [one["job"]["id"] for one in parts["upcoming"]] == [f"job-{number}" for number in range(1, 11)]
    first = parts["upcoming"][0]
    assert (first["job"]["position"], first["job"]["key"]) == (1, "tenant")
    assert first["estimate"]["low"] < first["estimate"]["seconds"] < first["estimate"]["high"]
    assert len(parts["history"]) == 60
    assert parts["history"][-1]["started"] == 1
    assert parts["ended"] == {"counts": {}, "last": {}}
    assert len(parts["workers"]) == 1
    assert "secret" not in json.dumps(parts)
    assert "slept" not in json.dumps(parts)


async def test_jobs_that_ended_badly_come_with_their_error_and_attempts() -> None:
    async with make_scheduler() as scheduler:
        receipt = await scheduler.enqueue(failing, "no such paper")
        await scheduler.drain()
        async with looking(scheduler, None) as (viewer,):
            ended = viewer.parts["ended"]
    assert ended["counts"] == {"failed": 1}
    (job,) = ended["last"]["failed"]
    assert (job["id"], job["error"], job["attempt"]) == (receipt.job_id, "ValueError: no such paper", 1)


async def test_a_hundred_who_look_share_one_reading(readings: Counter[str]) -> None:
    async with make_scheduler() as scheduler:
        await scheduler.options(job_id="job").enqueue(sleeper, 1000)
        viewers: list[Viewer]
        async with looking(scheduler, *[None] * 50, *["job"] * 50) as viewers:
            before = readings["status"]
            await anyio.sleep(10)
            assert readings["status"] - before == pytest.approx(10 / PERIOD, abs=1)
            assert {viewer.told.count("status") for viewer in viewers} <= {10, 11, 12}
            statuses = {json.dumps(viewer.parts["status"]) for viewer in viewers}
            assert len(statuses) == 1
            # The same for a job: once for each who comes, and then once a reading.
            assert readings["explain"] <= 50 + readings["status"]


async def test_nothing_is_read_while_nobody_looks(readings: Counter[str]) -> None:
    async with make_scheduler() as scheduler:
        await anyio.sleep(10)
        async with looking(scheduler, None):
            await anyio.sleep(5)
        seen = readings.total()
        assert seen > 0
        await scheduler.enqueue(sleeper, 1)
        await anyio.sleep(100)
        assert readings.total() == seen


async def test_who_comes_back_is_told_nothing_old() -> None:
    async with make_scheduler() as scheduler:
        watch = Watch(scheduler)
        for pending in (0, 1):
            async with anyio.create_task_group() as tasks:
                viewer = Viewer()
                tasks.start_soon(viewer.look, watch)
                await anyio.sleep(0.01)
                assert viewer.parts["status"]["running"] == pending
                tasks.cancel_scope.cancel()
            await scheduler.enqueue(sleeper, 100)
            await anyio.sleep(1)


async def test_what_somebody_does_is_seen_before_the_next_reading_is_due() -> None:
    async with make_scheduler() as scheduler, looking(scheduler, None) as (viewer,):
        await anyio.sleep(5 + GAP)
        await scheduler.pause()
        await anyio.sleep(GAP + 0.01)
        assert viewer.parts["status"]["paused"]


async def test_a_queue_in_which_much_happens_is_read_no_more_often_than_another(
    readings: Counter[str],
) -> None:
    async with make_scheduler(pacing=TokenBucket(rate=100, per=1, burst=1), queue=BoundedQueue(1000)) as scheduler:
        for _ in range(900):
            await scheduler.enqueue(sleeper, 0)
        async with looking(scheduler, None):
            await anyio.sleep(8)
        assert readings["status"] == pytest.approx(8 / PERIOD, abs=1)


async def test_what_is_as_it_was_is_not_sent_again() -> None:
    async with make_scheduler() as scheduler:
        await scheduler.enqueue(failing)
        await scheduler.drain()
        async with looking(scheduler, None) as (viewer,):
            await anyio.sleep(20)
            counts = Counter(viewer.told)
    # The status says that the connection is alive.
    assert counts["status"] > 15
    assert counts["ended"] == counts["running"] == counts["upcoming"] == 1
    # At most one minute has ended meanwhile.
    assert counts["history"] <= 2


async def test_when_the_one_who_reads_for_all_leaves_the_others_go_on() -> None:
    async with make_scheduler() as scheduler:
        watch, viewers = Watch(scheduler), [Viewer() for _ in range(3)]
        async with anyio.create_task_group() as all_:
            scopes = [anyio.CancelScope() for _ in viewers]

            async def look(viewer: Viewer, scope: anyio.CancelScope) -> None:
                with scope:
                    await viewer.look(watch)

            for viewer, scope in zip(viewers, scopes, strict=True):
                all_.start_soon(look, viewer, scope)
            await anyio.sleep(3.5)
            for scope in scopes[:2]:
                scope.cancel()
                before = len(viewers[2].told)
                await anyio.sleep(3)
                assert len(viewers[2].told) >= before + 2
            all_.cancel_scope.cancel()


async def test_a_client_that_reads_slowly_gets_the_newest_and_holds_nobody_up() -> None:
    async with make_scheduler() as scheduler:
        watch, quick = Watch(scheduler), Viewer()
        async with anyio.create_task_group() as tasks, aclosing(Telling(watch).messages()) as slow:
            tasks.start_soon(quick.look, watch)
            while (await anext(slow)).event != "status":
                pass
            await anyio.sleep(30)
            assert quick.told.count("status") >= 29
            await scheduler.pause()
            await anyio.sleep(2)
            message = await anext(slow)
            while message.event != "status":
                message = await anext(slow)
            assert json.loads(str(message.data))["paused"]
            tasks.cancel_scope.cancel()


async def test_what_the_next_job_waits_for_is_told_where_the_queue_would_let_one_start() -> None:
    async with make_scheduler() as scheduler:
        await scheduler.options(job_id="later", delay=500).enqueue(sleeper, 30)
        async with looking(scheduler, None) as (viewer,):
            assert viewer.told[-1] == "status"
            assert (viewer.parts["next"]["job"]["id"], viewer.parts["next"]["reason"]) == (
                "later",
                "its delay is not due yet",
            )
            assert viewer.parts["next"]["seconds"] == pytest.approx(500, abs=0.1)
            await scheduler.pause()
            await anyio.sleep(1.1)
            assert viewer.parts["next"] is None
            await scheduler.resume()
            await scheduler.cancel("later")
            await anyio.sleep(1.1)
            assert viewer.parts["next"] is None


# -- one job ---------------------------------------------------------------------------------------------------------


async def test_who_looks_at_a_job_sees_why_it_waits_and_until_when() -> None:
    async with make_scheduler() as scheduler:
        await scheduler.options(job_id="first").enqueue(sleeper, 30)
        await scheduler.options(job_id="second").enqueue(sleeper, 30)
        await scheduler.options(job_id="third").enqueue(sleeper, 30)
        await anyio.sleep(31)
        async with looking(scheduler, "third") as (viewer,):
            job = viewer.parts["job"]
            assert (job["job"]["id"], job["ahead"], job["reason"]) == ("third", 1, "pause of 10 s after the last job")
            assert job["seconds"] == pytest.approx(9, abs=0.1)
            assert job["estimate"]["low"] <= job["estimate"]["seconds"] <= job["estimate"]["high"]
            await scheduler.pause()
            await anyio.sleep(1.1)
            assert (viewer.parts["job"]["reason"], viewer.parts["job"]["estimate"]) == ("paused by hand", None)
            await scheduler.cancel("third")
            await anyio.sleep(1.1)
            assert viewer.parts["job"]["job"]["state"] == "cancelled"


async def test_nobody_is_told_of_the_job_that_others_look_at() -> None:
    async with make_scheduler() as scheduler:
        await scheduler.options(job_id="mine").enqueue(sleeper, 30)
        await scheduler.options(job_id="theirs").enqueue(sleeper, 30)
        async with looking(scheduler, None, "mine", "theirs") as (nobody, mine, theirs):
            await anyio.sleep(5)
            assert "job" not in nobody.parts
            assert mine.parts["job"]["job"]["id"] == "mine"
            assert theirs.parts["job"]["job"]["id"] == "theirs"
            assert not [name for name in mine.told if name.startswith("job ")]


async def test_very_many_jobs_that_are_looked_at_take_turns(readings: Counter[str]) -> None:
    async with make_scheduler(queue=BoundedQueue(100)) as scheduler:
        names = [f"job-{number}" for number in range(70)]
        await scheduler.pause()
        for name in names:
            await scheduler.options(job_id=name).enqueue(sleeper)
        async with looking(scheduler, *names) as viewers:
            before = Counter(readings)
            for name in names:
                await scheduler.cancel(name)
            await anyio.sleep(6)
            assert readings["explain"] - before["explain"] <= 20 * (readings["status"] - before["status"])
            assert {viewer.parts["job"]["job"]["state"] for viewer in viewers} == {"cancelled"}
            assert [viewer.parts["job"]["job"]["id"] for viewer in viewers] == names


async def test_a_job_that_nobody_knows_is_said_to_be_unknown_and_seen_when_it_comes() -> None:
    async with make_scheduler() as scheduler, looking(scheduler, "later") as (viewer,):
        assert viewer.parts["job"] == {"unknown": True}
        await scheduler.options(job_id="later").enqueue(sleeper, 30)
        await anyio.sleep(1.1)
        assert viewer.parts["job"]["job"]["state"] == "running"


# -- the end ---------------------------------------------------------------------------------------------------------


async def test_the_stream_ends_when_the_scheduler_stops() -> None:
    watch, viewer = None, Viewer()
    async with anyio.create_task_group() as tasks, make_scheduler() as scheduler:
        watch = Watch(scheduler)
        tasks.start_soon(viewer.look, watch)
        await anyio.sleep(3)
    # The group has ended, so the viewer has.
    assert viewer.told
    assert viewer.told[-1] != "again"


async def test_the_stream_ends_in_order_when_the_server_is_told_to_stop() -> None:
    async with make_scheduler() as scheduler:
        stream, told = ServerStream(Telling(Watch(scheduler)).messages()), []

        async def read() -> None:
            told.extend([message.event async for message in stream.messages()])

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            tasks.start_soon(stream.end_with_server)
            await anyio.sleep(1.5)
            begun = anyio.current_time()
            stream.stopping.set()
        assert anyio.current_time() == begun
        assert told.count("status") == 2
        late = ServerStream(Telling(Watch(scheduler)).messages())
        late.stopping.set()
        assert [message async for message in late.messages()] == []


async def test_after_a_while_the_page_has_to_ask_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Because `auth` is asked once a request."""
    monkeypatch.setattr(_stream, "READINGS", 3)
    async with make_scheduler() as scheduler:
        viewer = Viewer()
        await viewer.look(Watch(scheduler))
    assert viewer.told.count("status") == 3
    assert viewer.told[-1] == "again"


async def test_a_store_that_cannot_be_used_for_a_while_is_said_without_its_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    status = Scheduler.status

    async def failing_status(self: Scheduler) -> Any:
        raise StoreError("/secret/jobs.db: the disk is away")

    async with make_scheduler() as scheduler, looking(scheduler, None) as (viewer,):
        monkeypatch.setattr(Scheduler, "status", failing_status)
        before = viewer.told.count("status")
        await anyio.sleep(5)
        assert viewer.told[-1] == "problem"
        assert viewer.parts["problem"]["detail"].startswith("The store of jobs cannot be used right now.")
        assert "secret" not in json.dumps(viewer.parts)
        monkeypatch.setattr(Scheduler, "status", status)
        await anyio.sleep(2)
        assert viewer.told.count("status") > before


async def test_a_reading_says_what_holds_the_queue() -> None:
    async def throttled() -> None:
        raise Throttled(120, "429")

    async with make_scheduler() as scheduler:
        await scheduler.enqueue(throttled)
        await anyio.sleep(20)
        async with looking(scheduler, None) as (viewer,):
            status = viewer.parts["status"]
    assert status["hold_reason"] == "upstream said wait 120 s"
    assert status["hold_seconds"] == pytest.approx(100, abs=0.1)
    assert status["next_start_seconds"] == pytest.approx(100, abs=0.1)


# -- whatever jobs say -----------------------------------------------------------------------------------------------


HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    "event: again\ndata: {}\n\n",
    "a\r\rb\x00c\x1b[31m\u2028\u2029",
    "\u202egpj.exe",
    "half of a character: \ud83d",
    "x" * 10_000,
)


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text)[:20])
async def test_whatever_a_job_says_is_one_event_of_one_line(text: str) -> None:
    async with make_scheduler(concurrency=2) as scheduler:
        scheduler.task(name=text)(sleeper)
        await scheduler.options(job_id=text[:200], key=text[:200]).enqueue(failing, text)
        await anyio.sleep(1)
        async with looking(scheduler, text[:200]) as (viewer,):
            await scheduler.options(job_id="runs", key=text[:200]).enqueue(sleeper, 60)
            async with aclosing(Telling(Watch(scheduler), text[:200]).messages()) as messages:
                sent = [(await anext(messages)).encode() for _ in range(7)]
    for message in sent:
        lines = message.decode().split("\r\n")
        assert [line.partition(":")[0] for line in lines] == ["event", "data", "", ""]
        assert not set(message[:-4]) & set(range(13)) - {10, 13}
    job = viewer.parts["job"]["job"]
    shown = text.encode("utf-8", "replace").decode()
    assert job["id"] == shown[:200]
    assert job["key"] == shown[:200]
    assert job["state"] == JobState.FAILED
    assert len(json.dumps(viewer.parts["ended"])) < 5000
