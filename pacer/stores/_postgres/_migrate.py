"""Making and migrating the tables, and the checks made before they are touched."""

from __future__ import annotations

import math
from typing import Any, Final

import psycopg
from psycopg import errors, sql

from pacer._errors import (
    CorruptStoreError,
    NewerSchemaError,
    NotOurStoreError,
    OlderSchemaError,
    StoreError,
)
from pacer.stores._postgres._patience import PatientConnection
from pacer.stores._postgres._privileges import lacking
from pacer.stores._postgres._schema import LATER, MIGRATIONS, MIGRATIONS_TABLE, TABLES, VERSION
from pacer.stores._postgres._statement import in_schema
from pacer.stores._postgres._target import LOCK_WITHIN

_LOOK: Final = """
SELECT c.relname, c.relkind, has_schema_privilege(n.oid, 'USAGE')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2)
"""
_COLUMNS: Final = """
SELECT a.attname FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = 'pacer_migrations' AND a.attnum > 0
"""
_APPLIED: Final = "INSERT INTO {schema}.pacer_migrations (version) VALUES ({version})"
# Many processes may start at once. The lock is the transaction's, so that it holds through a pooler, too.
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('pacer migration of ' || $1, 0))"


def migration_sql(schema: str = "pacer", since: int = 0) -> str:
    """All that `migrate` would do, as plain SQL to read, or to hand to a DBA.

    Args:
        schema: Where pacer's tables are to be.
        since: The version that they have; 0: there are none.
    """
    statements = [sql.SQL("CREATE SCHEMA IF NOT EXISTS {};").format(sql.Identifier(schema)).as_string(None)]
    if since == 0:
        statements.append(_statement(MIGRATIONS_TABLE, schema))
    for version, texts in enumerate(MIGRATIONS[since:], since + 1):
        statements += [_statement(text, schema) for text in texts]
        statements.append(_statement(_APPLIED.format(schema="{schema}", version=version), schema))
    return "\n".join(["BEGIN;", *statements, "COMMIT;", ""])


def _statement(text: str, schema: str) -> str:
    return in_schema(text, schema).as_string(None).strip() + ";"


def version_of(connection: psycopg.Connection[Any], schema: str, name: str) -> int:
    """The version of the tables; 0 if there are none. Raises a StoreError that says why they must not be used."""
    found = connection.execute(_LOOK, (schema, list(TABLES))).fetchall()
    tables = {table for table, _, _ in found}
    if not tables:
        return 0
    _check_ours(connection, schema, name, tables, {kind for _, kind, _ in found})
    if not all(usage for _, _, usage in found):
        raise lacking(schema, name, f"the schema {schema!r}")
    try:
        query = in_schema("SELECT max(version) FROM {schema}.pacer_migrations", schema)
        row = connection.execute(query).fetchone()
    except errors.InsufficientPrivilege as error:
        raise lacking(schema, name, "pacer_migrations") from error
    version = row[0] if row else None
    if version is None:
        msg = f"{name}: {schema}.pacer_migrations holds no version. Restore the schema from a backup."
        raise CorruptStoreError(msg)
    if version > VERSION:
        msg = (
            f"{name}: the schema {schema!r} was made by a newer version of pacer (tables of version {version}, this "
            f"one knows {VERSION}); nothing was changed. Upgrade pacer-scheduler, or give another schema."
        )
        raise NewerSchemaError(msg)
    missing = {table for table in TABLES if LATER.get(table, 1) <= version} - tables
    if missing:
        msg = f"{name}: in the schema {schema!r} {', '.join(sorted(missing))} is missing. Restore it from a backup."
        raise CorruptStoreError(msg)
    return int(version)


def _check_ours(
    connection: psycopg.Connection[Any], schema: str, name: str, tables: set[str], kinds: set[str | bytes]
) -> None:
    columns = {column for (column,) in connection.execute(_COLUMNS, (schema,)).fetchall()}
    kinds = {kind.decode() if isinstance(kind, bytes) else kind for kind in kinds}
    if not {"version", "applied_at"} <= columns or not kinds <= {"r", "p"}:
        msg = (
            f"{name}: the schema {schema!r} holds something else by the name of {', '.join(sorted(tables))}; nothing "
            "was changed. Give another schema."
        )
        raise NotOurStoreError(msg)


def check_server(connection: psycopg.Connection[Any], name: str) -> None:
    """Raises StoreError if it is a server, or a database, that pacer cannot be kept in."""
    number = connection.info.server_version
    if number < 140000:
        msg = f"{name}: PostgreSQL {number // 10000} is too old; pacer needs 14 or later."
        raise StoreError(msg)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        msg = (
            f"{name}: the database's encoding is {encoding}, in which not every text can be written. Make one with "
            "CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0."
        )
        raise StoreError(msg)


def check_current(connection: psycopg.Connection[Any], schema: str, name: str) -> bool:
    """Whether there are tables; raises OlderSchemaError if they are of an earlier version. For a guest."""
    check_server(connection, name)
    version = version_of(connection, schema, name)
    if 0 < version < VERSION:
        remedy = f"Have the owner of the schema {schema!r} run `pacer migrate`."
        raise OlderSchemaError(name, version, VERSION, remedy)
    return version > 0


def bring_up_to_date(connection: PatientConnection, schema: str, name: str) -> tuple[int, int]:
    """Make or migrate what is missing. Returns the versions before and after.

    The connection is in autocommit mode. Errors of PostgreSQL itself are let through.
    """
    check_server(connection, name)
    version = version_of(connection, schema, name)
    if version == VERSION:
        return version, version
    patience = connection.patience
    connection.patience = math.inf  # making an index of a large table takes its time
    try:
        return _migrate(connection, schema, name)
    finally:
        connection.patience = patience


def _migrate(connection: PatientConnection, schema: str, name: str) -> tuple[int, int]:
    with connection.transaction():
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute("SET LOCAL lock_timeout = 0")
        connection.execute(_LOCK, (schema,))
        # All others wait behind whoever waits for a lock on a table: not for long, if it is somebody's for hours.
        connection.execute(f"SET LOCAL lock_timeout = {round(LOCK_WITHIN * 1000)}")
        version = version_of(connection, schema, name)
        if version == 0:
            _make_schema(connection, schema)
        for number, texts in enumerate(MIGRATIONS[version:], version + 1):
            for text in texts:
                connection.execute(in_schema(text, schema), prepare=False)
            connection.execute(in_schema(_APPLIED.format(schema="{schema}", version=number), schema), prepare=False)
    return version, VERSION


def _make_schema(connection: psycopg.Connection[Any], schema: str) -> None:
    # IF NOT EXISTS asks for the privilege to make schemas even if there is nothing to make.
    if connection.execute("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", (schema,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)), prepare=False)
    connection.execute(in_schema(MIGRATIONS_TABLE, schema), prepare=False)
