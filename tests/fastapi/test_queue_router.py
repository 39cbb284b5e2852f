"""The routes, in virtual time, through httpx and without a socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from urllib.parse import quote

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI, Header, HTTPException

from pacer import BoundedQueue, JobState, Scheduler, Throttled, current_job
from pacer.backoff import ExponentialBackoff
from pacer.estimators import MovingAverage
from pacer.fastapi import lifespan, queue_router
from pacer.pacing import FixedPause

pytestmark = pytest.mark.anyio


def reference(capacity: int = 50) -> Scheduler:
    return Scheduler(
        queue=BoundedQueue(capacity),
        pacing=FixedPause(10),
        backoff=ExponentialBackoff(15, maximum=300, after=2),
        estimator=MovingAverage(initial=60, weight=0.2),
    )


async def sleeper(seconds: float, secret: str = "") -> str:
    current_job().progress(0.25, "begun")
    await anyio.sleep(seconds)
    return "slept"


async def failing() -> None:
    raise ValueError("no such paper")


@asynccontextmanager
async def serving(scheduler: Scheduler, **options: Any) -> AsyncGenerator[httpx.AsyncClient]:
    app = FastAPI(lifespan=lifespan(scheduler))
    app.include_router(queue_router(scheduler, **options))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


async def test_status_tells_what_runs_what_waits_and_for_what() -> None:
    scheduler = reference()
    async with serving(scheduler) as client:
        await scheduler.enqueue(sleeper, 30)
        await scheduler.enqueue(sleeper, 30)
        await anyio.sleep(1)
        found = (await client.get("/queue/status")).json()
    assert found["running"] == 1
    assert found["pending"] == 1
    assert found["capacity"] == 50
    assert found["working"] is True
    assert found["waiting_for"] == "1 of 1 running"
    # 59 s of the running job, 10 s pause, 60 s of the waiting one, 10 s pause.
    assert found["estimate"]["seconds"] == pytest.approx(139, abs=1)
    assert found["estimate"]["low"] < found["estimate"]["seconds"] < found["estimate"]["high"]


async def test_a_waiting_job_has_a_position_and_an_estimate_and_a_running_one_has_progress() -> None:
    scheduler = reference()
    async with serving(scheduler) as client:
        running, waiting = await scheduler.enqueue(sleeper, 30), await scheduler.enqueue(sleeper, 30)
        await anyio.sleep(1)
        first = (await client.get(f"/queue/jobs/{running.job_id}")).json()
        second = (await client.get(f"/queue/jobs/{waiting.job_id}")).json()
    assert (first["state"], first["position"], first["estimate"]) == ("running", None, None)
    assert (first["progress"], first["message"]) == (0.25, "begun")
    assert (second["state"], second["position"]) == ("queued", 1)
    assert second["estimate"]["seconds"] == pytest.approx(69, abs=1)
    assert second["task"].endswith("sleeper")


async def test_a_failed_job_says_why() -> None:
    scheduler = reference()
    async with serving(scheduler) as client:
        receipt = await scheduler.enqueue(failing)
        await scheduler.drain()
        found = (await client.get(f"/queue/jobs/{receipt.job_id}")).json()
    assert (found["state"], found["error"]) == ("failed", "ValueError: no such paper")


async def test_a_job_that_has_expired_says_so_and_the_schema_knows_the_state() -> None:
    scheduler = reference()
    async with serving(scheduler) as client:
        await scheduler.pause()
        receipt = await scheduler.options(expires=5).enqueue(sleeper, 30)
        await anyio.sleep(6)
        found = (await client.get(f"/queue/jobs/{receipt.job_id}")).json()
        schema = (await client.get("/openapi.json")).json()["components"]["schemas"]["JobState"]
    assert (found["state"], found["position"], found["estimate"]) == ("expired", None, None)
    assert "had not started by the time" in found["error"]
    assert (found["started_at"], found["ended_at"] is not None) == (None, True)
    assert set(schema["enum"]) == set(JobState)


async def test_arguments_are_never_shown_and_results_only_on_demand() -> None:
    for include_results in (False, True):
        scheduler = reference()
        async with serving(scheduler, include_results=include_results) as client:
            receipt = await scheduler.enqueue(sleeper, 1, "hush")
            await scheduler.drain()
            answer = await client.get(f"/queue/jobs/{receipt.job_id}")
        assert "hush" not in answer.text
        assert answer.json().get("result") == ("slept" if include_results else None)
        assert ("result" in answer.json()) is include_results


async def test_a_job_is_found_by_any_id_that_it_may_have() -> None:
    scheduler = reference()
    async with serving(scheduler, allow_cancel=True) as client:
        await scheduler.pause()
        for job_id in ("2026/8-1204", "a b", "ä?#%"):
            await scheduler.options(job_id=job_id).enqueue(sleeper, 1)
            address = f"/queue/jobs/{quote(job_id, safe='')}"
            assert (await client.get(address)).json()["id"] == job_id
            assert (await client.delete(address)).json()["state"] == "cancelled"


async def test_an_unknown_job_is_a_404_problem_even_without_installed_handlers() -> None:
    async with serving(reference(), allow_cancel=True) as client:
        for answer in (await client.get("/queue/jobs/none"), await client.delete("/queue/jobs/none")):
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["code"] == "unknown-job"


async def test_a_scheduler_that_does_not_run_is_a_503_problem_with_retry_after() -> None:
    scheduler = reference()
    app = FastAPI()
    app.include_router(queue_router(scheduler))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for path in ("/queue/status", "/queue/jobs/x", "/queue/events"):
            answer = await client.get(path)
            assert answer.status_code == 503
            assert answer.json()["code"] == "not-running"
            assert int(answer.headers["retry-after"]) >= 1


async def test_cancelling_is_refused_unless_access_is_guarded() -> None:
    scheduler = reference()
    async with serving(scheduler) as client:
        receipt = await scheduler.enqueue(sleeper, 30)
        answer = await client.delete(f"/queue/jobs/{receipt.job_id}")
        assert answer.status_code == 403
        assert answer.json()["code"] == "cancel-not-allowed"
        assert answer.headers["content-type"] == "application/problem+json"
        await scheduler.drain()
        assert (await scheduler.job(receipt.job_id)).state == "succeeded"


async def test_a_waiting_job_is_cancelled_at_once() -> None:
    scheduler = reference()
    async with serving(scheduler, allow_cancel=True) as client:
        await scheduler.enqueue(sleeper, 30)
        waiting = await scheduler.enqueue(sleeper, 30)
        answer = await client.delete(f"/queue/jobs/{waiting.job_id}")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
        again = await client.delete(f"/queue/jobs/{waiting.job_id}")
        assert (again.status_code, again.json()["code"]) == (409, "job-has-ended")


async def test_a_running_job_is_stopped() -> None:
    scheduler = reference()
    async with serving(scheduler, allow_cancel=True) as client:
        running = await scheduler.enqueue(sleeper, 1000)
        await anyio.sleep(1)
        answer = await client.delete(f"/queue/jobs/{running.job_id}")
        assert answer.status_code in (200, 202)
        assert await scheduler.drain(timeout=1)
        assert (await scheduler.job(running.job_id)).state == "cancelled"


async def only_with_key(key: Annotated[str, Header()] = "") -> None:
    if key != "secret":
        raise HTTPException(401)


async def test_dependencies_guard_every_route_and_allow_cancelling() -> None:
    scheduler = reference()
    async with serving(scheduler, dependencies=[Depends(only_with_key)]) as client:
        receipt = await scheduler.enqueue(sleeper, 30)
        for method, path in (("GET", "status"), ("GET", "jobs/x"), ("DELETE", "jobs/x"), ("GET", "events")):
            assert (await client.request(method, f"/queue/{path}")).status_code == 401
        answer = await client.delete(f"/queue/jobs/{receipt.job_id}", headers={"key": "secret"})
        assert answer.status_code in (200, 202)


async def test_allow_cancel_false_wins_over_dependencies() -> None:
    scheduler = reference()
    async with serving(scheduler, dependencies=[Depends(only_with_key)], allow_cancel=False) as client:
        receipt = await scheduler.enqueue(sleeper, 30)
        answer = await client.delete(f"/queue/jobs/{receipt.job_id}", headers={"key": "secret"})
        assert answer.status_code == 403


async def test_status_shows_what_the_upstream_asked_for() -> None:
    scheduler = reference()
    attempts: list[int] = []

    async def busy_once() -> None:
        attempts.append(1)
        if len(attempts) == 1:
            raise Throttled(retry_after=42, reason="limit_requests")

    async with serving(scheduler) as client:
        receipt = await scheduler.enqueue(busy_once)
        await anyio.sleep(1)
        status = (await client.get("/queue/status")).json()
        job = (await client.get(f"/queue/jobs/{receipt.job_id}")).json()
    assert status["hold_seconds"] == pytest.approx(41)
    assert status["waiting_for"] == status["hold_reason"] == "upstream said wait 42 s"
    assert status["throttled"] == 1
    assert (job["throttles"], job["attempt"], job["state"]) == (1, 1, "queued")


def test_the_openapi_page_tells_of_answers_and_problems() -> None:
    scheduler = reference()
    app = FastAPI()
    app.include_router(queue_router(scheduler, allow_cancel=True))
    paths = app.openapi()["paths"]
    job = paths["/queue/jobs/{job_id}"]
    assert job["get"]["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/JobView")
    assert "application/problem+json" in job["get"]["responses"]["404"]["content"]
    assert "Retry-After" in job["get"]["responses"]["503"]["headers"]
    assert set(job["delete"]["responses"]) >= {"200", "202", "404", "409", "503"}
    status = paths["/queue/status"]["get"]["responses"]["200"]["content"]["application/json"]
    assert status["schema"]["$ref"].endswith("/StatusView")
    assert list(paths["/queue/events"]["get"]["responses"]["200"]["content"]) == ["text/event-stream"]


def test_a_cancel_route_that_only_refuses_is_not_advertised() -> None:
    app = FastAPI()
    app.include_router(queue_router(reference()))
    assert set(app.openapi()["paths"]["/queue/jobs/{job_id}"]) == {"get"}
