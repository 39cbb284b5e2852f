"""An upstream that is down for a while, and a store that survives a restart."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import attrs

from pacer import Receipt, Scheduler
from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore


@attrs.define(eq=False)
class Upstream:
    """Is down until some time, counted from its first call. Notes when it was called, and how many calls overlapped."""

    up_at: float = 0.0
    takes: float = 1.0
    starts: list[float] = attrs.field(factory=list)
    beside: list[int] = attrs.field(factory=list)
    running: int = 0
    origin: float | None = None

    async def __call__(self, takes: float | None = None) -> None:
        if self.origin is None:
            self.origin = anyio.current_time()
        self.starts.append(anyio.current_time() - self.origin)
        self.beside.append(self.running)
        self.running += 1
        try:
            await anyio.sleep(self.takes if takes is None else takes)
        finally:
            self.running -= 1
        if anyio.current_time() - self.origin < self.up_at:
            raise ConnectionError("down")


async def enqueue(scheduler: Scheduler, function: Any, jobs: int) -> list[Receipt]:
    return [await scheduler.enqueue(function) for _ in range(jobs)]


def on_disk(path: Path, **settings: Any) -> HeldStore:
    clock = asyncio.get_running_loop().time
    return HeldStore(SqliteStore(path / "jobs.db", durability="process", clock=clock, **settings))
