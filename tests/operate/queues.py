"""Queues with jobs in them, for the commands to look at."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
from command_line import Place

from pacer import BoundedQueue, JobState, Outcome, Scheduler, current_job
from pacer.backoff import ConstantBackoff
from pacer.pacing import FixedPause
from pacer.protocols import JobFacts, When

PARTS: Mapping[str, Any] = {"queue": BoundedQueue(50), "pacing": FixedPause(0), "backoff": ConstantBackoff(0)}


@attrs.frozen
class Mine:
    """A pacing policy of an application's own, which nobody else can make."""

    seconds: float = 1.0

    def initial_state(self) -> None:
        """None."""

    def earliest(self, state: None, now: float, job: JobFacts, running: int) -> When:
        """At once."""
        return When(now)

    def started(self, state: None, now: float, job: JobFacts, running: int) -> None:
        """Nothing."""

    def ended(self, state: None, now: float, job: JobFacts, outcome: Outcome, running: int) -> None:
        """Nothing."""


@attrs.frozen(eq=False)
class Running:
    """A scheduler that works, whose jobs end when they are told to."""

    scheduler: Scheduler
    end: anyio.Event
    started: list[str]

    async def enqueue(self, mode: str = "wait", **options: Any) -> str:
        """A job that waits for `end`, or ends at once: well ("succeed") or not ("fail")."""
        receipt = await self.scheduler.options(**options).enqueue(self.scheduler._registry.named("work").function, mode)
        return str(receipt.job_id)

    async def until(self, state: JobState, *job_ids: str) -> None:
        """These are in this state."""
        with anyio.fail_after(60):
            for job_id in job_ids:
                while (await self.scheduler.job(job_id)).state is not state:
                    await anyio.sleep(0.02)


def scheduler_on(place: Place, **settings: Any) -> Scheduler:
    """One with the usual parts; `lease` and the like are the store's."""
    own = {name: settings.pop(name) for name in ("lease", "poll", "keep_finished_for") if name in settings}
    return Scheduler(store=place.store(**{"poll": 0.05, **own}), observers=(), **{**PARTS, **settings})


@asynccontextmanager
async def working(place: Place, **settings: Any) -> AsyncGenerator[Running]:
    """A scheduler that works on the place."""
    scheduler, end, started = scheduler_on(place, **settings), anyio.Event(), list[str]()

    @scheduler.task(name="work")
    async def work(mode: str = "wait") -> str:
        started.append(current_job().id)
        if mode == "fail":
            msg = "no \x1b[31mluck\x1b[0m"
            raise ValueError(msg)
        if mode == "wait":
            current_job().progress(0.25, "reading \x1b]0;pwned\x07 it")
            await end.wait()
        return mode

    async with scheduler:
        yield Running(scheduler, end, started)
