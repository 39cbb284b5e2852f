"""A PostgreSQL database: whether it can be used, keeps what it is given, and is not held up by others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from pacer._errors import CorruptStoreError, NewerSchemaError, NotOurStoreError, StoreError, StoreUnavailableError
from pacer._operate._doctor._finding import Finding, error, warning
from pacer._operate._doctor._sqlite import left_on_stage, missing_indexes
from pacer._operate._text import clean, count_text, seconds_text
from pacer.stores._postgres._migrate import check_server, version_of
from pacer.stores._postgres._privileges import check_privileges, guest_advice
from pacer.stores._postgres._risks import risks_of
from pacer.stores._postgres._schema import MIGRATIONS, VERSION
from pacer.stores._postgres._session import Session
from pacer.stores._postgres._statement import in_schema
from pacer.stores._postgres._target import Target
from pacer.stores.postgres import PostgresStore

_CONNECT_WITHIN: Final = 5.0
_ANSWER_WITHIN: Final = 10.0
_IDLE_FOR: Final = 5.0
_OPEN_FOR: Final = 300.0
_DEAD_ROWS: Final = 20_000
_NEARLY_ALL: Final = 0.9

# Whoever changes rows has such a lock on the table, up to the end of the transaction.
_HOLDERS: Final = """
SELECT a.pid, coalesce(a.application_name, ''), a.state, extract(epoch FROM clock_timestamp() - a.state_change)::float8,
    string_agg(DISTINCT c.relname, ', ' ORDER BY c.relname)
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
JOIN pg_catalog.pg_class c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname LIKE 'pacer\\_%' AND c.relkind IN ('r', 'p') AND l.granted
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    AND l.mode <> 'AccessShareLock' AND a.pid <> pg_backend_pid()
    AND (a.state LIKE 'idle in transaction%' OR l.mode = 'AccessExclusiveLock')
    AND clock_timestamp() - a.state_change > make_interval(secs => $2)
GROUP BY a.pid, a.application_name, a.state, a.state_change
"""
_OLD: Final = """
SELECT a.pid, coalesce(a.application_name, ''), coalesce(a.state, ''),
    extract(epoch FROM clock_timestamp() - a.xact_start)::float8
FROM pg_catalog.pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
    AND (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL)
    AND a.xact_start < clock_timestamp() - make_interval(secs => $1)
ORDER BY a.xact_start LIMIT 3
"""
_INDEXES: Final = """
SELECT c.relname, i.indisvalid FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1
"""
_TABLES: Final = """
SELECT s.relname, s.n_live_tup, s.n_dead_tup, coalesce(c.reloptions::text, '') ~* 'autovacuum_enabled=(f|n|off|0)'
FROM pg_catalog.pg_stat_user_tables s JOIN pg_catalog.pg_class c ON c.oid = s.relid
WHERE s.schemaname = $1 AND s.relname LIKE 'pacer\\_%'
"""
_CONNECTIONS: Final = """
SELECT count(*), current_setting('max_connections')::int FROM pg_catalog.pg_stat_activity
WHERE backend_type = 'client backend'
"""
_STAGED: Final = """
SELECT q.name, count(*), extract(epoch FROM clock_timestamp() - min(s.came_at))::float8
FROM {schema}.pacer_stage s JOIN {schema}.pacer_queues q ON q.id = s.queue GROUP BY q.name
"""


def examine_postgres(store: PostgresStore, open_for: float = _OPEN_FOR) -> Iterator[Finding]:
    """All that is wrong with it. Raises StoreUnavailableError.

    Args:
        store: Where it is.
        open_for: Seconds after which a transaction is open for long.
    """
    schema = store.schema
    target = Target(store.dsn, schema, _CONNECT_WITHIN, _ANSWER_WITHIN, store.pooled)
    session = Session(target, guest_advice(schema))
    try:
        connection: Any = session.connect()
        with session.errors():
            try:
                check_server(connection, session.name)
                version = version_of(connection, schema, session.name)
            except StoreUnavailableError:
                raise
            except StoreError as problem:
                yield _unusable(problem)
                return
            yield from _server(connection, session.name, open_for)
            if version == 0:
                yield _no_tables(session.name, schema)
                return
            yield from _tables(connection, schema, session.name, version)
    finally:
        session.close()


def _unusable(problem: StoreError) -> Finding:
    codes = {NotOurStoreError: "not-ours", CorruptStoreError: "damaged", NewerSchemaError: "newer-schema"}
    code = codes.get(type(problem), "unusable")
    return error(code, str(problem), "no scheduler can use this database", "do as it says; schedulers say the same")


def _no_tables(name: str, schema: str) -> Finding:
    return error(
        "no-tables",
        f"{name}: the schema {schema!r} holds none of pacer's tables",
        "no scheduler has ever run with this database and schema",
        "check the database and --within, or start a scheduler",
    )


def _server(connection: Any, name: str, open_for: float) -> Iterator[Finding]:
    for risk in risks_of(connection, name):
        yield warning("not-durable", risk, "acknowledged jobs and outcomes may be lost", "do as it says")
    (replica,) = connection.execute("SELECT pg_is_in_recovery()").fetchone()
    if replica:
        yield error(
            "replica",
            f"{name} is a standby",
            "nothing can be written to it",
            "give the address of the primary, or target_session_attrs=read-write",
        )
    (vacuum,) = connection.execute("SELECT current_setting('autovacuum')").fetchone()
    if vacuum == "off":
        yield warning(
            "no-autovacuum",
            "autovacuum is off for the whole server",
            "old versions of rows are never cleared away: the queue gets slower and slower",
            "set autovacuum = on in the server's configuration, and reload it",
        )
    used, most = connection.execute(_CONNECTIONS).fetchone()
    if used > most * _NEARLY_ALL:
        yield warning(
            "connections",
            f"{used} of {most} connections are in use",
            "schedulers that start, or lose theirs, may get none",
            "raise max_connections, or put a pooler in between (PostgresStore(pooled=True))",
        )
    for pid, application, state, seconds in connection.execute(_OLD, (open_for,)).fetchall():
        yield warning(
            "old-transaction",
            f"a transaction of process {pid} ({clean(application) or 'no name'}, {state}) is open for "
            f"{seconds_text(seconds)}",
            "PostgreSQL cannot clear away old versions of rows meanwhile: a busy queue gets slower and slower",
            f"end it, or if nobody needs it: SELECT pg_terminate_backend({pid})",
        )


def _tables(connection: Any, schema: str, name: str, version: int) -> Iterator[Finding]:
    if version < VERSION:
        yield warning(
            "older-schema",
            f"{name}: the tables are of version {version}; this pacer's are of version {VERSION}",
            "the queues cannot be looked at before they are of this version",
            "run: pacer migrate",
        )
    else:
        try:
            check_privileges(connection, schema, name)
        except StoreError as problem:
            yield warning("privileges", str(problem), "a scheduler of this role cannot work", "do as it says")
            return
    for pid, application, state, seconds, tables in connection.execute(_HOLDERS, (schema, _IDLE_FOR)).fetchall():
        yield error(
            "idle-in-transaction",
            f"process {pid} ({clean(application) or 'no name'}) is {state} for {seconds_text(seconds)} and has changed "
            f"or locked {tables}",
            "schedulers that need what it has locked wait for it",
            f"end its transaction: SELECT pg_terminate_backend({pid})",
        )
    found = dict(connection.execute(_INDEXES, (schema,)).fetchall())
    yield from missing_indexes(_wanted(version) - {index for index, valid in found.items() if valid})
    yield from _rows(connection, schema)
    for queue, count, age in connection.execute(in_schema(_STAGED, schema)).fetchall():
        yield from left_on_stage(queue, count, age)


def _wanted(version: int) -> set[str]:
    """The indexes that the statements up to this version make."""
    names: set[str] = set()
    for text in (text for texts in MIGRATIONS[:version] for text in texts):
        names |= set(re.findall(r"CREATE (?:UNIQUE )?INDEX (\w+)", text))
        names -= set(re.findall(r"DROP INDEX \S*?(\w+)$", text.strip()))
    return names


def _rows(connection: Any, schema: str) -> Iterator[Finding]:
    for table, live, dead, off in connection.execute(_TABLES, (schema,)).fetchall():
        if off:
            yield warning(
                "no-autovacuum",
                f"autovacuum is off for {table}",
                "old versions of rows are never cleared away: the queue gets slower and slower",
                f"ALTER TABLE {table} RESET (autovacuum_enabled)",
            )
        if dead > max(_DEAD_ROWS, live):
            yield warning(
                "bloat",
                f"{table} holds {count_text(live, 'row')} and {dead} old versions of rows",
                "each step of a job has to step over them",
                f"look for old transactions and replication slots; then VACUUM {table}",
            )
