"""The application's routes: papers in, positions, waiting times and results out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, HTTPException
from fastapi.responses import RedirectResponse

from pacer import Scheduler, UnknownJobError, call
from pacer.demo._jobs import JobTable, Row
from pacer.demo._models import Accepted, AcceptedBatch, Batch, Paper, PaperJob, QueueStatus
from pacer.fastapi import EstimateView, problem_responses


def start_routes() -> APIRouter:
    """Where a visit begins that has no path: at the page of the queue. Relative, as a proxy may add a prefix."""
    router = APIRouter()

    @router.get("/", include_in_schema=False)
    async def start() -> RedirectResponse:
        return RedirectResponse("queue/")

    return router


def intake_routes(scheduler: Scheduler, jobs: JobTable, analyse: Callable[[str], Awaitable[None]]) -> APIRouter:
    """Where papers come in. A row of the table is written before its job, so that there is no job without a row."""
    router = APIRouter(prefix="/api", tags=["papers"], responses=problem_responses(429, 503))

    @router.post("/analyze-drucksache", status_code=202)
    async def analyze_drucksache(paper: Paper) -> Accepted:
        async with jobs.added({paper.job_id: paper.title}):
            receipt = await scheduler.options(job_id=paper.job_id).enqueue(analyse, paper.text)
        return Accepted.of(receipt)

    @router.post("/analyze-batch", status_code=202)
    async def analyze_batch(batch: Batch) -> AcceptedBatch:
        async with jobs.added({paper.job_id: paper.title for paper in batch.papers}):
            receipt = await scheduler.enqueue_many(
                call(analyse, paper.text).named(paper.job_id) for paper in batch.papers
            )
        return AcceptedBatch(batch_id=receipt.batch_id, jobs=[Accepted.of(one) for one in receipt.receipts])

    return router


def view_routes(scheduler: Scheduler, jobs: JobTable) -> APIRouter:
    """Where people look."""
    router = APIRouter(prefix="/api", tags=["papers"], responses=problem_responses(503))

    @router.get("/queue/status")
    async def queue_status() -> QueueStatus:
        return QueueStatus.of(await scheduler.status())

    @router.get("/jobs")
    async def latest_jobs() -> list[PaperJob]:
        return [await _paper_job(scheduler, jobs, row) for row in await jobs.latest(100)]

    @router.get("/jobs/{job_id}")
    async def one_job(job_id: str) -> PaperJob:
        row = await jobs.get(job_id)
        if row is None:
            raise HTTPException(404, "No paper was handed in under this job_id.")
        return await _paper_job(scheduler, jobs, row)

    return router


async def _paper_job(scheduler: Scheduler, jobs: JobTable, row: Row) -> PaperJob:
    """The row, with what the scheduler knows of the job; it forgets jobs that ended long ago."""
    job = PaperJob.model_validate(dict(row))
    try:
        known, wait = await scheduler.job(job.id), await scheduler.estimate(job.id)
    except UnknownJobError:
        return job
    job.status, job.queue_position, job.error = known.state, known.position, known.error
    job.progress, job.message = known.progress, known.message
    if known.state.final and job.result is None:  # it has ended since the row was read
        ended = await jobs.get(job.id)
        job.result = None if ended is None else ended["result"]
    job.estimated_wait = None if wait is None else EstimateView.model_validate(wait)
    return job
