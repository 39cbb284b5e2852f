"""What is pressed on the page happens; what cannot happen is said in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from mounted import failing, make_scheduler, mounted, sleeper

from pacer import BoundedQueue, JobState, Scheduler, StoreError
from pacer.backoff import ExponentialBackoff
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


async def test_pause_and_resume() -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler) as page:
        for action, paused in (("pause", True), ("pause", True), ("resume", False)):
            assert (await page.act(action)).status_code == 204
            assert (await scheduler.status()).paused is paused


async def test_end_a_hold() -> None:
    scheduler = make_scheduler(backoff=ExponentialBackoff(3600, maximum=3600))
    async with mounted(scheduler) as page:
        await scheduler.enqueue(failing)
        await anyio.sleep(1)
        assert (await scheduler.status()).hold_seconds > 3000
        for _ in range(2):  # there may be none any more
            assert (await page.act("end-hold")).status_code == 204
            assert (await scheduler.status()).hold_seconds == 0


@pytest.mark.parametrize("job_id", ["job", "a/b c?d#e", "\x00\n\u202e<script>", "%2e%2e/"])
async def test_cancel_whatever_the_job_is_called(job_id: str) -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler) as page:
        await scheduler.enqueue(sleeper)
        await scheduler.options(job_id=job_id).enqueue(sleeper)
        assert (await page.act("cancel", {"id": job_id})).status_code == 204
        assert (await scheduler.job(job_id)).state is JobState.CANCELLED
        again = await page.act("cancel", {"id": job_id})
    assert (again.status_code, again.json()["detail"]) == (409, "The job has ended already.")


async def test_cancel_a_running_job() -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler) as page:
        await scheduler.options(job_id="runs").enqueue(sleeper, 1000)
        await anyio.sleep(1)
        assert (await page.act("cancel", {"id": "runs"})).status_code == 204
        await anyio.sleep(1)
        assert (await scheduler.job("runs")).state is JobState.CANCELLED


async def test_retry_a_failed_job() -> None:
    scheduler = make_scheduler()
    scheduler.task(name="failing")(failing)
    async with mounted(scheduler) as page:
        await scheduler.options(job_id="failed").enqueue(failing)
        await scheduler.drain()
        assert (await page.act("retry", {"id": "failed"})).status_code == 204
        assert (await scheduler.job("failed")).state is JobState.QUEUED
        refused = await page.act("retry", {"id": "failed"})
    assert refused.status_code == 409
    assert refused.json()["detail"].startswith("The job cannot be run again: ")


async def test_rerun_all_failed_jobs_as_far_as_there_is_room() -> None:
    scheduler = make_scheduler(queue=BoundedQueue(2))
    scheduler.task(name="failing")(failing)
    async with mounted(scheduler) as page:
        for _ in range(3):
            await scheduler.enqueue(failing)
            await scheduler.drain()
        await scheduler.pause()
        answer = await page.act("retry-all", {"state": "failed"})
        assert answer.status_code == 200
        assert answer.json()["count"] == 2
        assert (await scheduler.status()).pending == 2
        (left,) = (await scheduler.jobs(JobState.FAILED)).jobs
        full = await page.act("retry", {"id": left.id})
    assert full.status_code == 429
    assert full.json()["detail"].startswith("The queue is full: 2 jobs wait.")


async def test_a_number_is_set_and_taken_back() -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler) as page:
        assert (await page.act("numbers", {"numbers": {"pacing.seconds": 2.5}})).status_code == 204
        assert (await scheduler.status()).numbers_by_hand == {"pacing.seconds": 2.5}
        assert (await page.act("numbers", {"numbers": {"pacing.seconds": None}})).status_code == 204
        assert (await scheduler.status()).numbers_by_hand == {}


@pytest.mark.parametrize("numbers", [{"pacing.seconds": -5}, {"pacing.nothing": 5}, {"queue.capacity": 1.5}])
async def test_a_number_that_makes_no_sense_is_refused_in_a_sentence(numbers: dict[str, float]) -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler) as page:
        answer = await page.act("numbers", {"numbers": numbers})
        assert answer.status_code == 422
        detail = answer.json()["detail"]
        assert next(iter(numbers)).partition(".")[2] in detail
        assert detail.endswith(".")
        assert not detail.endswith("..")
        assert (await scheduler.status()).numbers_by_hand == {}


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("cancel", {}),
        ("cancel", {"id": 7}),
        ("retry", []),
        ("retry-all", {"state": "succeeded"}),
        ("retry-all", {"state": "queued"}),
        ("numbers", {"numbers": {"pacing.seconds": "soon"}}),
        ("numbers", {"numbers": 5}),
    ],
)
async def test_what_the_page_would_not_send_is_refused_in_a_sentence(action: str, body: Any) -> None:
    async with mounted(make_scheduler()) as page:
        answer = await page.act(action, body)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("The request was not understood: ")


@pytest.mark.parametrize("action", ["cancel", "retry"])
async def test_a_job_that_nobody_knows_is_said_to_be_unknown(action: str) -> None:
    async with mounted(make_scheduler()) as page:
        answer = await page.act(action, {"id": "<script>alert(1)</script>"})
    assert answer.status_code == 404
    assert answer.json()["detail"] == "No job has this id. It may have ended long ago and been forgotten."


async def test_what_a_store_says_is_not_for_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(self: Scheduler) -> None:
        raise StoreError("postgresql://user:secret@db/queue: connection refused")

    async with mounted(make_scheduler()) as page:
        monkeypatch.setattr(Scheduler, "pause", fails)
        answer = await page.act("pause")
    assert answer.status_code == 503
    assert "secret" not in answer.text


async def test_an_action_is_not_a_link() -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler) as page:
        assert (await page.get("actions/pause")).status_code == 405
        assert not (await scheduler.status()).paused


@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_a_guest_with_other_settings_can_pause_and_is_told_that_it_sets_no_numbers(tmp_path: Path) -> None:
    def scheduler(pause: float, *, guest: bool) -> Scheduler:
        return make_scheduler(store=SqliteStore(tmp_path / "jobs.db"), pacing=FixedPause(pause), guest=guest)

    async with scheduler(10, guest=False) as owner, mounted(scheduler(5, guest=True)) as page:
        refused = await page.act("numbers", {"numbers": {"pacing.seconds": 1}})
        assert refused.status_code == 409
        assert refused.json()["detail"].startswith("The queue is run with other settings")
        assert (await page.act("pause")).status_code == 204
        assert (await owner.status()).paused
