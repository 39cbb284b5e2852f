"""A process that enqueues and runs jobs on a SQLite file and says all it does on stdout, until it is killed.

Each line is `<what> <job> <wall clock> <process>`: `acknowledged` after enqueue returned, `started` and `ended` inside
the job, `settled` once its outcome is in the store.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from typing import Any

import anyio

from pacer import BoundedQueue, Scheduler, current_job, events
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore

PAUSE = 0.004


def say(what: str, job_id: str) -> None:
    os.write(1, f"{what} {job_id} {time.time():.6f} {os.getpid()}\n".encode())


def observe(event: Any) -> None:
    if isinstance(event, events.JobSucceeded):
        say("settled", event.job_id)


def make_scheduler(path: str) -> tuple[Scheduler, Callable[[float], Awaitable[str]]]:
    scheduler = Scheduler(
        queue=BoundedQueue(10, "wait"),
        pacing=FixedPause(PAUSE),
        store=SqliteStore(path, lease=0.6, poll=0.02),
        max_recoveries=10_000,
        observers=(observe,),
    )

    @scheduler.task(name="work")
    async def work(seconds: float) -> str:
        job_id = current_job().id
        say("started", job_id)
        await anyio.sleep(seconds)
        say("ended", job_id)
        return job_id

    return scheduler, work


async def main(path: str, prefix: str) -> None:
    scheduler, work = make_scheduler(path)
    async with scheduler:
        for n in range(100_000):
            job_id = f"{prefix}-{n}"
            await scheduler.options(job_id=job_id).enqueue(work, 0.002)
            say("acknowledged", job_id)


def run(path: str, prefix: str, heard: Connection) -> None:
    """The process, which is heard there."""
    os.dup2(heard.fileno(), 1)
    anyio.run(main, path, prefix)
