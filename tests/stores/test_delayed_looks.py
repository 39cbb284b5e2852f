"""What a worker decides about others may be done later than it was asked for: the database was busy meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable

import pytest
from sqlite_files import TASKS, File

from pacer import JobState
from pacer._job import JobRecord

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


async def test_a_worker_that_had_to_wait_past_its_lease_does_not_take_itself_to_be_gone(
    file: File, make_job: Callable[..., JobRecord]
) -> None:
    async with file.open(lease=10.0) as ledger:
        await ledger.recover(TASKS)
        await ledger.add([make_job("j1")])
        other = sqlite3.connect(file.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        looking = asyncio.create_task(ledger.recover(TASKS))
        await asyncio.sleep(0)  # it has asked, and waits for the file
        file.clock.advance(11.0)
        other.execute("COMMIT")
        other.close()
        assert await looking == []
        job = await ledger.job("j1")
        assert job is not None
        assert job.state is JobState.QUEUED
