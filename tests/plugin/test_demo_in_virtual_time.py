"""The reference application, unchanged, with its database and its client of a chat service, in virtual time."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from itertools import pairwise

import aiosqlite
import anyio
import attrs
import httpx
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from pacer.demo import app as demo
from pacer.demo._chat import ChatService
from pacer.demo.app import make_scheduler
from pacer.feedback import report_response
from pacer.testing import holding, rehearse
from pacer.testing.upstream import ScriptedUpstream, error, ok, slow, throttled

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only]

PAPER = {"title": "Kleine Anfrage", "text": "Wie viele Züge fielen aus?"}
COMPLETION = {
    "id": "1",
    "object": "chat.completion",
    "created": 0,
    "model": "qwen-plus",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Eine Anfrage."}}],
}
DONE = ok(COMPLETION)


@attrs.frozen(kw_only=True)
class Scripted(ChatService):
    """The application's own chat service, on a script."""

    upstream: ScriptedUpstream

    def client(self) -> AsyncOpenAI:
        hooks = {"response": [report_response]}
        client = DefaultAsyncHttpxClient(transport=self.upstream.transport, event_hooks=hooks)
        return AsyncOpenAI(base_url=self.base_url, api_key=self.api_key, max_retries=0, http_client=client)


@pytest.fixture
def rehearsed(tmp_path, monkeypatch):
    """Makes the application on a script, and its rehearsal on the file that its own tables are in."""
    with ExitStack() as stack:
        stack.enter_context(holding(aiosqlite.Connection))

        def make(*answers, then=None):
            scheduler, upstream = make_scheduler(tmp_path / "jobs.db"), ScriptedUpstream(answers, then=then)
            monkeypatch.setattr(demo, "make_scheduler", lambda *_: scheduler)
            chat = Scripted(base_url="http://up", api_key="k", model="qwen-plus", upstream=upstream)
            rehearsal = stack.enter_context(rehearse(scheduler, store=scheduler.store))
            return demo.create_app(demo.Settings(tmp_path / "jobs.db", chat)), upstream, rehearsal

        yield make


def client_of(app):
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app")


async def test_50_papers_wait_and_one_more_is_refused_with_a_time(rehearsed):
    app, *_ = rehearsed(then=slow(60, DONE))
    async with app.router.lifespan_context(app), client_of(app) as client:
        await client.post("/api/analyze-drucksache", json=PAPER)
        await anyio.sleep(5)
        accepted = await client.post("/api/analyze-batch", json={"papers": [PAPER] * 50})
        waits = [job["estimated_wait"]["seconds"] for job in accepted.json()["jobs"]]
        assert waits[0] == pytest.approx(65, abs=2)
        assert [round(later - sooner) for sooner, later in pairwise(waits)] == [70] * 49
        refused = await client.post("/api/analyze-drucksache", json=PAPER)
        assert refused.status_code == 429
        await anyio.sleep(int(refused.headers["Retry-After"]))
        assert (await client.post("/api/analyze-drucksache", json=PAPER)).status_code == 202


async def test_five_failures_hold_the_queue_for_two_minutes_and_a_throttle_as_long_as_it_says(rehearsed, tmp_path):
    app, upstream, rehearsal = rehearsed(*[error(400)] * 5, throttled(200), slow(60, DONE))
    async with app.router.lifespan_context(app), client_of(app) as client:
        await client.post("/api/analyze-batch", json={"papers": [PAPER] * 6})
        report = await rehearsal.drain(strict=False)
        assert [hold.seconds for hold in report.holds] == pytest.approx([15, 30, 60, 120, 200])
        assert upstream.times == pytest.approx([0, 10, 35, 75, 145, 275, 475], abs=1e-4)
        jobs = (await client.get("/api/jobs")).json()
        assert sorted(job["status"] for job in jobs) == ["failed"] * 5 + ["succeeded"]
    upstream.verify()
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        assert connection.execute("SELECT result FROM jobs WHERE status = 'succeeded'").fetchall() == [
            ("Eine Anfrage.",)
        ]


async def test_a_paper_that_a_crash_interrupts_is_analysed_after_the_restart(rehearsed):
    app, upstream, rehearsal = rehearsed(then=slow(60, DONE))
    async with app.router.lifespan_context(app), client_of(app) as client:
        await client.post("/api/analyze-drucksache", json=PAPER)
        await anyio.sleep(5)
        rehearsal.crash()
    app, second_upstream, rehearsal = rehearsed(then=slow(60, DONE))
    async with app.router.lifespan_context(app), client_of(app) as client:
        report = await rehearsal.drain()
        assert report.outcomes == ["succeeded"]
        [job] = (await client.get("/api/jobs")).json()
        assert (job["status"], job["result"]) == ("succeeded", "Eine Anfrage.")
    assert (len(upstream.calls), len(second_upstream.calls)) == (1, 1)


def test_only_coroutine_functions_are_held():
    for owner, names, problem in (
        (aiosqlite.Connection, ("commit", "stop"), "stop of .*Connection.* is not a coroutine function"),
        (sqlite3, (), "defines no coroutine functions"),
    ):
        with pytest.raises(TypeError, match=problem), holding(owner, *names):
            pass
    before = aiosqlite.Connection.commit
    with holding(aiosqlite.Connection, "commit"):
        assert aiosqlite.Connection.commit is not before
    assert aiosqlite.Connection.commit is before
