"""What the page does."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel

from pacer import JobState, Scheduler
from pacer.dashboard._models import RetriedData
from pacer.dashboard._problems import sentence


class OneJob(BaseModel):
    """Which job is meant."""

    id: str


class AllOf(BaseModel):
    """Which jobs are meant."""

    state: Literal[JobState.STALE, JobState.DEAD, JobState.FAILED]


class Numbers(BaseModel):
    """Numbers of parts by path; null takes one back to what the code says."""

    numbers: dict[str, float | None]


def action_routes(scheduler: Scheduler) -> APIRouter:
    """All of them; who may call them is settled where they are included."""
    router = APIRouter()

    @router.post("/pause", status_code=204)
    async def pause() -> None:
        await scheduler.pause()

    @router.post("/resume", status_code=204)
    async def resume() -> None:
        await scheduler.resume()

    @router.post("/end-hold", status_code=204)
    async def end_hold() -> None:
        await scheduler.end_hold()

    @router.post("/cancel", status_code=204)
    async def cancel(job: OneJob) -> None:
        if not await scheduler.cancel(job.id):
            raise HTTPException(409, "The job has ended already.")

    @router.post("/retry", status_code=204)
    async def retry(job: OneJob) -> None:
        await scheduler.retry(job.id)

    @router.post("/retry-all")
    async def retry_all(which: AllOf) -> RetriedData:
        return RetriedData.model_validate(await scheduler.retry_all(which.state))

    @router.post("/numbers", status_code=204)
    async def set_numbers(changes: Numbers) -> None:
        try:
            await scheduler.set_numbers(changes.numbers)
        except ValueError as error:
            raise HTTPException(422, sentence(error)) from error

    return router
