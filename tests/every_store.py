"""Scheduler tests that hold for every store: in memory on both event loops, and on SQLite in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from pacer.protocols import Store
from pacer.stores import MemoryStore
from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore, run_virtual

MakeStore = Callable[[], Store]


def on_every_store(test: Callable[[MakeStore], Awaitable[None]]) -> Callable[..., None]:
    """Make an async test of what gives it a store: the same one, by its data, each time that it is called."""

    @pytest.mark.parametrize(("store", "backend"), [("memory", "asyncio"), ("memory", "trio"), ("sqlite", "asyncio")])
    def run(store: str, backend: Any, tmp_path: Path) -> None:
        memory = MemoryStore()

        def make() -> Store:
            if store == "memory":
                return memory
            clock = asyncio.get_running_loop().time
            return HeldStore(SqliteStore(tmp_path / "jobs.db", durability="process", clock=clock))

        run_virtual(test, make, backend=backend)

    run.__name__, run.__doc__, run.__module__ = test.__name__, test.__doc__, test.__module__
    return run
