"""Databases that hold an application's table beside the jobs, and the connections that applications have to them."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, Protocol

import aiosqlite
import asyncpg
import attrs
import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from pacer.protocols import Store
from pacer.stores.postgres import PostgresStore
from pacer.stores.sqlite import SqliteStore


@attrs.frozen
class Access:
    """One connection of the application.

    Attributes:
        connection: What `Scheduler.using` is given.
        order: Writes an order in the transaction; the first one begins it.
        commit: Commits.
        rollback: Rolls back.
    """

    connection: Any
    order: Callable[[str], Awaitable[None]]
    commit: Callable[[], Awaitable[None]]
    rollback: Callable[[], Awaitable[None]]


class Database(Protocol):
    """One database, new, with an empty table of orders."""

    def store(self, **settings: Any) -> Store:
        """Where its jobs are."""

    def connect(self, kind: str) -> AbstractAsyncContextManager[Access]:
        """A connection of this kind."""

    async def orders(self) -> list[str]:
        """What everybody sees."""

    async def count(self, table: str) -> int:
        """How many rows a table of pacer's has."""


async def _at_once(call: Callable[..., Any], *args: Any) -> None:
    call(*args)


@attrs.frozen
class Sqlite:
    """A file."""

    path: Path
    ends_with_commit: ClassVar[bool] = False
    """Whether the last step of taking jobs in is the commit itself."""

    @classmethod
    def make(cls, path: Path) -> Sqlite:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE orders (name TEXT PRIMARY KEY)")
        return cls(path)

    def store(self, **settings: Any) -> SqliteStore:
        return SqliteStore(self.path, **{"share": True, "durability": "process", **settings})

    def connect(self, kind: str) -> AbstractAsyncContextManager[Access]:
        url = f"sqlite+aiosqlite:///{self.path}"
        return {
            "sqlite3": self._plain,
            "aiosqlite": self._threaded,
            "AsyncConnection on aiosqlite": lambda: alchemy_connection(url),
            "AsyncSession on aiosqlite": lambda: alchemy_session(url),
        }[kind]()

    @asynccontextmanager
    async def _plain(self) -> AsyncGenerator[Access]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:

            async def order(name: str) -> None:
                connection.execute("INSERT INTO orders VALUES (?)", (name,))

            yield Access(connection, order, lambda: _at_once(connection.commit), lambda: _at_once(connection.rollback))

    @asynccontextmanager
    async def _threaded(self) -> AsyncGenerator[Access]:
        async with aiosqlite.connect(self.path) as connection:

            async def order(name: str) -> None:
                async with connection.execute("INSERT INTO orders VALUES (?)", (name,)):
                    pass

            yield Access(connection, order, connection.commit, connection.rollback)

    async def orders(self) -> list[str]:
        return [name for (name,) in self._ask("SELECT name FROM orders ORDER BY name")]

    async def count(self, table: str) -> int:
        return self._ask(f"SELECT count(*) FROM pacer_{table}")[0][0]

    def _ask(self, query: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query).fetchall()


_tables = itertools.count(1)


@attrs.frozen
class Postgres:
    """A schema for jobs and a table for orders, in the one database of a server."""

    dsn: str
    schema: str
    table: str
    ends_with_commit: ClassVar[bool] = True

    @classmethod
    def make(cls, dsn: str, schema: str) -> Postgres:
        table = f"orders_{next(_tables)}"
        with psycopg.connect(dsn) as connection:
            connection.execute(f"CREATE TABLE {table} (name text PRIMARY KEY)")
        return cls(dsn, schema, table)

    def store(self, **settings: Any) -> PostgresStore:
        return PostgresStore(self.dsn, schema=self.schema, **settings)

    def connect(self, kind: str) -> AbstractAsyncContextManager[Access]:
        urls = {name: self.dsn.replace("postgresql:", f"postgresql+{name}:") for name in ("psycopg", "asyncpg")}
        return {
            "psycopg": self._psycopg,
            "psycopg, synchronous": self._sync_psycopg,
            "asyncpg": self._asyncpg,
            "AsyncConnection on psycopg": lambda: alchemy_connection(urls["psycopg"], self.table),
            "AsyncSession on psycopg": lambda: alchemy_session(urls["psycopg"], self.table),
            "AsyncConnection on asyncpg": lambda: alchemy_connection(urls["asyncpg"], self.table),
            "AsyncSession on asyncpg": lambda: alchemy_session(urls["asyncpg"], self.table),
        }[kind]()

    @asynccontextmanager
    async def _psycopg(self) -> AsyncGenerator[Access]:
        connection = await psycopg.AsyncConnection.connect(self.dsn)

        async def order(name: str) -> None:
            await connection.execute(f"INSERT INTO {self.table} VALUES (%s)", (name,))

        try:
            yield Access(connection, order, connection.commit, connection.rollback)
        finally:
            await connection.close()

    @asynccontextmanager
    async def _sync_psycopg(self) -> AsyncGenerator[Access]:
        connection = psycopg.connect(self.dsn)

        async def order(name: str) -> None:
            connection.execute(f"INSERT INTO {self.table} VALUES (%s)", (name,))

        try:
            yield Access(connection, order, lambda: _at_once(connection.commit), lambda: _at_once(connection.rollback))
        finally:
            connection.close()

    @asynccontextmanager
    async def _asyncpg(self) -> AsyncGenerator[Access]:
        """It begins no transaction by itself."""
        connection = await asyncpg.connect(self.dsn)

        async def order(name: str) -> None:
            await connection.execute(f"INSERT INTO {self.table} VALUES ($1)", name)

        async def end(how: str) -> None:
            await connection.execute(f"{how}; BEGIN")

        await connection.execute("BEGIN")
        try:
            yield Access(connection, order, lambda: end("COMMIT"), lambda: end("ROLLBACK"))
        finally:
            await connection.close()

    async def orders(self) -> list[str]:
        return [name for (name,) in self._ask(f"SELECT name FROM {self.table} ORDER BY name")]

    async def count(self, table: str) -> int:
        schema = self.schema.replace('"', '""')
        return self._ask(f'SELECT count(*) FROM "{schema}".pacer_{table}')[0][0]

    def _ask(self, query: str) -> list[Any]:
        with psycopg.connect(self.dsn) as connection:
            return connection.execute(query).fetchall()


@asynccontextmanager
async def alchemy_connection(url: str, table: str = "orders") -> AsyncGenerator[Access]:
    """SQLAlchemy's, which begins a transaction by itself."""
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            yield _alchemy(connection, table)
    finally:
        await engine.dispose()


@asynccontextmanager
async def alchemy_session(url: str, table: str = "orders") -> AsyncGenerator[Access]:
    """A session of its object-relational mapper."""
    engine = create_async_engine(url)
    try:
        async with AsyncSession(engine) as session:
            yield _alchemy(session, table)
    finally:
        await engine.dispose()


def _alchemy(connection: AsyncConnection | AsyncSession, table: str) -> Access:
    async def order(name: str) -> None:
        await connection.execute(text(f"INSERT INTO {table} VALUES (:name)"), {"name": name})

    return Access(connection, order, connection.commit, connection.rollback)


SQLITE_KINDS = ("sqlite3", "aiosqlite", "AsyncConnection on aiosqlite", "AsyncSession on aiosqlite")
POSTGRES_KINDS = (
    "psycopg",
    "psycopg, synchronous",
    "asyncpg",
    "AsyncConnection on psycopg",
    "AsyncSession on psycopg",
    "AsyncConnection on asyncpg",
    "AsyncSession on asyncpg",
)
