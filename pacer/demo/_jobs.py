"""The application's own table of jobs, in the file that pacer keeps its jobs in.

pacer writes `status` and `updated_at` (`StatusMirror`); all else is the application's.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiosqlite
import attrs

Row = sqlite3.Row

_TABLE = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    status TEXT NOT NULL DEFAULT 'queued',
    created_at TEXT NOT NULL DEFAULT (datetime('now')),
    updated_at TEXT NOT NULL DEFAULT (datetime('now')),
    title TEXT NOT NULL,
    result TEXT
)
"""

_ADD = "INSERT OR IGNORE INTO jobs (id, title) SELECT key, value FROM json_each(?) RETURNING id"


@attrs.define(eq=False)
class JobTable:
    """Rows of the table, one for each job. Usable inside `async with table.opened():`."""

    path: Path
    _db: aiosqlite.Connection = attrs.field(init=False)

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[None]:
        """Open the file; it and the table are made if they are missing."""
        # Every statement is a transaction of its own.
        async with aiosqlite.connect(self.path, timeout=30, isolation_level=None) as self._db:
            self._db.row_factory = sqlite3.Row
            await self._db.execute("PRAGMA journal_mode = WAL")
            await self._db.execute(_TABLE)
            yield

    @asynccontextmanager
    async def added(self, titles: Mapping[str, str]) -> AsyncGenerator[None]:
        """New rows for these ids; rows that exist stay as they are. If the block raises, the new ones vanish again."""
        new = [row["id"] for row in await self._db.execute_fetchall(_ADD, (json.dumps(titles),))]
        try:
            yield
        except Exception:
            await self._db.execute("DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(new),))
            raise

    async def save_result(self, job_id: str, result: str) -> None:
        """Keep what the job found out; once more does no harm."""
        await self._db.execute("UPDATE jobs SET result = ? WHERE id = ?", (result, job_id))

    async def get(self, job_id: str) -> Row | None:
        """One row."""
        return await (await self._db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,))).fetchone()

    async def latest(self, count: int) -> list[Row]:
        """The newest rows, newest first."""
        found = await self._db.execute("SELECT * FROM jobs ORDER BY created_at DESC, rowid DESC LIMIT ?", (count,))
        return [*await found.fetchall()]
