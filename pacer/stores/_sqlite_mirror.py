"""The application's own table, kept up to date with its jobs."""

# ruff: noqa: S608 - SQL is put together from constants and quoted identifiers; values are always bound

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from pacer._errors import StoreError
from pacer._job import JobState


def _names(value: Mapping[JobState | str, str] | None) -> dict[JobState, str]:
    return {JobState(state): name for state, name in (value or {}).items()}


def _identifier(instance: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if not isinstance(value, str) or not value or "\0" in value:
        msg = f"{type(instance).__name__}: {attribute.name} must be the name of a table or column, got {value!r}"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class StatusMirror:
    """A table of the application's own, in the same file, whose rows say how its jobs stand.

    Every change of a job's state is written to the row with the job's id, in the transaction that makes it; a job
    without a row there changes nothing. When the store is opened, rows that say "queued" of jobs that pacer does not
    know as waiting or running become "stale". The application may read and write the table at any time, on its own
    connection.

    Not for tables in another file: one transaction cannot span two files without losing its guarantee.

    Args:
        table: The table.
        id: Its column with the job's id, which is the `job_id` given to `Scheduler.options`. Give it an index.
        status: The column to write the state to.
        updated_at: A column to write the time of the change to, as `datetime('now')` in UTC; None (default) for none.
        names: The application's words for states, where they differ from the values of `JobState`.
    """

    table: str = attrs.field(validator=_identifier)
    id: str = attrs.field(validator=_identifier)
    status: str = attrs.field(validator=_identifier)
    updated_at: str | None = attrs.field(default=None, validator=attrs.validators.optional(_identifier))
    names: Mapping[JobState, str] = attrs.field(default=None, converter=_names, hash=False)

    def word(self, state: JobState) -> str:
        """The application's word for a state."""
        return self.names.get(state, state.value)


def quoted(identifier: str) -> str:
    """An identifier as SQL, whatever is in it."""
    return '"' + identifier.replace('"', '""') + '"'


@attrs.define(eq=False)
class Mirror:
    """A `StatusMirror` at work on one connection."""

    _cursor: sqlite3.Cursor
    _mirror: StatusMirror
    _update: str = attrs.field(init=False)
    _words: dict[JobState, str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        mirror = self._mirror
        time = "" if mirror.updated_at is None else f", {quoted(mirror.updated_at)} = datetime('now')"
        self._update = (
            f"UPDATE {quoted(mirror.table)} SET {quoted(mirror.status)} = ?{time} WHERE {quoted(mirror.id)} = ?"
        )
        self._words = {state: mirror.word(state) for state in JobState}

    def write(self, job_id: str, state: JobState) -> None:
        """Say how the job stands."""
        self._cursor.execute(self._update, (self._words[state], job_id))

    def mark_stale(self) -> int:
        """Rows that wait for a job which does not exist (any more) become stale. Returns how many.

        Those whose jobs are in the stage have not come into the queue yet.
        """
        mirror = self._mirror
        time = "" if mirror.updated_at is None else f", {quoted(mirror.updated_at)} = datetime('now')"
        self._cursor.execute(
            f"UPDATE {quoted(mirror.table)} SET {quoted(mirror.status)} = ?{time} WHERE {quoted(mirror.status)} = ? "
            "AND NOT EXISTS (SELECT 1 FROM pacer_queues JOIN pacer_jobs ON pacer_jobs.queue = pacer_queues.id "
            f"AND pacer_jobs.id = CAST({quoted(mirror.table)}.{quoted(mirror.id)} AS TEXT) "
            "WHERE pacer_jobs.ended_at IS NULL) AND NOT EXISTS (SELECT 1 FROM pacer_stage "
            f"WHERE pacer_stage.id = CAST({quoted(mirror.table)}.{quoted(mirror.id)} AS TEXT))",
            (self._words[JobState.STALE], self._words[JobState.QUEUED]),
        )
        return self._cursor.rowcount


def check_mirror(connection: sqlite3.Connection, path: Path, mirror: StatusMirror) -> None:
    """Raises StoreError if the table or one of its columns is not there."""
    tables = sorted(
        name
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not name.startswith(("sqlite_", "pacer_"))
    )
    if mirror.table.lower() not in (table.lower() for table in tables):
        listed = ", ".join(tables) or "none"
        msg = f"{path}: StatusMirror names the table {mirror.table!r}, which does not exist. Tables there: {listed}."
        raise StoreError(msg)
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({quoted(mirror.table)})")]
    known = {column.lower() for column in columns}
    for column in (mirror.id, mirror.status, mirror.updated_at):
        if column is not None and column.lower() not in known:
            msg = (
                f"{path}: StatusMirror names the column {column!r}, which the table {mirror.table!r} does not have. "
                f"Its columns: {', '.join(columns)}."
            )
            raise StoreError(msg)
