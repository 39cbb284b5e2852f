"""The reference application on a real uvicorn, calling a real rate-limited upstream."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import until

from pacer.demo._analysis import analyse
from pacer.demo._chat import ChatService
from pacer.demo._samples import load_samples
from pacer.demo._servers import DemoError, serving
from pacer.demo.app import Settings, create_app, make_scheduler

PAPERS = [{"title": one.subject, "text": one.text} for one in load_samples()]
SEED_KEYS = {
    "pending",
    "max_size",
    "processed_total",
    "failed_total",
    "estimated_wait_seconds",
    "avg_job_duration_seconds",
    "worker_running",
}


def rows(db: Path, query: str = "SELECT * FROM jobs ORDER BY rowid") -> list[dict[str, Any]]:
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def ended(client: httpx.Client, job_id: str) -> dict[str, Any] | None:
    job: dict[str, Any] = client.get(f"/api/jobs/{job_id}").json()
    return None if job["status"] in ("queued", "running") else job


def test_the_parts_are_the_reference_parts(db: Path) -> None:
    scheduler = make_scheduler(db)
    assert repr(scheduler.queue).startswith("BoundedQueue(capacity=50, when_full='reject'")
    assert repr(scheduler.pacing) == "FixedPause(seconds=10.0)"
    assert repr(scheduler.backoff) == "ExponentialBackoff(initial=15.0, maximum=300.0, factor=2.0, after=2)"
    assert scheduler.concurrency == 1
    status = make_scheduler(db, speed=100)
    assert repr(status.pacing) == "FixedPause(seconds=0.1)"


def test_a_paper_is_accepted_with_its_position_and_analysed(client: httpx.Client, db: Path) -> None:
    accepted = client.post("/api/analyze-drucksache", json=PAPERS[0])
    assert accepted.status_code == 202
    body = accepted.json()
    assert (body["queue_position"], body["created"]) == (1, True)
    assert set(body["estimated_wait"]) == {"seconds", "low", "high"}
    job = until(lambda: ended(client, body["job_id"]))
    assert (job["status"], job["progress"], job["error"]) == ("succeeded", 1.0, "")
    assert job["result"] == analyse(PAPERS[0]["text"])
    [row] = rows(db)
    assert (row["id"], row["status"], row["title"]) == (body["job_id"], "succeeded", PAPERS[0]["title"])
    assert row["updated_at"] >= row["created_at"]


def test_a_batch_is_analysed_and_a_429_of_the_upstream_costs_no_job_anything(
    client: httpx.Client, upstream_url: str
) -> None:
    accepted = client.post("/api/analyze-batch", json={"papers": PAPERS[:4]}).json()
    assert [one["queue_position"] for one in accepted["jobs"]] == [1, 2, 3, 4]
    waits = [one["estimated_wait"]["seconds"] for one in accepted["jobs"]]
    # A job is expected to take 0.6 s, and the pause is 0.1 s.
    assert waits == pytest.approx([0, 0.7, 1.4, 2.1], abs=0.01)
    jobs = [until(lambda job_id=one["job_id"]: ended(client, job_id)) for one in accepted["jobs"]]
    assert [job["status"] for job in jobs] == ["succeeded"] * 4
    status = client.get("/api/queue/status").json()
    assert (status["processed_total"], status["failed_total"], status["throttled_total"]) == (4, 0, 1)
    calls = httpx.get(f"{upstream_url}/calls").json()["calls"]
    assert [call["status"] for call in calls] == [200, 200, 429, 200, 200]
    # The same document again after the 429, and at least the pause from one call to the next.
    assert calls[2]["document"] == calls[3]["document"]
    assert min(later["at"] - sooner["at"] for sooner, later in pairwise(calls)) >= 0.1


def test_status_has_what_the_clients_of_the_old_queue_expect(client: httpx.Client) -> None:
    status = client.get("/api/queue/status").json()
    assert set(status) >= SEED_KEYS
    assert (status["pending"], status["max_size"], status["estimated_wait_seconds"]) == (0, 50, 0)
    assert (status["avg_job_duration_seconds"], status["worker_running"]) == (0.6, True)


def test_the_51st_waiting_paper_is_refused_with_a_time_to_come_back_and_leaves_no_row(
    client: httpx.Client, db: Path
) -> None:
    for _ in range(50):
        refused = client.post("/api/analyze-batch", json={"papers": PAPERS[:1] * 50})
        if refused.status_code == 429:
            break
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.json()["code"], refused.json()["capacity"]) == ("queue-full", 50)
    assert len(rows(db)) == 50
    assert len(rows(db, "SELECT id FROM pacer_jobs")) == 50


def test_a_paper_sent_again_under_its_id_is_not_analysed_again(client: httpx.Client, upstream_url: str) -> None:
    paper = {**PAPERS[0], "job_id": "8-1204"}
    first = client.post("/api/analyze-drucksache", json=paper).json()
    again = client.post("/api/analyze-drucksache", json=paper).json()
    until(lambda: ended(client, "8-1204"))
    later = client.post("/api/analyze-batch", json={"papers": [paper]}).json()["jobs"][0]
    assert (first["created"], again["created"], later["created"]) == (True, False, False)
    assert later["queue_position"] is None
    assert len(client.get("/api/jobs").json()) == 1
    assert len(httpx.get(f"{upstream_url}/calls").json()["calls"]) == 1


@pytest.mark.parametrize("job_id", ["", "../x", "a" * 101, "a b"])
def test_an_impossible_id_is_refused(client: httpx.Client, job_id: str) -> None:
    assert client.post("/api/analyze-drucksache", json={**PAPERS[0], "job_id": job_id}).status_code == 422


def test_two_papers_of_one_batch_cannot_have_one_id(client: httpx.Client, db: Path) -> None:
    twins = [{**PAPERS[0], "job_id": "twin"}, {**PAPERS[1], "job_id": "twin"}]
    assert client.post("/api/analyze-batch", json={"papers": twins}).status_code == 422
    assert rows(db) == []


def test_an_unknown_job_is_a_404(client: httpx.Client) -> None:
    assert client.get("/api/jobs/none").status_code == 404


def test_a_refused_key_is_a_failure_and_no_throttle(upstream_url: str, db: Path) -> None:
    chat = ChatService(base_url=f"{upstream_url}/v1", api_key="wrong", model="qwen-plus")
    with (
        serving(create_app(Settings(db, chat, speed=100)), 0, "--port") as url,
        httpx.Client(base_url=url) as client,
    ):
        job_id = client.post("/api/analyze-drucksache", json=PAPERS[0]).json()["job_id"]
        job = until(lambda: ended(client, job_id))
        status = client.get("/api/queue/status").json()
    assert job["status"] == "failed"
    assert job["error"].startswith("AuthenticationError: Error code: 401")
    assert (status["failed_total"], status["throttled_total"]) == (1, 0)


def test_rows_that_a_crash_left_queued_without_a_job_become_stale(upstream_url: str, db: Path) -> None:
    chat = ChatService.stand_in(int(upstream_url.rsplit(":", 1)[1]))
    settings = Settings(db, chat, speed=100)
    with serving(create_app(settings), 0, "--port"):
        pass
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("INSERT INTO jobs (id, title) VALUES ('lost', 'Ein Papier')")
        connection.commit()
    with serving(create_app(settings), 0, "--port") as url:
        assert httpx.get(f"{url}/api/jobs/lost").json()["status"] == "stale"
        again = httpx.post(f"{url}/api/analyze-drucksache", json={**PAPERS[0], "job_id": "lost"})
        assert again.json()["created"] is True
        with httpx.Client(base_url=url) as client:
            assert until(lambda: ended(client, "lost"))["status"] == "succeeded"


def test_a_file_that_is_no_database_is_named_and_left_alone(db: Path) -> None:
    db.write_text("precious")
    with (
        pytest.raises(DemoError, match="not a database"),
        serving(create_app(Settings(db, ChatService.stand_in(1))), 0, "--port"),
    ):
        pass
    assert db.read_text() == "precious"


def test_the_openapi_page_describes_the_routes(db: Path) -> None:
    app = create_app(Settings(db, ChatService.stand_in(1)))
    post = app.openapi()["paths"]["/api/analyze-drucksache"]["post"]["responses"]
    assert post["202"]["content"]["application/json"]["schema"]["$ref"].endswith("/Accepted")
    assert "application/problem+json" in post["429"]["content"]


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_environment({"PACER_DEMO_DB": "/data/jobs.db", "PACER_DEMO_SPEED": "100"})
    assert (settings.db, settings.speed, settings.chat.local) == (Path("/data/jobs.db"), 100.0, True)
    assert Settings.from_environment({}).db == Path("pacer-demo.db")
