"""The tables, their migrations, and the checks made before a file is touched."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from pacer._errors import CorruptStoreError, NewerSchemaError, NotOurStoreError, OlderSchemaError, StoreError
from pacer.stores._sqlite_errors import store_error
from pacer.stores._sqlite_mirror import StatusMirror, check_mirror

T = TypeVar("T")

MIGRATIONS: Final = (
    (
        """
        CREATE TABLE pacer_queues (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            state TEXT NOT NULL,          -- QueueState as JSON
            parts TEXT NOT NULL,          -- which classes the learned states in it belong to
            clock_offset REAL NOT NULL,   -- store time = wall clock + offset
            clock_last REAL NOT NULL,     -- the latest time written
            ready INTEGER NOT NULL,       -- waiting jobs that may start as far as they are concerned
            delayed INTEGER NOT NULL,     -- waiting jobs that may not yet
            last_seq INTEGER NOT NULL,
            arrivals INTEGER NOT NULL,
            roster INTEGER NOT NULL       -- grows whenever a waiting job may have lost those who can run it
        )
        """,
        """
        CREATE TABLE pacer_jobs (
            seq INTEGER PRIMARY KEY,
            queue INTEGER NOT NULL REFERENCES pacer_queues (id),
            id TEXT NOT NULL,
            task TEXT NOT NULL,
            state TEXT NOT NULL,
            sort_key REAL NOT NULL,
            arrival INTEGER,              -- waiting: order of arrival, for "drop-oldest"; NULL otherwise
            place INTEGER,                -- waiting and ready: seq again; NULL otherwise
            due REAL,                     -- waiting and delayed: ready_at again; NULL otherwise
            created_at REAL NOT NULL,
            ready_at REAL NOT NULL,
            started_at REAL,
            ended_at REAL,
            worker TEXT,
            fence INTEGER NOT NULL DEFAULT 0,
            lease_until REAL NOT NULL DEFAULT 0,
            cancel_requested INTEGER NOT NULL DEFAULT 0,
            home TEXT,
            key TEXT,
            priority INTEGER NOT NULL DEFAULT 0,
            cost TEXT,                    -- JSON; NULL: one request
            delay REAL NOT NULL DEFAULT 0,
            timeout REAL,
            retry TEXT,                   -- JSON
            unique_key TEXT,
            batch_id TEXT,
            failures INTEGER NOT NULL DEFAULT 0,
            throttles INTEGER NOT NULL DEFAULT 0,
            recoveries INTEGER NOT NULL DEFAULT 0,
            progress REAL,
            message TEXT NOT NULL DEFAULT '',
            error TEXT NOT NULL DEFAULT '',
            payload,                      -- what the codec gave: text or bytes
            result
        )
        """,
        "CREATE UNIQUE INDEX pacer_jobs_id ON pacer_jobs (queue, id)",
        # Each covers its questions: not one of them has to look at a job's row to count or find what waits.
        "CREATE INDEX pacer_jobs_ready ON pacer_jobs (queue, sort_key, place) WHERE place IS NOT NULL",
        "CREATE INDEX pacer_jobs_due ON pacer_jobs (queue, due, seq) WHERE due IS NOT NULL",
        "CREATE INDEX pacer_jobs_arrival ON pacer_jobs (queue, arrival) WHERE arrival IS NOT NULL",
        "CREATE INDEX pacer_jobs_running ON pacer_jobs (queue) WHERE state = 'running'",
        """
        CREATE UNIQUE INDEX pacer_jobs_unique ON pacer_jobs (queue, unique_key)
        WHERE unique_key IS NOT NULL AND ended_at IS NULL
        """,
        "CREATE INDEX pacer_jobs_batch ON pacer_jobs (queue, batch_id, state) WHERE batch_id IS NOT NULL",
        "CREATE INDEX pacer_jobs_finished ON pacer_jobs (queue, ended_at) WHERE ended_at IS NOT NULL",
        """
        CREATE TABLE pacer_workers (
            queue INTEGER NOT NULL REFERENCES pacer_queues (id),
            worker TEXT NOT NULL,
            alive_until REAL NOT NULL,
            tasks TEXT NOT NULL,          -- JSON: the functions that it can run
            PRIMARY KEY (queue, worker)
        ) WITHOUT ROWID
        """,
    ),
    (
        "ALTER TABLE pacer_jobs ADD COLUMN expires_at REAL",
        "ALTER TABLE pacer_jobs ADD COLUMN first_failed_at REAL",
        "ALTER TABLE pacer_jobs ADD COLUMN retry_delay REAL NOT NULL DEFAULT 0",
        "ALTER TABLE pacer_jobs ADD COLUMN promised_low REAL",
        "ALTER TABLE pacer_jobs ADD COLUMN promised_high REAL",
        """
        CREATE INDEX pacer_jobs_expiry ON pacer_jobs (queue, expires_at)
        WHERE expires_at IS NOT NULL AND arrival IS NOT NULL
        """,
    ),
    (
        # What applications enqueue in transactions of their own; committed rows are taken into pacer_jobs.
        """
        CREATE TABLE pacer_stage (
            number INTEGER PRIMARY KEY,
            queue INTEGER NOT NULL REFERENCES pacer_queues (id),
            came_at REAL NOT NULL,
            id TEXT NOT NULL,
            task TEXT NOT NULL,
            payload,
            home TEXT,
            key TEXT,
            priority INTEGER NOT NULL,
            cost TEXT,
            delay REAL NOT NULL,
            timeout REAL,
            retry TEXT,
            unique_key TEXT,
            batch_id TEXT,
            expires REAL
        )
        """,
        "CREATE UNIQUE INDEX pacer_stage_id ON pacer_stage (queue, id)",
        "CREATE UNIQUE INDEX pacer_stage_unique ON pacer_stage (queue, unique_key) WHERE unique_key IS NOT NULL",
    ),
    (
        "ALTER TABLE pacer_jobs ADD COLUMN headers TEXT",
        "ALTER TABLE pacer_stage ADD COLUMN headers TEXT",
        # Of what has succeeded there may be very much, and it is found by the other index.
        """
        CREATE INDEX pacer_jobs_unsuccessful ON pacer_jobs (queue, state, ended_at)
        WHERE ended_at IS NOT NULL AND state <> 'succeeded'
        """,
        """
        CREATE TABLE pacer_minutes (
            queue INTEGER NOT NULL REFERENCES pacer_queues (id),
            minute INTEGER NOT NULL,
            tally TEXT NOT NULL,          -- JSON: what happened in it
            PRIMARY KEY (queue, minute)
        ) WITHOUT ROWID
        """,
    ),
)
"""One tuple of statements a version: version n is reached by applying the first n."""

VERSION: Final = len(MIGRATIONS)

# https://www.sqlite.org/fileformat.html, section 1.3.
_MAGIC: Final = b"SQLite format 3\x00"
_HEADER_SIZE: Final = 100
_TABLES: Final = frozenset({"pacer_schema", "pacer_queues", "pacer_jobs", "pacer_workers"})
# Tables that came later, and the version that they came with.
_LATER: Final = {"pacer_stage": 3, "pacer_minutes": 4}
# Files up to this size are looked through when they are opened (about half a second at most); of larger ones only
# the small tables are.
_LOOK_THROUGH: Final = 64 * 2**20


def inspect(path: Path, *, may_share: bool, mirror: StatusMirror | None, busy_timeout: float) -> None:
    """Look at the file without changing it. Raises a StoreError that says why it must not be used.

    The file is opened by SQLite only: where one part of a process closes a file by itself, POSIX takes away the locks
    that SQLite holds on it elsewhere in the process (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    if not _has_content(path):
        if mirror is not None:
            msg = f"{path} holds no table {mirror.table!r} to mirror to. Make the application's table first."
            raise StoreError(msg)
        return
    for last in (False, False, True):
        unused = not any(path.with_name(f"{path.name}{suffix}").exists() for suffix in ("-wal", "-journal"))
        try:
            _look(path, may_share, mirror, busy_timeout, unused=unused)
        except StoreError:
            if last or not unused:
                raise
            # Somebody may have begun to use it meanwhile, so that it was read half-written.
        else:
            return


def _look(path: Path, may_share: bool, mirror: StatusMirror | None, busy_timeout: float, *, unused: bool) -> None:
    # Reading a database in WAL mode makes a log and an index, unless SQLite is told that nobody else is there.
    mode = "mode=ro&immutable=1" if unused else "mode=ro"
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", timeout=busy_timeout, uri=True)
        try:
            _inspect_tables(connection, path, may_share=may_share or mirror is not None)
            if mirror is not None:
                check_mirror(connection, path, mirror)
        finally:
            connection.close()
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_NOTADB and not _has_magic(path):
            raise _not_a_database(path) from error
        raise store_error(error, path, "looking at the file") from error


def _has_content(path: Path) -> bool:
    """Whether there is a file with something in it."""
    if not path.parent.is_dir():
        msg = f"{path}: the directory {path.parent} does not exist. Make it first; pacer makes only the file."
        raise StoreError(msg)
    if path.is_dir():
        msg = f"{path} is a directory. Give the path of a file in it, for example {path / 'jobs.db'}."
        raise StoreError(msg)
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return False
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        msg = f"{path} cannot be read. Check its owner and permissions."
        raise StoreError(msg)
    if 0 < size < _HEADER_SIZE:  # SQLite would take it for an empty database
        raise _not_a_database(path)
    return size > 0


def _not_a_database(path: Path) -> NotOurStoreError:
    return NotOurStoreError(f"{path} is not a SQLite database; nothing was changed. Give another path.")


def _has_magic(path: Path) -> bool:
    """Whether it begins like a database. For files that SQLite refuses, on which it therefore holds no locks."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _inspect_tables(connection: sqlite3.Connection, path: Path, *, may_share: bool) -> None:
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    tables -= {name for name in tables if name.startswith("sqlite_")}
    ours = tables & {*_TABLES, *_LATER}
    if not ours:
        if tables and not may_share:
            listed = ", ".join(sorted(tables)[:5])
            msg = (
                f"{path} holds the tables of another application ({listed}); nothing was changed. "
                "To keep jobs beside them give SqliteStore share=True, or mirror=StatusMirror(...) to also keep "
                "one of the tables up to date. Otherwise give another path."
            )
            raise NotOurStoreError(msg)
    else:
        _check_complete(connection, path, ours)
    whole = path.stat().st_size <= _LOOK_THROUGH
    for pragma in ["quick_check(1)"] if whole else ["quick_check(pacer_queues)", "quick_check(pacer_workers)"]:
        (answer,) = connection.execute(f"PRAGMA {pragma}").fetchone()
        if answer != "ok":
            msg = f"{path} is damaged ({answer}); nothing was changed. Restore it from a backup or move it away."
            raise CorruptStoreError(msg)


def _check_complete(connection: sqlite3.Connection, path: Path, ours: set[str]) -> None:
    missing = {*_TABLES} - ours
    if not missing:
        version = check_version(connection, path)
        missing = {name for name, since in _LATER.items() if since <= version} - ours
    if missing:
        msg = f"{path}: the tables {', '.join(sorted(missing))} are missing. Restore the file from a backup."
        raise CorruptStoreError(msg)


def check_version(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the tables. Raises NewerSchemaError."""
    row = connection.execute("SELECT max(version) FROM pacer_schema").fetchone()
    version = row[0]
    if not isinstance(version, int):
        msg = f"{path}: pacer_schema holds no version. Restore the file from a backup."
        raise CorruptStoreError(msg)
    if version > VERSION:
        msg = (
            f"{path} was written by a newer version of pacer (schema {version}, this one knows {VERSION}); "
            "nothing was changed. Upgrade pacer-scheduler, or give another path."
        )
        raise NewerSchemaError(msg)
    return version


def check_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raises NewerSchemaError, and OlderSchemaError for tables of an earlier version."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pacer_schema'").fetchone()
    version = 0 if found is None else check_version(connection, path)
    if version < VERSION:
        raise OlderSchemaError(str(path), version, VERSION, "Start a scheduler of this version on it once.")


def prepare(
    connection: sqlite3.Connection,
    path: Path,
    *,
    synchronous: str,
    busy_timeout: float,
    set_up: Callable[[], T],
    migrating: bool,
) -> T:
    """Set the connection up and, in one transaction, bring the tables to this version and call `set_up`.

    Not `migrating`: raises OlderSchemaError if they are not of this version.
    """
    try:
        # FULL makes a commit wait for the disk, NORMAL only a checkpoint: `durability` decides.
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA foreign_keys = OFF")
        _check_writable(connection)
        _switch_to_wal(connection, path, busy_timeout)
        connection.execute("BEGIN IMMEDIATE")
        try:
            if migrating:
                _migrate(connection, path)
            else:
                check_current(connection, path)
            done = set_up()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.Error as error:
        raise store_error(error, path, "opening the store") from error
    return done


def _check_writable(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _switch_to_wal(connection: sqlite3.Connection, path: Path, busy_timeout: float) -> None:
    """SQLite's own busy handler does not cover this switch when several processes make it at once."""
    deadline = time.monotonic() + busy_timeout
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
    if mode != "wal":
        msg = f"{path}: the file system does not support SQLite's WAL mode (it stays in {mode!r}). Use a local disk."
        raise StoreError(msg)


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pacer_schema'").fetchone() is None:
        connection.execute("CREATE TABLE pacer_schema (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO pacer_schema (version) VALUES (0)")
    version = check_version(connection, path)
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            connection.execute(statement)
    if version != VERSION:
        connection.execute("UPDATE pacer_schema SET version = ?", (VERSION,))
