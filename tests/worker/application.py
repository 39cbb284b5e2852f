"""What users start worker processes of: a module with a scheduler, its jobs in a file beside it."""

from __future__ import annotations

import time
from pathlib import Path

import anyio

from pacer import BoundedQueue, Scheduler
from pacer.stores.sqlite import SqliteStore

HERE = Path(__file__).parent

scheduler = Scheduler(
    queue=BoundedQueue(100),
    concurrency=2,
    worker_concurrency=0,
    store=SqliteStore(HERE / "jobs.db", lease=1, poll=0.02, busy_timeout=0.1),
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


def make_scheduler() -> Scheduler:
    return scheduler
