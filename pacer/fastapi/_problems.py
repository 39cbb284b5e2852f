"""Errors as HTTP answers, with bodies of RFC 9457 (problem details)."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field

from pacer import ImpossibleJobError, NotRunningError, QueueFullError, StoreError, UnknownJobError

logger = logging.getLogger("pacer")

MEDIA_TYPE = "application/problem+json"
# Seconds after which a client may look whether the application has recovered or finished its restart.
RECOVERY_TIME = 5


class Problem(BaseModel):
    """Why a request was not served, in the form of RFC 9457."""

    type: str = Field(default="about:blank", description="No more than the status says; `code` tells problems apart.")
    title: str = Field(description="The status in words.", examples=["Too Many Requests"])
    status: int = Field(description="The HTTP status.", examples=[429])
    detail: str = Field(description="For people: what happened and what to do.")
    code: str = Field(description="For programs; stable.", examples=["queue-full"])
    retry_after: float | None = Field(default=None, description="Seconds after which it is worth another try.")
    capacity: int | None = Field(default=None, description="How many jobs may wait, for `queue-full`.")


def problem(
    status: int, code: str, detail: str, *, retry_after: float | None = None, capacity: int | None = None
) -> JSONResponse:
    """The answer with this body; with `retry_after` also the header, in whole seconds, rounded up, at least 1."""
    title = HTTPStatus(status).phrase
    body = Problem(
        title=title, status=status, detail=detail, code=code, retry_after=retry_after, capacity=capacity
    ).model_dump(exclude_none=True)
    headers = {} if retry_after is None else {"Retry-After": str(max(1, math.ceil(retry_after)))}
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)


def install_error_handlers(app: FastAPI) -> None:
    """Answer pacer's errors, wherever in the application they are raised, with a fitting status and a problem body.

    `QueueFullError` becomes 429 with `Retry-After`, the forecast time until there is room; `ImpossibleJobError`
    422; `UnknownJobError` 404; `NotRunningError` and `StoreError` 503 with `Retry-After`. What a store said is logged,
    not sent: it may name paths.
    """
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)


def problem_responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses=`, so that its OpenAPI entry shows the problem bodies it may answer with.

    `@app.post("/analyse", responses=problem_responses(429, 503))`
    """
    return {status: _response(status) for status in statuses}


def _response(status: int) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": Problem.model_json_schema()}},
    }
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        described["headers"] = {
            "Retry-After": {
                "description": "Whole seconds after which it is worth another try.",
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return described


async def _queue_full(request: Request, error: Any) -> JSONResponse:
    wait = max(1, math.ceil(error.retry_after))
    if error.reason:
        detail = f"The queue takes no more jobs: {error.reason}. Try again in {wait} s."
    else:
        detail = f"The queue is full: {error.capacity} jobs wait. A slot is expected to be free in {wait} s."
    return problem(429, "queue-full", detail, retry_after=error.retry_after, capacity=error.capacity)


async def _impossible_job(request: Request, error: Any) -> JSONResponse:
    return problem(422, "impossible-job", f"This job can never start: {error.reason}. It has to be made smaller.")


async def _unknown_job(request: Request, error: Any) -> JSONResponse:
    return problem(404, "unknown-job", "No job has this id. It may have ended long ago and been forgotten.")


async def _not_running(request: Request, error: Any) -> JSONResponse:
    detail = "The queue is not running: the server is starting or shutting down. Please try again."
    return problem(503, "not-running", detail, retry_after=RECOVERY_TIME)


async def _store_failed(request: Request, error: Any) -> JSONResponse:
    logger.error("the store failed during %s %s: %s", request.method, request.url.path, error)
    return problem(503, "store-unavailable", "The store of jobs cannot be used now.", retry_after=RECOVERY_TIME)


_ANSWERS: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
    QueueFullError: _queue_full,
    ImpossibleJobError: _impossible_job,
    UnknownJobError: _unknown_job,
    NotRunningError: _not_running,
    StoreError: _store_failed,
}


class ProblemRoute(APIRoute):
    """A route that answers pacer's errors by itself, in applications without `install_error_handlers` too."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, with pacer's errors caught."""
        serve = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            try:
                return await serve(request)
            except tuple(_ANSWERS) as error:
                answer = next(answer for kind, answer in _ANSWERS.items() if isinstance(error, kind))
                return await answer(request, error)

        return guarded
