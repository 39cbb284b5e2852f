"""Routes and event streams on a real uvicorn, in real time."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from uvicorn_process import uvicorn
from waiting import until

Events = Iterator[tuple[str, dict[str, Any]]]


@contextmanager
def events_of(url: str) -> Iterator[Events]:
    """The stream of events, parsed by the rules of the HTML standard as far as they are used here."""

    def parse(lines: Iterator[str]) -> Events:
        name, data = "message", ""
        for line in lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                data = line.removeprefix("data: ")
            elif not line and data:
                yield name, json.loads(data)
                name, data = "message", ""

    with httpx.stream("GET", f"{url}/queue/events", timeout=30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        yield parse(answer.iter_lines())


def nap(url: str, seconds: float = 0.0) -> httpx.Response:
    return httpx.post(f"{url}/nap", params={"seconds": seconds}, timeout=30)


def test_the_51st_waiting_request_gets_429_with_retry_after_and_a_problem() -> None:
    with uvicorn() as (_, url):
        nap(url, 1000)
        until(lambda: httpx.get(f"{url}/queue/status").json()["running"] == 1)
        positions = [nap(url).json()["position"] for _ in range(50)]
        refused = nap(url)
    assert positions == list(range(1, 51))
    assert refused.status_code == 429
    assert refused.headers["retry-after"].isdigit()
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "queue-full"


def test_the_stream_shows_status_at_once_then_what_happens_without_arguments() -> None:
    with uvicorn() as (_, url), events_of(url) as events:
        name, status = next(events)
        assert (name, status["pending"], status["capacity"]) == ("status", 0, 50)
        job_id = nap(url, 0.0123).json()["job_id"]
        seen: dict[str, dict[str, Any]] = {}
        for name, facts in events:
            seen[name] = facts
            if name == "job_succeeded":
                break
        assert {"job_enqueued", "job_started", "job_succeeded"} <= set(seen)
        assert seen["job_started"]["job_id"] == job_id
        assert seen["job_started"]["task"] == "nap"
        assert seen["job_started"]["at"].endswith("+00:00")
        assert "0.0123" not in json.dumps({name: seen[name] for name in ("job_enqueued", "job_started")})


def test_status_comes_again_and_again() -> None:
    with uvicorn() as (_, url), events_of(url) as events:
        assert [next(events)[0] for _ in range(4)] == ["status"] * 4


def test_a_client_that_leaves_is_forgotten_and_the_queue_goes_on() -> None:
    with uvicorn() as (_, url):
        for _ in range(3):
            with events_of(url) as events:
                next(events)
        receipt = nap(url).json()
        job = until(lambda: ended(url, receipt["job_id"]))
    assert job["state"] == "succeeded"


def ended(url: str, job_id: str) -> dict[str, Any] | None:
    job: dict[str, Any] = httpx.get(f"{url}/queue/jobs/{job_id}").json()
    return None if job["state"] in ("queued", "running") else job


def test_an_open_stream_does_not_keep_the_server_from_stopping() -> None:
    with uvicorn() as (process, url), events_of(url) as events:
        next(events)
        process.send_signal(signal.SIGTERM)
        for _ in events:  # the server ends it
            pass
        assert process.wait(timeout=20) in (0, -signal.SIGTERM)
        output = process.stdout.read() if process.stdout else ""
    assert "Application shutdown complete" in output
    assert "Traceback" not in output


def test_a_running_job_is_stopped_over_http() -> None:
    with uvicorn() as (_, url):
        job_id = nap(url, 1000).json()["job_id"]
        until(lambda: httpx.get(f"{url}/queue/status").json()["running"] == 1)
        assert httpx.delete(f"{url}/queue/jobs/{job_id}").status_code in (200, 202)
        assert until(lambda: ended(url, job_id))["state"] == "cancelled"


def test_two_workers_on_one_file_share_one_queue_one_capacity_and_one_pace(tmp_path: Path) -> None:
    with uvicorn("--workers", "2", JOBS_DB=str(tmp_path / "jobs.db")) as (_, url):
        # A new connection each time goes to either process.
        until(lambda: len({httpx.get(f"{url}/pid").json() for _ in range(20)}) == 2)
        blocker = nap(url, 1000).json()["job_id"]
        until(lambda: httpx.get(f"{url}/queue/status").json()["running"] == 1)
        receipts = [nap(url, 0.01).json() for _ in range(20)]
        # Whichever process took it, the positions are those of one queue.
        assert [receipt["position"] for receipt in receipts] == list(range(1, 21))
        assert httpx.delete(f"{url}/queue/jobs/{blocker}").status_code in (200, 202)
        jobs = [until(lambda job_id=one["job_id"]: ended(url, job_id)) for one in receipts]
    assert {job["state"] for job in jobs} == {"succeeded"}
    spans = sorted((datetime.fromisoformat(job["started_at"]), datetime.fromisoformat(job["ended_at"])) for job in jobs)
    gaps = [(later[0] - sooner[1]).total_seconds() for sooner, later in pairwise(spans)]
    # One runs at a time, and the pause holds from whichever process ended one to whichever starts the next.
    assert min(gaps) >= 0.05 - 1e-6
    assert len({job["result"] for job in jobs}) == 2, "both processes took part"


def test_the_capacity_counts_the_jobs_of_all_workers(tmp_path: Path) -> None:
    with uvicorn("--workers", "2", JOBS_DB=str(tmp_path / "jobs.db")) as (_, url):
        nap(url, 1000)
        until(lambda: httpx.get(f"{url}/queue/status").json()["running"] == 1)
        statuses = [nap(url).status_code for _ in range(52)]
    assert statuses == [202] * 50 + [429] * 2
