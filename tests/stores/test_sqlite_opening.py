"""Opening a file: what is refused, why, and that nothing is changed then."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

import anyio
import pytest

from pacer._errors import (
    CorruptStoreError,
    NewerSchemaError,
    NotOurStoreError,
    ReadOnlyStoreError,
    StoreError,
    StoreUnavailableError,
    UnsupportedBackendError,
)
from pacer.stores._sqlite_schema import VERSION
from pacer.stores.sqlite import SqliteStore, StatusMirror

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


def contents(path: Path) -> dict[str, bytes]:
    """All files of the directory; SQLite's index of the write-ahead log holds locks only and is left out."""
    return {one.name: one.read_bytes() for one in path.parent.iterdir() if one.is_file() and one.suffix != ".db-shm"}


async def refused(file, error: type[StoreError], **settings) -> str:
    """Opening is refused with this error and changes nothing; returns the message."""
    before = contents(file.path) if file.path.parent.is_dir() else {}
    with pytest.raises(error) as caught:
        async with file.open(**settings):
            pytest.fail("opened")
    assert type(caught.value) is error
    assert str(file.path) in str(caught.value)
    assert not file.path.parent.is_dir() or contents(file.path) == before
    return str(caught.value)


@contextlib.contextmanager
def application_table(path: Path, sql: str = "CREATE TABLE invoices (id INTEGER PRIMARY KEY, paid INTEGER)"):
    connection = sqlite3.connect(path)
    try:
        connection.execute(sql)
        connection.commit()
        yield connection
    finally:
        connection.close()


async def test_a_file_that_is_no_database_is_refused(file):
    file.path.write_text("SQLite format 3, they said")
    assert "not a SQLite database" in await refused(file, NotOurStoreError)


async def test_a_file_shorter_than_a_header_is_refused(file):
    file.path.write_bytes(b"x")
    await refused(file, NotOurStoreError)


async def test_an_empty_file_is_made_a_store(file, make_job):
    file.path.touch()
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
    async with file.open() as ledger:
        assert (await ledger.job("j1")).task == "work"


async def test_the_database_of_another_application_is_refused_and_the_message_says_how_to_allow_it(file):
    with application_table(file.path):
        message = await refused(file, NotOurStoreError)
    assert "invoices" in message
    assert "share=True" in message
    assert "mirror=" in message


async def test_the_database_of_another_application_can_be_shared(file, make_job):
    with application_table(file.path) as connection:
        connection.execute("INSERT INTO invoices VALUES (1, 0)")
        connection.commit()
        async with file.open(share=True) as ledger:
            await ledger.add([make_job("j1")])
            assert connection.execute("SELECT * FROM invoices").fetchall() == [(1, 0)]
    # Now pacer's tables are there, which is permission enough.
    async with file.open() as ledger:
        assert (await ledger.snapshot()).waiting == 1


async def test_a_database_in_use_by_another_application_is_refused_without_touching_its_log(file):
    with application_table(file.path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("INSERT INTO invoices VALUES (1, 0)")
        connection.commit()
        await refused(file, NotOurStoreError)
        connection.execute("INSERT INTO invoices VALUES (2, 0)")
        connection.commit()


async def test_a_damaged_file_is_refused(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job(f"j{number}", payload="x" * 500) for number in range(200)])
    damaged = bytearray(file.path.read_bytes())
    for start in range(8192, len(damaged), 4096):
        damaged[start : start + 64] = os.urandom(64)
    file.path.write_bytes(damaged)
    assert "damaged" in await refused(file, CorruptStoreError)


async def test_a_truncated_file_is_refused(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job(f"j{number}", payload="x" * 500) for number in range(200)])
    file.path.write_bytes(file.path.read_bytes()[: 10 * 4096])
    await refused(file, CorruptStoreError)


async def test_a_file_with_nothing_but_a_header_is_refused(file):
    file.path.write_bytes(b"SQLite format 3\x00" + b"\xff" * 4080)
    await refused(file, CorruptStoreError)


@pytest.mark.parametrize("table", ["pacer_jobs", "pacer_stage"])
async def test_a_store_without_one_of_its_tables_is_refused(file, table):
    async with file.open():
        pass
    with contextlib.closing(sqlite3.connect(file.path)) as connection:
        connection.execute(f"DROP TABLE {table}")
    assert table in await refused(file, CorruptStoreError)


async def test_a_store_of_a_newer_version_is_refused(file):
    async with file.open():
        pass
    with contextlib.closing(sqlite3.connect(file.path)) as connection:
        connection.execute("UPDATE pacer_schema SET version = version + 1")
        connection.commit()
    message = await refused(file, NewerSchemaError)
    assert f"schema {VERSION + 1}" in message
    assert "Upgrade" in message


@pytest.mark.parametrize("version", [None, "new"])
async def test_a_store_without_a_version_is_refused(file, version):
    async with file.open():
        pass
    with contextlib.closing(sqlite3.connect(file.path)) as connection:
        connection.execute("DROP TABLE pacer_schema")
        connection.execute("CREATE TABLE pacer_schema (version)")
        connection.execute("INSERT INTO pacer_schema VALUES (?)", (version,))
        connection.commit()
    assert "no version" in await refused(file, CorruptStoreError)


async def test_an_older_version_is_migrated_once_and_whole(file, monkeypatch, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
    steps = ("ALTER TABLE pacer_jobs ADD COLUMN colour TEXT", "CREATE TABLE pacer_colours (name TEXT)")
    schema = "pacer.stores._sqlite_schema"
    monkeypatch.setattr(f"{schema}.MIGRATIONS", (*_migrations(), (*steps, "this is no SQL")))
    monkeypatch.setattr(f"{schema}.VERSION", VERSION + 1)
    await refused_after_migration(file)
    assert version_and_tables(file.path) == (VERSION, False), "a failed migration leaves nothing behind"
    monkeypatch.setattr(f"{schema}.MIGRATIONS", (*_migrations()[:VERSION], steps))
    for _ in range(2):
        async with file.open() as ledger:
            assert (await ledger.job("j1")).task == "work"
        assert version_and_tables(file.path) == (VERSION + 1, True)


def _migrations():
    from pacer.stores import _sqlite_schema

    return _sqlite_schema.MIGRATIONS


async def refused_after_migration(file):
    with pytest.raises(StoreError, match="syntax error"):
        async with file.open():
            pytest.fail("opened")


def version_and_tables(path: Path) -> tuple[int, bool]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        (version,) = connection.execute("SELECT version FROM pacer_schema").fetchone()
        made = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'pacer_colours'").fetchone()
        return version, made == (1,)


async def test_a_missing_directory_is_named(file):
    file.path = file.path.parent / "nowhere" / "jobs.db"
    assert "nowhere does not exist" in await refused(file, StoreError)
    assert not file.path.parent.exists(), "it is not made either"


async def test_a_directory_is_refused(file):
    file.path.mkdir()
    assert "is a directory" in await refused(file, StoreError)


@contextlib.contextmanager
def without_root():
    """Root may write anywhere; as somebody else the permissions of files count."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_directory():
    """A directory that everybody may enter and nobody but its owner may write to."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


async def test_a_read_only_file_is_refused(file, open_directory):
    file.path = open_directory / "jobs.db"
    async with file.open():
        pass
    file.path.chmod(0o444)
    with without_root():
        message = await refused(file, ReadOnlyStoreError)
    assert "permissions" in message


async def test_a_read_only_directory_is_refused(file, open_directory):
    open_directory.chmod(0o555)
    file.path = open_directory / "jobs.db"
    with without_root():
        await refused(file, ReadOnlyStoreError)
    assert list(open_directory.iterdir()) == []


async def test_a_writable_file_in_a_read_only_directory_is_refused(file, open_directory):
    file.path = open_directory / "jobs.db"
    async with file.open():
        pass
    file.path.chmod(0o666)
    open_directory.chmod(0o555)
    with without_root():
        await refused(file, ReadOnlyStoreError)


async def test_an_unreadable_file_is_refused(file, open_directory):
    file.path = open_directory / "jobs.db"
    async with file.open():
        pass
    file.path.chmod(0)
    with without_root(), pytest.raises(StoreError, match="cannot be read"):
        async with file.open():
            pytest.fail("opened")


async def test_a_locked_file_is_reported_after_the_busy_timeout(file):
    async with file.open():
        pass
    with contextlib.closing(sqlite3.connect(file.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        message = await refused(file, StoreUnavailableError, busy_timeout=0.05)
        assert "busy_timeout" in message
        other.execute("ROLLBACK")
    async with file.open():
        pass


async def test_a_rollback_journal_database_that_is_locked_is_reported(file):
    with application_table(file.path) as other:
        other.isolation_level = None
        other.execute("BEGIN EXCLUSIVE")
        await refused(file, StoreUnavailableError, busy_timeout=0.05, share=True)
        other.execute("ROLLBACK")


async def test_many_may_open_a_new_file_at_once(file, make_job):
    async def work(number: int) -> None:
        async with file.open(f"w{number}") as ledger:
            await ledger.add([make_job(f"j{number}")])

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(work, number)
    async with file.open() as ledger:
        assert (await ledger.snapshot()).waiting == 8


async def test_a_path_with_special_characters_is_a_path(file, make_job):
    file.path = file.path.with_name("a?b#c %41 'ä\".db")
    for _ in range(2):
        async with file.open() as ledger:
            await ledger.add([make_job("j1")])
    assert file.path.exists()


async def test_it_is_wal_and_as_durable_as_asked(file):
    for durability, number in (("power", 2), ("process", 1)):
        async with file.open(durability=durability) as ledger:
            connection = ledger._group.thread._connection
            for pragma, expected in (("synchronous", number), ("journal_mode", "wal"), ("busy_timeout", 5000)):
                async with connection.execute(f"PRAGMA {pragma}") as cursor:
                    assert await cursor.fetchone() == (expected,)


def test_on_trio_it_says_at_once_that_it_needs_asyncio(file):
    async def main():
        async with file.open():
            pytest.fail("opened")

    with pytest.raises(UnsupportedBackendError, match="MemoryStore"):
        anyio.run(main, backend="trio")
    assert not file.path.exists()


@pytest.mark.parametrize("path", ["", ":memory:", "file:jobs.db?mode=memory", "sqlite:///jobs.db"])
def test_a_path_that_is_no_file_is_refused_with_a_hint(path):
    with pytest.raises(ValueError, match="MemoryStore"):
        SqliteStore(path)


def test_impossible_settings_are_refused():
    with pytest.raises(TypeError, match="path must be a str"):
        SqliteStore(b"jobs.db")
    with pytest.raises(ValueError, match="durability must be 'power' or 'process', got 'none'"):
        SqliteStore("jobs.db", durability="none")
    with pytest.raises(ValueError, match="lease must be a finite number above 0"):
        SqliteStore("jobs.db", lease=0)


def test_a_store_is_a_recipe():
    assert SqliteStore("jobs.db") == SqliteStore(Path("jobs.db"))
    assert hash(SqliteStore("jobs.db", lease=5)) == hash(SqliteStore("jobs.db", lease=5.0))
    mirror = StatusMirror(table="jobs", id="id", status="status", names={"queued": "waits"})
    assert len({SqliteStore("jobs.db", mirror=mirror), SqliteStore("jobs.db", mirror=mirror)}) == 1
    assert "jobs.db" in repr(SqliteStore("jobs.db"))
