"""What the page reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from sse_starlette import EventSourceResponse

from pacer import JobState, Scheduler
from pacer.dashboard._models import ArgumentsData, JobPageData, NumberData
from pacer.dashboard._problems import sentence
from pacer.dashboard._reading import Watch
from pacer.dashboard._stream import stream_readings

_PAGE = 50


def data_routes(scheduler: Scheduler, watch: Watch) -> APIRouter:
    """The live readings, lists of jobs, and the numbers of the parts."""
    router = APIRouter()

    @router.get("/live", response_class=EventSourceResponse)
    async def live_readings(job: str | None = None) -> EventSourceResponse:
        scheduler.utc(0.0)  # while the answer can still be another one
        return stream_readings(watch, job)

    @router.get("/jobs")
    async def jobs(
        state: Annotated[Sequence[JobState], Query()] = (),
        task: str | None = None,
        key: str | None = None,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=200)] = _PAGE,
    ) -> JobPageData:
        try:
            found = await scheduler.jobs(*state, task=task, key=key, limit=limit, after=after)
        except ValueError as error:
            raise HTTPException(422, sentence(error)) from error
        return JobPageData.model_validate(found)

    @router.get("/numbers")
    async def numbers() -> list[NumberData]:
        return [NumberData.model_validate(number) for number in await scheduler.numbers()]

    return router


def argument_routes(scheduler: Scheduler) -> APIRouter:
    """What a job was given, for those who ask."""
    router = APIRouter()

    @router.get("/arguments")
    async def arguments(job: str) -> ArgumentsData:
        positional, named = await scheduler.arguments(job)
        return ArgumentsData(
            positional=[repr(value) for value in positional],
            named={name: repr(value) for name, value in named.items()},
        )

    return router
