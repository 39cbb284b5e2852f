"""Errors as sentences that the page shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse

from pacer import ArgumentsUnavailableError, NotRetryableError, NotRunningError, TakenOverError
from pacer.fastapi import install_error_handlers
from pacer.fastapi._problems import RECOVERY_TIME, problem

Handler = Callable[[Request, Any], Any]
_LONGEST = 300


def answer_problems(app: FastAPI) -> None:
    """Answer pacer's errors with a problem body, as `install_error_handlers` does, and those of steering too."""
    install_error_handlers(app)
    for kind, answer in _ANSWERS.items():
        app.add_exception_handler(kind, answer)


def sentence(error: Exception) -> str:
    """What an error says, for people; cut where it repeats something long that was sent."""
    text = str(error).rstrip(".")
    text = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f"{text[:1].upper()}{text[1:]}."


async def _not_running(request: Request, error: Any) -> JSONResponse:
    detail = "The queue is not running: its application is starting or stopping, or has not started its scheduler."
    return problem(503, "not-running", detail, retry_after=RECOVERY_TIME)


async def _not_retryable(request: Request, error: Any) -> JSONResponse:
    return problem(409, "not-retryable", f"The job cannot be run again: {error.reason}.")


async def _no_arguments(request: Request, error: Any) -> JSONResponse:
    detail = "The arguments of this job are not kept: it has succeeded, or they live in the process that enqueued it."
    return problem(404, "no-arguments", detail)


async def _taken_over(request: Request, error: Any) -> JSONResponse:
    detail = "The queue is run with other settings than those of this process, which may only watch it."
    return problem(409, "taken-over", detail)


async def _not_understood(request: Request, error: Any) -> JSONResponse:
    """What is wrong, without what was sent."""
    wrong = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    return problem(422, "not-understood", f"The request was not understood: {wrong}.")


_ANSWERS: dict[type[Exception], Handler] = {
    NotRunningError: _not_running,
    NotRetryableError: _not_retryable,
    ArgumentsUnavailableError: _no_arguments,
    TakenOverError: _taken_over,
    RequestValidationError: _not_understood,
}
