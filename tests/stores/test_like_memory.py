"""Stores with a memory of their own answer as the memory store does, whatever is done to them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
from hypothesis import HealthCheck, given, settings
from like_memory import CASES, check_like_memory

from pacer.stores.sqlite import SqliteStore


@given(**CASES)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_sqlite_store_answers_as_the_memory_store(queue, pacing, concurrency, operations):
    async def main() -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "jobs.db"
            await check_like_memory(
                lambda clock: SqliteStore(path, clock=clock, lease=30, durability="process"),
                queue,
                pacing,
                concurrency,
                operations,
            )

    anyio.run(main)
