"""What a role has to be allowed, and what to do if it is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
from psycopg import sql

from pacer._errors import ReadOnlyStoreError
from pacer.stores._postgres._schema import TABLES

WRITTEN: Final = tuple(name for name in TABLES if name != "pacer_migrations")
_ALL: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")
# What somebody needs who is no worker, and does more than look.
_STEERING: Final = {"pacer_queues": "UPDATE", "pacer_jobs": "INSERT, UPDATE", "pacer_workers": "INSERT, UPDATE"}

_LACKING: Final = """
SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY($2)
    AND EXISTS (SELECT FROM unnest($3::text[]) AS p WHERE NOT has_table_privilege(c.oid, p))
"""


def grants(schema: str, role: str = "<role>") -> str:
    """The least privileges that a role needs to use the tables, as SQL."""
    quoted = sql.Identifier(schema).as_string(None)
    tables = ", ".join(f"{quoted}.{name}" for name in WRITTEN)
    return (
        f"GRANT USAGE ON SCHEMA {quoted} TO {role}; GRANT SELECT ON {quoted}.pacer_migrations TO {role}; "
        f"GRANT {', '.join(_ALL)} ON {tables} TO {role};"
    )


def guest_grants(schema: str, role: str = "<role>", *, steering: bool = False) -> str:
    """The same for a role that only looks; or for one that steers, too."""
    quoted = sql.Identifier(schema).as_string(None)
    looking = ", ".join(f"{quoted}.{name}" for name in TABLES)
    statements = [f"GRANT USAGE ON SCHEMA {quoted} TO {role};", f"GRANT SELECT ON {looking} TO {role};"]
    if steering:
        statements += [f"GRANT {allowed} ON {quoted}.{name} TO {role};" for name, allowed in _STEERING.items()]
    return " ".join(statements)


def grants_advice(schema: str) -> str:
    """What to do where privileges are missing."""
    return f"Have the owner of the database run `pacer migrate`, and then: {grants(schema)}"


def guest_advice(schema: str) -> str:
    """The same for a guest, who needs fewer."""
    return f"To look and to steer, it needs: {guest_grants(schema, steering=True)}"


def lacking(schema: str, name: str, what: str, advice: str | None = None) -> ReadOnlyStoreError:
    """The error of a role that may not use this."""
    return ReadOnlyStoreError(f"{name}: this role lacks privileges on {what}. {advice or grants_advice(schema)}")


def check_privileges(connection: psycopg.Connection[Any], schema: str, name: str) -> None:
    """Raises ReadOnlyStoreError if the tables cannot be read and written."""
    missing = _missing(connection, schema, WRITTEN, _ALL)
    if missing:
        raise lacking(schema, name, missing)


def check_guest_privileges(connection: psycopg.Connection[Any], schema: str, name: str) -> None:
    """Raises ReadOnlyStoreError if the tables cannot be read."""
    missing = _missing(connection, schema, TABLES, ["SELECT"])
    if missing:
        raise lacking(schema, name, missing, f"To look, it needs: {guest_grants(schema)}")


def _missing(connection: psycopg.Connection[Any], schema: str, tables: Sequence[str], privileges: Sequence[str]) -> str:
    rows = connection.execute(_LACKING, (schema, list(tables), list(privileges))).fetchall()
    return ", ".join(sorted(table for (table,) in rows))
