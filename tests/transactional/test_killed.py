"""Processes are killed after the application's commit, until a job is taken in: nothing is lost, nothing runs twice."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from databases import Sqlite

from pacer import UnknownJobError

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

# A ledger that nobody works on looks at the database only when it is asked to.
PROGRAM = """
import asyncio, os, signal, sys
from pacer import Scheduler
from pacer._job import JobRecord

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def kill_before(owner, name):
    setattr(owner, name, kill)

def kill_after(owner, name):
    method = getattr(owner, name)
    def run_and_die(*args):
        method(*args)
        kill()
    setattr(owner, name, run_and_die)

{database}

async def main():
    scheduler = Scheduler(store=store)
    async with scheduler.store.open("default", scheduler._rules(), "victim") as ledger:
        connection.execute("INSERT INTO {table} VALUES ('chair')")
        await ledger.stage(connection, [JobRecord("chair", "ship", '[["chair"],{{}}]')])
        {then}
        kill()

asyncio.run(main())
"""
SQLITE = """
import sqlite3
from pacer.stores._sqlite_stage import SqliteStage
from pacer.stores.sqlite import SqliteStore

store, connection = SqliteStore(sys.argv[1], share=True), sqlite3.connect(sys.argv[1])
LAST_STEP = SqliteStage, "remove"  # the job is in pacer_jobs then, and not committed
"""
POSTGRES = """
import psycopg
from pacer.stores._postgres._backend import PostgresBackend
from pacer.stores.postgres import PostgresStore

store, connection = PostgresStore(sys.argv[1], schema=sys.argv[2]), psycopg.connect(sys.argv[1])
LAST_STEP = PostgresBackend, "write"  # which commits, too
"""
MOMENTS = {
    "before the commit": "",
    "after the commit": "connection.commit()",
    "before the last step of taking in": 'connection.commit(); kill_before(*LAST_STEP); await ledger.job("chair")',
    "after the last step of taking in": 'connection.commit(); kill_after(*LAST_STEP); await ledger.job("chair")',
    "after it was taken in": 'connection.commit(); assert await ledger.job("chair") is not None',
}


def run_and_die(database, moment: str) -> None:
    if isinstance(database, Sqlite):
        program, table, arguments = SQLITE, "orders", [str(database.path)]
    else:
        program, table, arguments = POSTGRES, database.table, [database.dsn, database.schema]
    code = PROGRAM.format(database=program, table=table, then=MOMENTS[moment])
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if moment != "before the commit"])
async def test_a_committed_job_runs_once_whenever_the_process_is_killed(database, make_scheduler, ran, moment):
    run_and_die(database, moment)
    committed = moment == "after it was taken in" or (moment.startswith("after the last") and database.ends_with_commit)
    assert (await database.count("stage"), await database.count("jobs")) == ((0, 1) if committed else (1, 0))
    scheduler, _ = make_scheduler()
    async with scheduler:
        assert await scheduler.wait("chair") == "chair is on its way"
        assert await scheduler.drain(timeout=60)
    assert ran == ["chair"]
    assert await database.orders() == ["chair"]
    assert await database.count("stage") == 0


async def test_a_process_killed_before_its_commit_leaves_neither_data_nor_job(database, make_scheduler):
    run_and_die(database, "before the commit")
    scheduler, _ = make_scheduler()
    async with scheduler:
        with pytest.raises(UnknownJobError):
            await scheduler.job("chair")
    assert await database.orders() == []
