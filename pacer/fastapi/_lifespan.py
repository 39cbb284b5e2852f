"""The scheduler lives as long as the application serves."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection

from pacer import Scheduler

Lifespan = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]

_KEY = "pacer_scheduler"


def lifespan(
    scheduler: Scheduler, inner: Lifespan | None = None
) -> Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """A lifespan for `FastAPI(lifespan=...)` that runs the scheduler while the application serves.

    Every uvicorn worker process runs it; with a store that processes share they are one queue with one pace.

    Args:
        scheduler: What to run. With `stop_timeout` its running jobs get time to end at shutdown.
        inner: The application's own lifespan. It is entered before the scheduler starts and left after it has stopped,
            so that jobs can use what it provides. The state that it yields is passed on.

    Raises:
        TypeError: `inner` is a generator function without `@asynccontextmanager`.
    """
    if inspect.isasyncgenfunction(inner):
        msg = f"lifespan: inner={inner.__name__} is a bare async generator; did you forget @asynccontextmanager on it?"
        raise TypeError(msg)

    @asynccontextmanager
    async def serve(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        if inner is None:
            async with _running(scheduler, app):
                yield {_KEY: scheduler}
            return
        async with inner(app) as state, _running(scheduler, app):
            yield {**(state or {}), _KEY: scheduler}

    return serve


@asynccontextmanager
async def _running(scheduler: Scheduler, app: FastAPI) -> AsyncGenerator[None]:
    async with scheduler:
        # Servers pass the lifespan's state to requests; test clients that call the app directly may not.
        setattr(app.state, _KEY, scheduler)
        try:
            yield
        finally:
            delattr(app.state, _KEY)


async def get_scheduler(connection: HTTPConnection) -> Scheduler:
    """The scheduler of the application that serves this request or websocket. See `SchedulerDep`.

    Raises:
        RuntimeError: The application was made without `lifespan(scheduler)`, or its lifespan is not running.
    """
    for state in (connection.state, connection.app.state):
        scheduler = getattr(state, _KEY, None)
        if isinstance(scheduler, Scheduler):
            return scheduler
    msg = (
        "SchedulerDep: no scheduler runs in this application; make it with "
        "FastAPI(lifespan=pacer.fastapi.lifespan(scheduler)) and let the server run its lifespan"
    )
    raise RuntimeError(msg)


SchedulerDep = Annotated[Scheduler, Depends(get_scheduler)]
"""The running scheduler as a parameter: `async def analyse(document: str, scheduler: SchedulerDep): ...`."""
