"""Processes are killed after the application's commit, until a job is taken in: nothing is lost, nothing runs twice."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from pacer import UnknownJobError

DATABASES = ["sqlite"]
pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

PRELUDE = """
import asyncio, os, signal, sqlite3, sys
from pacer import Scheduler
from pacer._job import JobRecord
from pacer.stores._sqlite_stage import SqliteStage
from pacer.stores.sqlite import SqliteStore

path = sys.argv[1]
scheduler = Scheduler(store=SqliteStore(path, share=True))

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def enqueue(then):
    # A ledger that nobody works on: it looks at the file only when it is asked to.
    async with scheduler.store.open("default", scheduler._rules(), "victim") as ledger:
        connection = sqlite3.connect(path)
        connection.execute("INSERT INTO orders VALUES ('chair')")
        await ledger.stage(connection, [JobRecord("chair", "ship", '[["chair"],{}]')])
        await then(ledger, connection)
"""
BEFORE_THE_COMMIT = """
async def then(ledger, connection):
    kill()
"""
AFTER_THE_COMMIT = """
async def then(ledger, connection):
    connection.commit()
    kill()
"""
WHILE_IT_IS_TAKEN_IN = """
async def then(ledger, connection):
    connection.commit()
    SqliteStage.remove = kill  # the job is in pacer_jobs, and still in the stage
    await ledger.job("chair")
"""
AT_THE_END_OF_TAKING_IN = """
async def then(ledger, connection):
    connection.commit()
    remove = SqliteStage.remove
    def remove_and_die(self, numbers):
        remove(self, numbers)
        kill()
    SqliteStage.remove = remove_and_die
    await ledger.job("chair")
"""
AFTER_IT_WAS_TAKEN_IN = """
async def then(ledger, connection):
    connection.commit()
    assert await ledger.job("chair") is not None
    kill()
"""


def run_and_die(path, then: str) -> None:
    program = PRELUDE + textwrap.dedent(then) + "\nasyncio.run(enqueue(then))\n"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def rows(path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


@pytest.mark.parametrize(
    ("then", "staged", "queued"),
    [
        (AFTER_THE_COMMIT, 1, 0),
        (WHILE_IT_IS_TAKEN_IN, 1, 0),
        (AT_THE_END_OF_TAKING_IN, 1, 0),
        (AFTER_IT_WAS_TAKEN_IN, 0, 1),
    ],
    ids=["after the commit", "while it is taken in", "at the end of taking in", "after it was taken in"],
)
async def test_a_committed_job_runs_once_whenever_the_process_is_killed(
    database, make_scheduler, ran, then, staged, queued
):
    run_and_die(database.path, then)
    assert (rows(database.path, "pacer_stage"), rows(database.path, "pacer_jobs")) == (staged, queued)
    scheduler, _ = make_scheduler()
    async with scheduler:
        assert await scheduler.wait("chair") == "chair is on its way"
        assert await scheduler.drain(timeout=60)
    assert ran == ["chair"]
    assert await database.orders() == ["chair"]
    assert rows(database.path, "pacer_stage") == 0


async def test_a_process_killed_before_its_commit_leaves_neither_data_nor_job(database, make_scheduler):
    run_and_die(database.path, BEFORE_THE_COMMIT)
    scheduler, _ = make_scheduler()
    async with scheduler:
        with pytest.raises(UnknownJobError):
            await scheduler.job("chair")
    assert await database.orders() == []
