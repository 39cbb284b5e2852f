"""The stage in PostgreSQL, and the transactions of others in that database."""

# ruff: noqa: S608 - SQL is put together from constants and quoted identifiers; values are always bound

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final, Protocol

import attrs
import psycopg
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pacer._errors import StoreError
from pacer._job import ONE_REQUEST, JobRecord, JobState
from pacer.stores._connections import driver_connection, is_one_of, wrong_kind
from pacer.stores._postgres._columns import Row, number_array, split, text_array
from pacer.stores._postgres._sql import WHERE
from pacer.stores._postgres._statement import Statement
from pacer.stores._server._notices import STAGED as NOTICE
from pacer.stores._stage import LOOK_AHEAD_OF_STAGED, STAGED, Sight

_KINDS: Final = (
    "a psycopg.AsyncConnection, a psycopg.Connection, an asyncpg.Connection, or an AsyncSession or AsyncConnection of "
    "SQLAlchemy on psycopg or asyncpg"
)

# Values are text, which both drivers hand over as it is; and so is the answer.
_FACTS: Final = (
    "json_build_array(id, task, key, priority, cost, created_at, ready_at, expires_at, started_at, unique_key, state)"
)
_STAGED_FACTS: Final = (
    "json_build_array(id, task, key, priority, cost, at, at + delay, at + expires, NULL, unique_key, 'queued')"
)
_LOOK: Final = f"""
SELECT json_build_object(
    'queue', q.id, 'state', q.state, 'parts', q.parts,
    'here', CASE WHEN %(where)s::text IS NOT NULL THEN %(where)s::text = {WHERE} ELSE
        EXISTS (SELECT FROM {{schema}}.pacer_workers WHERE queue = q.id AND worker = %(worker)s::text) END,
    'waiting', q.ready + q.delayed + (SELECT count(*) FROM {{schema}}.pacer_stage WHERE queue = q.id),
    'running', (SELECT json_agg({_FACTS}) FROM {{schema}}.pacer_jobs WHERE queue = q.id AND state = 'running'),
    'front', (SELECT json_agg(facts) FROM (
        SELECT {_FACTS} AS facts FROM {{schema}}.pacer_jobs WHERE queue = q.id AND place IS NOT NULL
        ORDER BY sort_key, place LIMIT {LOOK_AHEAD_OF_STAGED}
    ) AS front),
    'known', (SELECT json_agg(facts) FROM (
        SELECT {_FACTS} AS facts FROM {{schema}}.pacer_jobs
        WHERE queue + 0 = q.id AND id = ANY(%(ids)s::text::text[])
        UNION ALL SELECT {_FACTS} FROM {{schema}}.pacer_jobs
        WHERE queue + 0 = q.id AND unique_key = ANY(%(uniques)s::text::text[]) AND ended_at IS NULL
        UNION ALL SELECT {_STAGED_FACTS} FROM (
            SELECT *, extract(epoch FROM came_at)::float8 + q.clock_offset AS at FROM {{schema}}.pacer_stage
        ) AS staged
        WHERE queue + 0 = q.id
            AND (id = ANY(%(ids)s::text::text[]) OR unique_key = ANY(%(uniques)s::text::text[]))
    ) AS known)
)::text
FROM {{schema}}.pacer_queues AS q WHERE q.name = %(name)s::text
"""
_NUMBERS: Final = {"priority": "bigint", "delay": "float8", "timeout": "float8", "expires": "float8"}
_GIVEN: Final = {**{name: _NUMBERS.get(name, "text") for name in STAGED.split(", ")}, "payload_bytes": "bytea"}
_INSERT: Final = f"""
WITH made AS (
    INSERT INTO {{schema}}.pacer_stage (queue, came_at, {", ".join(_GIVEN)})
    SELECT %(queue)s::text::integer, coalesce(to_timestamp(%(came_at)s::text::float8), clock_timestamp()),
        {", ".join(f"t.{name}" for name in _GIVEN)}
    FROM unnest({", ".join(f"%({name})s::text::{kind}[]" for name, kind in _GIVEN.items())}) WITH ORDINALITY
        AS t ({", ".join(_GIVEN)}, place)
    ORDER BY t.place
    ON CONFLICT DO NOTHING
    RETURNING id
)
SELECT id, pg_notify(%(channel)s::text, %(notice)s::text)::text FROM made
"""
_PAYLOAD: Final = 2

# No table, no schema, and no right to them.
_NOT_THERE: Final = ("42P01", "3F000")
_FORBIDDEN: Final = "42501"
_FAILED: Final = "The transaction has failed by that, as PostgreSQL has it: roll it back, or back to a savepoint."


class Connection(Protocol):
    """A connection of others, on the event loop."""

    async def fetch(self, sql: bytes, parameters: Sequence[str | None]) -> Sequence[Any]:
        """All rows that a statement gives."""


@attrs.frozen(eq=False)
class _Psycopg:
    _connection: psycopg.AsyncConnection[Any]

    async def fetch(self, sql: bytes, parameters: Sequence[str | None]) -> Sequence[Any]:
        async with psycopg.AsyncRawCursor(self._connection, row_factory=tuple_row) as cursor:
            return await (await cursor.execute(sql, parameters)).fetchall()


@attrs.frozen(eq=False)
class _SyncPsycopg:
    """The event loop waits while it works."""

    _connection: psycopg.Connection[Any]

    async def fetch(self, sql: bytes, parameters: Sequence[str | None]) -> Sequence[Any]:
        with psycopg.RawCursor(self._connection, row_factory=tuple_row) as cursor:
            return cursor.execute(sql, parameters).fetchall()


@attrs.frozen(eq=False)
class _Asyncpg:
    _connection: Any

    async def fetch(self, sql: bytes, parameters: Sequence[str | None]) -> Sequence[Any]:
        rows: Sequence[Any] = await self._connection.fetch(sql.decode(), *parameters)
        return rows


@attrs.define(eq=False)
class PostgresTransaction:
    """A transaction of others in the database of a queue."""

    _door: PostgresDoor
    _connection: Connection
    _queue: int = attrs.field(init=False)

    async def look(self, records: Sequence[JobRecord]) -> Sight:
        """The queue as it is seen there, and what jobs with the ids or unique keys of these are in it or the stage."""
        door = self._door
        values = {
            "name": door.name,
            "worker": door.worker,
            "where": door.where(),
            "ids": text_array([record.id for record in records]),
            "uniques": text_array([record.unique for record in records if record.unique is not None]),
        }
        with door.errors():
            rows = await self._connection.fetch(door.look.text, door.look.bind(values))
        found: dict[str, Any] = json.loads(rows[0][0]) if rows else {"here": False}
        if not found["here"]:
            raise door.elsewhere()
        self._queue = found["queue"]
        return Sight(
            state=found["state"],
            parts=found["parts"],
            waiting=found["waiting"],
            running=[_record(one) for one in found["running"] or ()],
            front=[_record(one) for one in found["front"] or ()],
            known=[_record(one) for one in found["known"] or ()],
        )

    async def insert(self, rows: Sequence[Row], came_at: float) -> Collection[str]:
        """Put rows of `STAGED` into the stage. Returns the ids of those that do not stand for a job that is there."""
        door = self._door
        texts = [split(row[_PAYLOAD]) for row in rows]
        columns: dict[str, Sequence[Any]] = dict(zip(STAGED.split(", "), zip(*rows, strict=True), strict=True))
        columns |= {"payload": [text for text, _ in texts], "payload_bytes": [data for _, data in texts]}
        values: dict[str, Any] = {
            name: number_array(column) if name in _NUMBERS else text_array(column) for name, column in columns.items()
        }
        values |= {"queue": self._queue, "came_at": came_at if door.timed else None}
        values |= {"channel": door.channel, "notice": NOTICE}
        with door.errors():
            made = await self._connection.fetch(door.insert.text, door.insert.bind(values))
        return {row[0] for row in made}


@attrs.define(eq=False)
class PostgresDoor:
    """Where the transactions of others come in.

    Attributes:
        schema: Where the tables are.
        name: Of the queue.
        worker: Of the scheduler that is asked; the database that has a row of it is the right one.
        channel: Where workers hear of jobs.
        database: Its name, for people; without a password.
        timed: Whether the time is not the server's.
        where: Which database it is, for a guest, of whom there is no row.
    """

    schema: str
    name: str
    worker: str
    channel: str
    database: str
    timed: bool
    where: Callable[[], str | None]
    look: Statement = attrs.field(init=False)
    insert: Statement = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.look, self.insert = Statement.of(_LOOK, self.schema), Statement.of(_INSERT, self.schema)

    async def enter(self, connection: Any) -> PostgresTransaction:
        """The transaction of a connection. Raises TypeError for what is none, StoreError for one without any."""
        driver = await driver_connection(connection, _begun)
        if isinstance(driver, psycopg.AsyncConnection):
            found: Connection = _Psycopg(driver)
        elif isinstance(driver, psycopg.Connection):
            found = _SyncPsycopg(driver)
        elif is_one_of(driver, "asyncpg", "Connection"):
            found = _Asyncpg(driver)
        else:
            raise wrong_kind(connection, _KINDS)
        if _closed(driver):
            msg = "using: the connection cannot be used: it is closed. Give one that is open."
            raise StoreError(msg)
        if not (_begun(driver) or _begins(driver)):
            msg = (
                "using: the connection is in no transaction and commits each statement by itself, so that there is "
                "nothing for the job to belong to. Call it inside `async with connection.transaction():`."
            )
            raise StoreError(msg)
        return PostgresTransaction(self, found)

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Say what is wrong if the tables are not there or not to be used; all else is for the owner to deal with."""
        try:
            yield
        except Exception as error:
            state = getattr(error, "sqlstate", None)
            if state in _NOT_THERE:
                msg = f"{self.elsewhere()} {_FAILED}"
                raise StoreError(msg) from error
            if state == _FORBIDDEN:
                msg = (
                    f"using: the connection's role may not enqueue: {_first_line(error)}. Grant it USAGE on the schema "
                    f"{self.schema!r}, SELECT on pacer_queues, pacer_jobs and pacer_workers, and SELECT and INSERT on "
                    f"pacer_stage. {_FAILED}"
                )
                raise StoreError(msg) from error
            raise

    def elsewhere(self) -> StoreError:
        """The error for a connection that does not see this scheduler's queue."""
        return StoreError(
            f"using: the connection does not see the queue {self.name!r} of {self.database}, schema {self.schema!r}. "
            "One transaction must hold both your data and the job: connect to the same database as PostgresStore, and "
            "begin the transaction after the scheduler has started."
        )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _record(facts: Sequence[Any]) -> JobRecord:
    """The job, as far as it is known here."""
    job_id, task, key, priority, cost, created_at, ready_at, expires_at, started_at, unique, state = facts
    return JobRecord(
        job_id,
        task,
        key=key,
        priority=priority,
        cost=ONE_REQUEST if cost is None else json.loads(cost),
        unique=unique,
        state=JobState(state),
        created_at=created_at,
        ready_at=ready_at,
        expires_at=expires_at,
        started_at=started_at,
    )


def _closed(driver: Any) -> bool:
    if isinstance(driver, psycopg.AsyncConnection | psycopg.Connection):
        return driver.closed
    try:
        return bool(driver.is_closed())
    except Exception:  # asyncpg's InterfaceError: it was given back to its pool
        return True


def _begun(driver: Any) -> bool:
    """Whether it is in a transaction; a connection to something else is asked no further."""
    if isinstance(driver, psycopg.AsyncConnection | psycopg.Connection):
        return driver.info.transaction_status != TransactionStatus.IDLE
    return not is_one_of(driver, "asyncpg", "Connection") or bool(driver.is_in_transaction())


def _begins(driver: Any) -> bool:
    """Whether it begins a transaction by itself with the first statement."""
    return isinstance(driver, psycopg.AsyncConnection | psycopg.Connection) and not driver.autocommit
