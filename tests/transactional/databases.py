"""Databases that hold an application's table beside the jobs, and the connections that applications have to them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
import attrs
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine

from pacer.protocols import Store
from pacer.stores.sqlite import SqliteStore

TABLE = "CREATE TABLE orders (name TEXT PRIMARY KEY)"


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


async def _at_once(call: Callable[..., Any], *args: Any) -> None:
    call(*args)


@attrs.frozen
class Sqlite:
    """A file."""

    path: Path

    @classmethod
    def make(cls, path: Path) -> Sqlite:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(TABLE)
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
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return [name for (name,) in connection.execute("SELECT name FROM orders ORDER BY name")]


_ORDER = text("INSERT INTO orders VALUES (:name)")


@asynccontextmanager
async def alchemy_connection(url: str, **settings: Any) -> AsyncGenerator[Access]:
    """SQLAlchemy's, which begins a transaction by itself."""
    engine = create_async_engine(url, **settings)
    try:
        async with engine.connect() as connection:
            yield _alchemy(connection)
    finally:
        await engine.dispose()


@asynccontextmanager
async def alchemy_session(url: str, **settings: Any) -> AsyncGenerator[Access]:
    """A session of its object-relational mapper."""
    engine = create_async_engine(url, **settings)
    try:
        async with AsyncSession(engine) as session:
            yield _alchemy(session)
    finally:
        await engine.dispose()


def _alchemy(connection: AsyncConnection | AsyncSession) -> Access:
    async def order(name: str) -> None:
        await connection.execute(_ORDER, {"name": name})

    return Access(connection, order, connection.commit, connection.rollback)


SQLITE_KINDS = ("sqlite3", "aiosqlite", "AsyncConnection on aiosqlite", "AsyncSession on aiosqlite")
