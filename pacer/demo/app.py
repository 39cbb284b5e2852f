"""The reference application: parliamentary papers come in over HTTP and are analysed at a pace that the model bears.

Run it alone with `uvicorn pacer.demo.app:create_app --factory`, also with `--workers 4`, or with `pacer demo`, which
brings an upstream and papers along. The page at `/queue/` shows the queue. With `pacer demo`, people at this machine
may steer it there; with uvicorn, which may listen anywhere, nobody.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from pacer import BoundedQueue, Scheduler, current_job
from pacer._extras import needed
from pacer.backoff import ExponentialBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore, StatusMirror

with needed("demo"):
    from fastapi import FastAPI

    from pacer.dashboard import dashboard
    from pacer.demo._chat import ChatService, analyse
    from pacer.demo._jobs import JobTable
    from pacer.demo._local import at_this_machine
    from pacer.demo._routes import intake_routes, start_routes, view_routes
    from pacer.fastapi import install_error_handlers, lifespan, queue_router

__all__ = ["Settings", "create_app", "make_scheduler"]


@attrs.frozen
class Settings:
    """What the application needs to know.

    Attributes:
        db: The SQLite file for jobs.
        chat: The service that does the work.
        speed: Divides all times, for a demonstration in a hurry.
        steerable: Whether people at this machine may steer the queue on its page. Only for a server that listens on
            loopback and is reached directly; False by default.
    """

    db: Path
    chat: ChatService
    speed: float = 1.0
    steerable: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """PACER_DEMO_DB ("pacer-demo.db" by default), PACER_DEMO_SPEED, and what `ChatService` reads."""
        return cls(
            Path(environment.get("PACER_DEMO_DB", "pacer-demo.db")),
            ChatService.from_environment(environment),
            float(environment.get("PACER_DEMO_SPEED", "1")),
        )


def make_scheduler(db: Path, speed: float = 1.0) -> Scheduler:
    """50 may wait, one runs, 10 s pause after each; failures in a row hold the queue for 15 s, doubling up to 5 min."""
    return Scheduler(
        queue=BoundedQueue(50),
        pacing=FixedPause(10 / speed),
        backoff=ExponentialBackoff(15 / speed, maximum=300 / speed, after=2),
        estimator=MovingAverage(initial=60 / speed, weight=0.2),
        store=SqliteStore(
            db,
            mirror=StatusMirror(table="jobs", id="id", status="status", updated_at="updated_at"),
            lease=max(30 / speed, 3),
        ),
    )


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without settings it takes them from the environment."""
    settings = settings or Settings.from_environment()
    scheduler = make_scheduler(settings.db, settings.speed)
    jobs, client, model = JobTable(settings.db), settings.chat.client(), settings.chat.model

    @scheduler.task(name="analyse-drucksache")
    async def analyse_drucksache(text: str) -> None:
        job = current_job()
        job.progress(0.1, f"asked {model}")
        analysis = await analyse(client, model, text)
        await jobs.save_result(job.id, analysis)
        job.progress(1.0, "analysed")

    @asynccontextmanager
    async def resources(app: FastAPI) -> AsyncGenerator[None]:
        async with client, jobs.opened():
            yield

    app = FastAPI(title="Drucksachen", lifespan=lifespan(scheduler, resources))
    app.include_router(start_routes())
    app.include_router(intake_routes(scheduler, jobs, analyse_drucksache))
    app.include_router(view_routes(scheduler, jobs))
    app.include_router(queue_router(scheduler))
    app.mount("/queue", _page(scheduler, app.title, settings.steerable))
    install_error_handlers(app)
    return app


def _page(scheduler: Scheduler, title: str, steerable: bool) -> FastAPI:
    if not steerable:
        return dashboard(scheduler, title=title)
    return dashboard(scheduler, title=title, auth=at_this_machine, show_arguments=True)
