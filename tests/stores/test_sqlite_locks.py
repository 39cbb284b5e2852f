"""Opening a store must not take away the locks that the process holds on the file already."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

LOOK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(*(row[0] for row in connection.execute("SELECT id FROM pacer_jobs ORDER BY seq")))
connection.close()
"""


def jobs_as_others_see_them(path) -> list[str]:
    """What another process reads. If it thinks that it is alone it removes the log, with all that is written to it."""
    done = subprocess.run([sys.executable, "-c", LOOK, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.split()


async def test_an_application_that_uses_the_file_before_the_store_is_opened_loses_nothing(file, make_job):
    """POSIX drops a process's locks on a file when any descriptor of it is closed."""
    with contextlib.closing(sqlite3.connect(file.path)) as application:
        application.execute("PRAGMA journal_mode = WAL")
        application.execute("CREATE TABLE invoices (id INTEGER PRIMARY KEY)")
        async with file.open(share=True) as ledger:
            await ledger.add([make_job("j1")])
            assert jobs_as_others_see_them(file.path) == ["j1"]
            await ledger.add([make_job("j2")])
            assert jobs_as_others_see_them(file.path) == ["j1", "j2"]
            assert application.execute("SELECT count(*) FROM pacer_jobs").fetchone() == (2,)


async def test_a_second_store_on_the_file_in_one_process_takes_nothing_from_the_first(file, make_job):
    async with file.open("w1") as first:
        await first.add([make_job("j1")])
        async with file.open("w2") as second:
            await second.add([make_job("j2")])
        assert jobs_as_others_see_them(file.path) == ["j1", "j2"]
        await first.add([make_job("j3")])
        assert jobs_as_others_see_them(file.path) == ["j1", "j2", "j3"]
