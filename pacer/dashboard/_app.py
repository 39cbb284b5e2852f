"""The application that is mounted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, params
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp

from pacer import Scheduler
from pacer.dashboard._actions import action_routes
from pacer.dashboard._data import argument_routes, data_routes
from pacer.dashboard._page import page_routes
from pacer.dashboard._problems import answer_problems
from pacer.dashboard._reading import Watch
from pacer.dashboard._security import SecurityHeaders, same_site, steered_from_the_page

Auth = Callable[..., Any] | params.Depends


def dashboard(
    scheduler: Scheduler, *, auth: Auth | None = None, title: str | None = None, show_arguments: bool = False
) -> FastAPI:
    """A page for people who watch a queue and steer it.

    `app.mount("/queue", dashboard(scheduler, auth=require_admin))` puts it into an application.

    The page is live, needs nothing from other hosts and works below any path, behind proxies too. While nobody looks,
    nothing is read; all who look share one reading of the queue, about one a second. The scheduler may run anywhere in
    this process, such as in the lifespan of the application around; while it does not run, the page says so.

    Without `auth` everybody who reaches it may read, and nobody can do anything: there are no routes for it. Do not
    mount it without `auth` where strangers reach it: it shows ids, keys, messages and errors of jobs.

    Args:
        scheduler: The scheduler to show. One with `worker_concurrency=0` will do.
        auth: A FastAPI dependency that decides who may see the page and steer the queue: it raises, as with
            `HTTPException(401)`, for everybody else. It is called for every request, before anything is read. A
            function or class, or made with `Depends` or `Security`. Browsers have to be able to pass it, so it looks
            at a cookie, at HTTP Basic or at what a proxy says, and not at a header that a script has to set. None
            (default): read-only, for everybody.
        title: What the page is called; the queue's name by default.
        show_arguments: Whether people may ask for a job's arguments. They are hidden otherwise, and by default.

    Returns:
        An application of its own: `dependency_overrides` of the application around do not reach `auth`, those of this
        one do. What `auth` raises is handled by the handlers of the application around.

    Raises:
        ValueError: `show_arguments` without `auth`.
    """
    if show_arguments and auth is None:
        msg = "dashboard: show_arguments=True shows what jobs were given; say with auth= who may see that"
        raise ValueError(msg)
    app = _Dashboard(
        title=title or scheduler.name,
        openapi_url=None,
        dependencies=[] if auth is None else [auth if isinstance(auth, params.Depends) else Depends(auth)],
    )
    app.add_middleware(SecurityHeaders)
    answer_problems(app)
    app.include_router(page_routes(scheduler, app.title, steerable=auth is not None, show_arguments=show_arguments))
    for router in _guarded(scheduler, steerable=auth is not None, show_arguments=show_arguments):
        app.include_router(router)
    return app


def _guarded(scheduler: Scheduler, *, steerable: bool, show_arguments: bool) -> list[APIRouter]:
    """What only the page itself may call."""
    read = APIRouter(prefix="/data", dependencies=[Depends(same_site)])
    read.include_router(data_routes(scheduler, Watch(scheduler)))
    if show_arguments:
        read.include_router(argument_routes(scheduler))
    if not steerable:
        return [read]
    steer = APIRouter(prefix="/actions", dependencies=[Depends(steered_from_the_page)])
    steer.include_router(action_routes(scheduler))
    return [read, steer]


class _Dashboard(FastAPI):
    def build_middleware_stack(self) -> ASGIApp:
        """Without the layer that answers 500, so that errors which `auth` raises reach the application around."""
        stack = super().build_middleware_stack()
        return stack.app if isinstance(stack, ServerErrorMiddleware) else stack
