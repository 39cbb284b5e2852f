"""The application of the page on alerts tells a chat: a server that listens, and real time."""

from __future__ import annotations

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from waiting import until

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "alerts" / "webhook.py"


class Chat(BaseHTTPRequestHandler):
    """Keeps what is posted to it."""

    posted: list[Any]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.posted.append((self.path, json.loads(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        """Nothing: it would go to stderr."""


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What is posted to the webhook that the environment names."""
    posted: list[Any] = []
    handler = type("Listening", (Chat,), {"posted": posted})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("ALERT_WEBHOOK", f"http://127.0.0.1:{server.server_port}/services/T0/B0")
        try:
            yield posted
        finally:
            server.shutdown()
            thread.join()


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("webhook_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_the_chat_hears_of_a_paper_that_failed_and_not_what_was_in_it(chat: list[Any]) -> None:
    example = load()
    transport = httpx.ASGITransport(example.app)
    async with (
        example.app.router.lifespan_context(example.app),
        httpx.AsyncClient(transport=transport, base_url="http://app") as client,
    ):
        # The first look is what "since" is counted from.
        seen = "alert:JobEnded(dead, stale, failed):seen"
        with anyio.fail_after(30):
            while seen not in (await example.scheduler._running.worker.ledger.snapshot(0)).queue.ticks:
                await anyio.sleep(0.01)
        accepted = await client.post("/papers", params={"text": ""})
        assert accepted.status_code == 202
        await anyio.to_thread.run_sync(until, lambda: chat)
    (path, body), *others = chat
    assert others == []
    assert path == "/services/T0/B0"
    job = accepted.json()["job_id"]
    assert body == {
        "text": f":red_circle: queue default: job {job} (analyse) is failed: ValueError: there is no text",
    }
