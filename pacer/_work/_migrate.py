"""`pacer migrate`: the tables of a store, made or brought to this version before anything is started."""

from __future__ import annotations

import importlib
import sqlite3
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from pacer import StoreError, StoreUnavailableError
from pacer._command_error import CommandError
from pacer._extras import ExtraMissingError
from pacer._work._errors import CANNOT_START, STORE_AWAY, USAGE
from pacer.stores._from_url import StoreUrl
from pacer.stores._sqlite_errors import store_error
from pacer.stores._sqlite_schema import VERSION, check_version, inspect, prepare

# Seconds that other processes get to end a transaction on the file.
_PATIENCE: Final = 5.0


def migrate(
    store: Annotated[
        str,
        typer.Argument(
            metavar="STORE",
            envvar="PACER_STORE",
            help="sqlite:///jobs.db, postgresql://user@host/database or redis://host:6379/0.",
        ),
    ],
    schema: Annotated[
        str | None, typer.Option(help="PostgreSQL: where the tables are; by default as the store.")
    ] = None,
    print_sql: Annotated[
        bool,
        typer.Option("--print", help="PostgreSQL: print the SQL for somebody else to run, and connect to nothing."),
    ] = False,
) -> None:
    """Make a store's tables, or bring them to this version.

    Stores do so by themselves when they are opened. This is for a PostgreSQL where the application may not make
    tables: run it as a user who may, or give what --print prints to your DBA.

    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the store cannot be reached.
    """
    try:
        for line in _migrated(store, schema, print_sql=print_sql):
            typer.echo(line)
    except CommandError as error:
        typer.echo(f"pacer migrate: {error}", err=True)
        raise typer.Exit(error.code) from None


def _migrated(text: str, schema: str | None, *, print_sql: bool) -> list[str]:
    """What to print. Raises CommandError."""
    try:
        url = StoreUrl.parse(text)
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error
    name = url.kind.name
    if name != "PostgreSQL" and (schema is not None or print_sql):
        option = "--print" if print_sql else "--schema"
        msg = f"{option} is for PostgreSQL; {name} has no such thing"
        raise CommandError(msg, USAGE)
    try:
        if name == "SQLite":
            return [_file(Path(url.location))]
        if name == "PostgreSQL":
            return _postgres(url, schema, print_sql=print_sql)
    except StoreUnavailableError as error:
        raise CommandError(str(error), STORE_AWAY) from error
    except StoreError as error:
        raise CommandError(str(error), CANNOT_START) from error
    return ["Redis has no tables: there is nothing to migrate"]


def _file(path: Path) -> str:
    inspect(path, may_share=False, mirror=None, busy_timeout=_PATIENCE)
    try:
        connection = sqlite3.connect(path, isolation_level=None, timeout=_PATIENCE)
    except sqlite3.Error as error:
        raise store_error(error, path, "opening the store") from error
    try:
        there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pacer_schema'").fetchone()
        before = check_version(connection, path) if there else 0
        prepare(connection, path, synchronous="FULL", busy_timeout=_PATIENCE, migrating=True, set_up=lambda: None)
    except sqlite3.Error as error:
        raise store_error(error, path, "migrating") from error
    finally:
        connection.close()
    return _told(str(path), before, VERSION)


def _postgres(url: StoreUrl, schema: str | None, *, print_sql: bool) -> list[str]:
    try:
        postgres: Any = importlib.import_module(url.kind.module)
    except ExtraMissingError as error:
        raise CommandError(str(error)) from None
    where = {} if schema is None else {"schema": schema}
    try:
        if print_sql:
            return [postgres.migration_sql(**where).rstrip()]
        return [_told(url.shown, *postgres.migrate(url.location, **where))]
    except ValueError as error:  # a DSN or a name that is none
        raise CommandError(str(error), USAGE) from error


def _told(name: str, before: int, after: int) -> str:
    if before == after:
        return f"{name}: the tables are of version {after} already"
    return f"{name}: the tables are now of version {after}" + (f", they were of {before}" if before else "")
