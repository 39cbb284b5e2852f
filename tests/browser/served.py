"""A queue and its page, served by uvicorn in a thread of the test."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import anyio
import attrs
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI
from servers import free_port
from waiting import until

from pacer import BoundedQueue, JobState, Scheduler, current_job
from pacer.backoff import ExponentialBackoff
from pacer.dashboard import dashboard
from pacer.estimators import MovingAverage
from pacer.fastapi import lifespan
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore

T = TypeVar("T")
P = ParamSpec("P")

AT_ONCE = {"concurrency": 3}
"""Parts of a site for jobs that a killed process has left running."""


async def anybody() -> None:
    """For `auth=`: nobody else reaches a test's server."""


def make_scheduler(db: Path, pause: float = 0.1, lease: float = 30, **parts: Any) -> Scheduler:
    """As the tests of the page use it. Jobs that a crash interrupts are stale."""
    usual = {
        "queue": BoundedQueue(100),
        "pacing": FixedPause(pause),
        "backoff": ExponentialBackoff(15, maximum=300, after=3),
        "estimator": MovingAverage(initial=6),
        "store": SqliteStore(db, lease=lease, poll=0.05),
        "on_crash": "stale",
        "observers": (),
        "seed": 1,
    }
    return Scheduler(**{**usual, **parts})


@attrs.define(eq=False)
class Tasks:
    """What the jobs of a site do, and what they wait for.

    Attributes:
        upstream_works: Whether `fetch` succeeds.
    """

    upstream_works: bool = False
    _gates: dict[str, anyio.Event] = attrs.field(init=False, factory=dict)

    def register(self, scheduler: Scheduler) -> None:
        scheduler.task(name="summarise")(self.summarise)
        scheduler.task(name="fetch")(self.fetch)
        scheduler.task(name="nothing")(self.nothing)

    async def summarise(self, document: str, progress: float = 0.4, message: str = "page 2 of 5") -> str:
        """Runs until the test lets it end."""
        current_job().progress(progress, message)
        await self._gates.setdefault(document, anyio.Event()).wait()
        return f"{document}: nothing new"

    async def fetch(self, error: str) -> None:
        """Fails with this error as long as the upstream does not work."""
        if not self.upstream_works:
            raise RuntimeError(error)

    async def nothing(self, document: str = "") -> None:
        """Succeeds at once."""

    async def let_end(self, document: str) -> None:
        """Let the jobs with this document end, now or as soon as they start."""
        self._gates.setdefault(document, anyio.Event()).set()


@attrs.define(eq=False)
class Site:
    """The page at `url`, over a SQLite file, while it is started. Can be stopped and started again.

    Attributes:
        db: The file.
        options: Of `dashboard()`.
        parts: Of the scheduler, in place of the usual ones.
        pause: Seconds between two jobs.
    """

    db: Path
    pause: float = 0.1
    options: Mapping[str, Any] = attrs.field(factory=lambda: {"auth": anybody})
    parts: Mapping[str, Any] = attrs.field(factory=dict)
    port: int = attrs.field(init=False, factory=free_port)
    tasks: Tasks = attrs.field(init=False)
    scheduler: Scheduler = attrs.field(init=False)
    _portal: BlockingPortal = attrs.field(init=False)
    _server: uvicorn.Server = attrs.field(init=False)
    _serving: Future[None] = attrs.field(init=False)
    _running: ExitStack = attrs.field(init=False, factory=ExitStack)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/queue/"

    def start(self) -> None:
        """Serve, and run jobs."""
        self.scheduler, self.tasks = make_scheduler(self.db, self.pause, **self.parts), Tasks()
        self.tasks.register(self.scheduler)
        app = FastAPI(lifespan=lifespan(self.scheduler))
        app.mount("/queue", dashboard(self.scheduler, **self.options))
        self._portal = self._running.enter_context(start_blocking_portal())
        listener = self._running.enter_context(socket.create_server(("127.0.0.1", self.port)))
        config = uvicorn.Config(app, lifespan="on", log_level="warning", ws="none", timeout_graceful_shutdown=1)
        self._server = uvicorn.Server(config)
        self._serving = self._portal.start_task_soon(self._server.serve, [listener])
        until(lambda: self._server.started or self._serving.done())
        if not self._server.started:
            self._running.close()
            raise RuntimeError("the site does not start; the log says why")

    def stop(self) -> None:
        """End it, as at a restart of the application."""
        self._server.should_exit = True
        self._serving.result()
        self._running.close()

    def do(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call something of the scheduler, on its event loop."""

        async def doing() -> T:
            return await call(*args, **kwargs)

        return self._portal.call(doing)

    def enqueue(self, task: str, *args: Any, **options: Any) -> str:
        """A job; gives its id."""
        function = getattr(self.tasks, task)
        return self.do(self.scheduler.options(**options).enqueue, function, *args).job_id

    def state(self, job_id: str) -> JobState:
        """What the store says of a job."""
        return self.do(self.scheduler.job, job_id).state

    def wait_for(self, state: JobState, *job_ids: str) -> None:
        """Wait until these jobs are in this state."""
        for job_id in job_ids:
            until(lambda job_id=job_id: self.state(job_id) is state)


Serve = Callable[..., Site]
"""What the fixture `serve` gives."""


@contextmanager
def served(site: Site) -> Iterator[Site]:
    """The site, started; stopped at the end."""
    site.start()
    try:
        yield site
    finally:
        site.stop()


@contextmanager
def hanging_worker(db: Path, *job_ids: str, lease: float = 600) -> Iterator[None]:
    """A process with the parts `AT_ONCE` that starts these jobs, three at most, and then hangs; killed at the end."""
    command = [sys.executable, "-m", "browser.hanging", db, str(lease), *job_ids]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "all run\n"
            yield
        finally:
            process.kill()


def leave_running(db: Path, *job_ids: str) -> None:
    """Have a process start these jobs, three at most, and be killed in the middle of all of them.

    The site that comes after it needs the parts `AT_ONCE`.
    """
    with hanging_worker(db, *job_ids, lease=2):
        pass
