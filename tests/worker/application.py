"""What users start worker processes of: a module with a scheduler, its jobs in a file beside it or where JOBS says."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import anyio

from pacer import BoundedQueue, Scheduler
from pacer.protocols import Store
from pacer.stores._from_url import StoreUrl
from pacer.stores.sqlite import SqliteStore

HERE = Path(__file__).parent


def store() -> Store:
    if "JOBS" in os.environ:
        return StoreUrl.parse(os.environ["JOBS"]).store(poll=0.1)
    lease, patience = (float(os.environ.get(name, usual)) for name, usual in (("LEASE", "30"), ("PATIENCE", "5")))
    return SqliteStore(HERE / "jobs.db", lease=lease, poll=0.02, busy_timeout=patience)


scheduler = Scheduler(
    queue=BoundedQueue(100),
    concurrency=2,
    worker_concurrency=0,
    store=store(),
    name=os.environ.get("QUEUE", "default"),
)


@scheduler.task(name="wait_for")
async def wait_for(file: str) -> str:
    """Ends when the file is there."""
    while not (HERE / file).exists():
        await anyio.sleep(0.01)
    return file


@scheduler.task(name="block")
def block(seconds: float) -> None:
    """Blocks its thread."""
    time.sleep(seconds)


@scheduler.task(name="block_the_loop")
async def block_the_loop() -> None:
    """As nobody should."""
    while True:
        time.sleep(1)  # noqa: ASYNC251


@scheduler.task(name="fork")
def fork() -> int | None:
    """How a process ends that a job has made and then stops."""
    context = multiprocessing.get_context("fork")
    started = context.Event()
    child = context.Process(target=_sleep_on, args=(started,))
    child.start()
    started.wait()
    child.terminate()
    child.join()
    return child.exitcode


def _sleep_on(started: Event) -> None:
    started.set()
    time.sleep(1000)
