"""The stream of readings on a real uvicorn, in real time."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import free_port
from waiting import until

HERE = Path(__file__).parent
Events = Iterator[tuple[str, Any]]


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of `served_dashboard`, and the address of its page."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "served_dashboard:app", "--app-dir", str(HERE), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            url = f"http://127.0.0.1:{port}/queue/"
            until(lambda: answers(url) or process.poll() is not None)
            yield process, url
        finally:
            process.kill()


@contextmanager
def looking(url: str, job_id: str | None = None) -> Iterator[Events]:
    def parsed(lines: Iterator[str]) -> Events:
        name = ""
        for line in lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))

    parameters = {} if job_id is None else {"job": job_id}
    with httpx.stream("GET", f"{url}data/live", params=parameters, timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        assert answer.headers["content-security-policy"].startswith("default-src 'none'")
        assert answer.headers["date"]
        yield parsed(answer.iter_lines())


def first(events: Events, name: str) -> Any:
    return next(data for found, data in events if found == name)


def test_readers_see_what_one_of_them_does(server: tuple[subprocess.Popen[str], str]) -> None:
    _, url = server
    with ExitStack() as stack, httpx.Client(base_url=url) as browser:
        readers = [stack.enter_context(looking(url)) for _ in range(5)]
        assert [first(events, "status")["paused"] for events in readers] == [False] * 5
        token = re.search(r'name="pacer-token" content="([^"]+)"', browser.get("").text)
        assert token
        headers = {"X-Pacer-Token": token[1], "Origin": url.removesuffix("/queue/")}
        assert browser.post("actions/pause", json={}, headers=headers).status_code == 204
        for events in readers:
            until(lambda events=events: first(events, "status")["paused"])


def test_a_reader_follows_a_job(server: tuple[subprocess.Popen[str], str]) -> None:
    _, url = server
    with looking(url, "the one") as events:
        assert first(events, "job") == {"unknown": True}
        httpx.post(url.replace("/queue/", "/nap"), params={"job_id": "the one"})
        until(lambda: first(events, "job").get("job", {}).get("state") == "running")


def test_readers_do_not_keep_the_server_from_stopping(server: tuple[subprocess.Popen[str], str]) -> None:
    process, url = server
    with ExitStack() as stack:
        readers = [stack.enter_context(looking(url, job_id)) for job_id in (None, None, "a job")]
        for events in readers:
            next(events)
        process.send_signal(signal.SIGTERM)
        for events in readers:
            for _ in events:  # the server ends it
                pass
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)
    output = process.stdout.read() if process.stdout else ""
    assert "Application shutdown complete" in output
    assert "Traceback" not in output


def test_readers_that_leave_are_forgotten(server: tuple[subprocess.Popen[str], str]) -> None:
    _, url = server
    for job_id in (None, "a job", None):
        with looking(url, job_id) as events:
            next(events)
    with looking(url) as events:
        assert [first(events, "status")["queue"] for _ in range(3)] == ["served"] * 3
