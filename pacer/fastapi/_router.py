"""Routes to watch a queue and to cancel its jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response, params
from sse_starlette import EventSourceResponse

from pacer import Scheduler
from pacer.fastapi._events import stream_events
from pacer.fastapi._models import JobResultView, JobView, StatusView
from pacer.fastapi._problems import ProblemRoute, problem, problem_responses

_EVENTS_DESCRIPTION = (
    "Server-sent events. `status` comes at once and then periodically, with the body of `GET /status`. The others are "
    "named after what happened in the answering process (`job_started`, `queue_held`, ...) and carry its facts. "
    "`missed` says that events were lost because they were not read fast enough."
)
_EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A stream that ends when the client or the server does.",
        "content": {
            "text/event-stream": {"schema": {"type": "string"}, "example": 'event: status\ndata: {"pending": 3}\n\n'}
        },
    }
}


def queue_router(
    scheduler: Scheduler,
    *,
    prefix: str = "/queue",
    dependencies: Sequence[params.Depends] = (),
    allow_cancel: bool | None = None,
    include_results: bool = False,
    status_interval: float = 5.0,
    buffer: int = 1000,
) -> APIRouter:
    """Routes for `app.include_router`: `GET /status`, `GET /jobs/{id}`, `DELETE /jobs/{id}`, `GET /events`.

    They show no arguments of jobs. Read-only unless access is guarded: cancelling works only with `dependencies`, or
    where `allow_cancel` says so; without, `DELETE` answers 403.

    Args:
        scheduler: The scheduler to show; it must run in this application (`lifespan`).
        prefix: Of the paths; "/queue" by default.
        dependencies: Your own guards for all of the routes: `[Depends(require_admin)]`.
        allow_cancel: Whether jobs can be cancelled; None (default) says yes if there are `dependencies`. Say True if
            the guards are on the application or on `include_router`.
        include_results: Whether `GET /jobs/{id}` shows what a job returned; False by default.
        status_interval: Seconds between two `status` events of the stream, 5 by default. Through them the stream shows
            what other processes do.
        buffer: Events that are kept for a client that reads slowly; the oldest are lost first.
    """
    router = APIRouter(prefix=prefix, dependencies=[*dependencies], tags=["queue"], route_class=ProblemRoute)
    may_cancel = bool(dependencies) if allow_cancel is None else allow_cancel
    view: type[JobView] = JobResultView if include_results else JobView

    async def look_up(job_id: str) -> JobView:
        return view.of(await scheduler.job(job_id), await scheduler.estimate(job_id))

    @router.get("/status", summary="The queue now", responses=problem_responses(503))
    async def status() -> StatusView:
        return StatusView.of(await scheduler.status())

    # A path, because an id may have slashes.
    @router.get(
        "/jobs/{job_id:path}", summary="One job now", response_model=view, responses=problem_responses(404, 503)
    )
    async def job(job_id: str) -> JobView:
        return await look_up(job_id)

    @router.delete(
        "/jobs/{job_id:path}",
        summary="Cancel a job, waiting or running",
        description="Answers 200 with the cancelled job, or 202 if it runs and will be stopped in a moment.",
        response_model=view,
        responses=problem_responses(404, 409, 503)
        | {202: {"model": view, "description": "It runs and is being stopped."}},
        include_in_schema=may_cancel,
    )
    async def cancel(job_id: str, response: Response) -> Any:
        if not may_cancel:
            return problem(403, "cancel-not-allowed", "This server shows its jobs but does not let you cancel them.")
        if not await scheduler.cancel(job_id):
            return problem(409, "job-has-ended", "The job has ended already.")
        found = await look_up(job_id)
        if not found.state.final:
            response.status_code = 202
        return found

    @router.get(
        "/events",
        summary="What happens, as it happens",
        description=_EVENTS_DESCRIPTION,
        response_class=EventSourceResponse,
        responses=_EVENT_STREAM | problem_responses(503),
    )
    async def events() -> EventSourceResponse:
        return stream_events(scheduler, status_interval, buffer)

    return router
