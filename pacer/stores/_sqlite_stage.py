"""The stage in a SQLite file, and the transactions of others on that file."""

# ruff: noqa: S608 - SQL is put together from constants; values are always bound

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

import aiosqlite
import attrs

from pacer._errors import StoreError
from pacer._job import JobRecord
from pacer.stores._connections import driver_connection, wrong_kind
from pacer.stores._lazily import Lazily
from pacer.stores._rows import FACTS, Row, decode, facts_of
from pacer.stores._stage import LOOK_AHEAD_OF_STAGED, STAGED, Sight, Staged, staged_record

_KINDS: Final = (
    "an aiosqlite.Connection, a sqlite3.Connection, or an AsyncSession or AsyncConnection of SQLAlchemy on aiosqlite"
)

# -- the queue's side --------------------------------------------------------------------------------------------------

_WAITS: Final = "SELECT EXISTS (SELECT 1 FROM pacer_stage WHERE queue = ?)"
_FIRST: Final = f"SELECT number, came_at, {STAGED} FROM pacer_stage WHERE queue = ? ORDER BY number LIMIT ?"


@attrs.define(eq=False)
class SqliteStage:
    """The stage of one queue, as the queue's own connection sees it."""

    _cursor: sqlite3.Cursor
    _queue: int

    def waits(self) -> bool:
        """Whether jobs lie there whose transactions are committed."""
        (found,) = self._cursor.execute(_WAITS, (self._queue,)).fetchone()
        return bool(found)

    def first(self, count: int) -> list[Staged]:
        """The first of them, by number."""
        rows = self._cursor.execute(_FIRST, (self._queue, count)).fetchall()
        return [Staged(row[0], row[1], staged_record(row[2:])) for row in rows]

    def remove(self, numbers: Sequence[int]) -> None:
        """These are in the queue."""
        self._cursor.executemany("DELETE FROM pacer_stage WHERE number = ?", [(number,) for number in numbers])

    def forget(self) -> None:
        """The transaction was rolled back; nothing of it is remembered here."""


# -- the side of others ------------------------------------------------------------------------------------------------

_LOOK: Final = """
SELECT (SELECT file FROM pragma_database_list WHERE name = 'main'), id, state, parts,
    ready + delayed + (SELECT count(*) FROM pacer_stage WHERE queue = pacer_queues.id)
FROM pacer_queues WHERE name = ?
"""
_LOCK: Final = "DELETE FROM pacer_stage WHERE number IS NULL"
_NEAR: Final = f"""
SELECT * FROM (SELECT {FACTS} FROM pacer_jobs WHERE queue = ? AND state = 'running')
UNION ALL SELECT * FROM (
    SELECT {FACTS} FROM pacer_jobs WHERE queue = ? AND place IS NOT NULL ORDER BY sort_key, place
    LIMIT {LOOK_AHEAD_OF_STAGED}
)
"""
_JOBS: Final = f"SELECT {FACTS} FROM pacer_jobs WHERE queue = ? AND "
_IN_STAGE: Final = f"SELECT came_at, {STAGED} FROM pacer_stage WHERE queue = ? AND "
_INSERT: Final = f"""
INSERT INTO pacer_stage (queue, came_at, {STAGED}) VALUES (?, ?, {", ".join("?" * len(STAGED.split(", ")))})
ON CONFLICT DO NOTHING
"""
# So many values are bound at a time; SQLite may have been built to take a thousand at most.
_BOUND: Final = 500
_STATE: Final = 13


class Connection(Protocol):
    """A connection of others, on the event loop."""

    @property
    def begun(self) -> bool:
        """Whether it is in a transaction."""

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        """All rows that a query gives."""

    async def insert(self, sql: str, rows: Sequence[Row]) -> int:
        """Run a statement once for each of these. Returns how many rows it has made."""


@attrs.frozen(eq=False)
class _Plain:
    """Of the standard library: the event loop waits while it works."""

    _connection: sqlite3.Connection

    @property
    def begun(self) -> bool:
        return self._connection.in_transaction

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor.execute(sql, parameters).fetchall()

    async def insert(self, sql: str, rows: Sequence[Row]) -> int:
        return self._connection.executemany(sql, rows).rowcount


@attrs.frozen(eq=False)
class _Threaded:
    """Of aiosqlite."""

    _connection: aiosqlite.Connection

    @property
    def begun(self) -> bool:
        return self._connection.in_transaction

    async def fetch(self, sql: str, parameters: Sequence[Any]) -> Sequence[Row]:
        if self._connection.row_factory in (None, sqlite3.Row):  # the shorter way
            return [tuple(row) for row in await self._connection.execute_fetchall(sql, parameters)]
        async with self._connection.cursor() as cursor:
            cursor.row_factory = None
            await cursor.execute(sql, parameters)
            return [tuple(row) for row in await cursor.fetchall()]

    async def insert(self, sql: str, rows: Sequence[Row]) -> int:
        async with self._connection.executemany(sql, rows) as cursor:
            return cursor.rowcount


@attrs.define(eq=False)
class SqliteTransaction:
    """A transaction of others on the file of a queue."""

    _path: Path
    _name: str
    _connection: Connection
    _queue: int = attrs.field(init=False)

    async def look(self, records: Sequence[JobRecord]) -> Sight:
        """The queue as it is seen there, and what jobs with the ids or unique keys of these are in it or the stage."""
        try:
            if self._connection.begun:
                # A transaction that has read and then wants to write is refused if others have written in between.
                await self._connection.insert(_LOCK, [()])
            found = await self._connection.fetch(_LOOK, (self._name,))
        except sqlite3.OperationalError:
            await self._check_file()  # without pacer's tables it is another one, as a rule
            raise
        if not found:
            await self._check_file()
            msg = f"{self._path}: the queue {self._name!r} is gone. Start the scheduler again."
            raise StoreError(msg)
        ((file, self._queue, state, parts, waiting),) = found
        self._check_same(file)
        near = await self._connection.fetch(_NEAR, (self._queue, self._queue))
        running = [decode(row) for row in near if row[_STATE] == "running"]
        front = [row for row in near if row[_STATE] != "running"]
        return Sight(
            state=state,
            parts=parts,
            waiting=waiting,
            running=running,
            front=Lazily(front, facts_of),
            known=await self._same(records),
        )

    async def _check_file(self) -> None:
        for _, name, file in await self._connection.fetch("PRAGMA database_list", ()):
            if name == "main":
                self._check_same(file)

    def _check_same(self, file: str) -> None:
        if not file or not os.path.samefile(file, self._path):
            msg = (
                f"using: the connection is to {file or 'a database in memory'}, the queue is in {self._path}. One "
                "transaction must hold both: give SqliteStore the path of your own database file, with share=True."
            )
            raise StoreError(msg)

    async def _same(self, records: Sequence[JobRecord]) -> Sequence[JobRecord]:
        ids = [record.id for record in records]
        uniques = [record.unique for record in records if record.unique is not None]
        found = [decode(row) for row in await self._where(_JOBS, "id", ids)]
        found += [decode(row) for row in await self._where(f"{_JOBS} ended_at IS NULL AND ", "unique_key", uniques)]
        for column, values in ("id", ids), ("unique_key", uniques):
            for came_at, *row in await self._where(_IN_STAGE, column, values):
                record = staged_record(tuple(row))
                record.created_at = came_at
                found.append(record)
        return found

    async def _where(self, sql: str, column: str, values: Sequence[str]) -> list[Row]:
        rows = list[Row]()
        for some in _parts(values):
            marks = ", ".join("?" * len(some))
            rows += await self._connection.fetch(f"{sql}{column} IN ({marks})", (self._queue, *some))
        return rows

    async def insert(self, rows: Sequence[Row], came_at: float) -> Collection[str]:
        """Put rows of `STAGED` into the stage. Returns the ids of those that do not stand for a job that is there."""
        ids = [row[0] for row in rows]
        made = await self._connection.insert(_INSERT, [(self._queue, came_at, *row) for row in rows])
        if made == len(rows):
            return set(ids)
        # Others have staged some of them since they were looked for, and committed: at another time than this.
        mine = f"{_IN_STAGE} came_at = {came_at!r} AND "
        return {row[1] for row in await self._where(mine, "id", ids)}


def _parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(values), _BOUND):
        yield values[start : start + _BOUND]


@attrs.frozen(eq=False)
class SqliteDoor:
    """Where the transactions of others come in."""

    path: Path
    """Of the file; whole, since the process may change its directory."""
    name: str
    """Of the queue."""

    async def enter(self, connection: Any) -> SqliteTransaction:
        """The transaction of a connection. Raises TypeError for what is none, StoreError for one without any."""
        driver = await driver_connection(connection, _begun)
        if isinstance(driver, sqlite3.Connection):
            found: Connection = _Plain(driver)
        elif isinstance(driver, aiosqlite.Connection):
            found = _Threaded(driver)
        else:
            raise wrong_kind(connection, _KINDS)
        try:
            holds = _begun(driver) or _begins(driver)
        except (ValueError, sqlite3.ProgrammingError) as error:
            msg = f"using: the connection cannot be used: {error}. Give one that is open, and belongs to this thread."
            raise StoreError(msg) from error
        if not holds:
            msg = (
                "using: the connection commits each statement by itself (autocommit), so that there is no transaction "
                "for the job to belong to. Execute BEGIN first, or connect without isolation_level=None."
            )
            raise StoreError(msg)
        return SqliteTransaction(self.path, self.name, found)


def _begun(driver: Any) -> bool:
    """Whether it is in a transaction; a connection to something else is asked no further."""
    return bool(getattr(driver, "in_transaction", True))


def _begins(driver: sqlite3.Connection | aiosqlite.Connection) -> bool:
    """Whether it begins a transaction by itself with the first statement that changes something."""
    # From Python 3.12 on there is `autocommit`, which aiosqlite does not show; -1 is the way it has always been.
    plain = getattr(driver, "_conn", driver)
    return getattr(plain, "autocommit", -1) == -1 and driver.isolation_level is not None
