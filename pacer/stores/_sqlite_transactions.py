"""Transactions on a SQLite file: operations that come together are committed together."""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import aiosqlite
import attrs

from pacer._errors import PacerError, StoreUnavailableError
from pacer.stores._group import Operation
from pacer.stores._sqlite_errors import store_error


class Unit(Protocol):
    """What the operations work on."""

    def begin(self, writes: bool) -> bool:
        """A transaction has begun. Returns whether it has to be one that writes, but is not."""

    def save(self) -> None:
        """It is about to be committed."""

    def committed(self) -> None:
        """It has been."""

    def forget(self) -> None:
        """It has been rolled back."""


@attrs.define(eq=False)
class Transactions:
    """Runs operations on the database's thread.

    Attributes:
        path: The file, for error messages.
        connecting: Called before the file is opened.
        connected: Called with the new connection; gives what is to be told of its transactions.
        commits: How many transactions have been committed.
        failure: Why connecting has failed, if it has.
    """

    path: Path
    connecting: Callable[[], None]
    connected: Callable[[sqlite3.Connection], Unit]
    batch: Sequence[Operation[Any]] = attrs.field(init=False, default=())
    commits: int = attrs.field(init=False, default=0)
    failure: Exception | None = attrs.field(init=False, default=None)
    _unit: Unit = attrs.field(init=False)
    # Whole, since the process may change its directory; SQLite keeps the whole path as well.
    _location: Path = attrs.field(init=False)
    _identity: tuple[int, int] = attrs.field(init=False)

    def connect(self, connection: sqlite3.Connection) -> None:
        """The connection is open."""
        self._unit = self.connected(connection)
        self._location = self.path.absolute()
        self._identity = _identity(self._location)

    def run(self, connection: sqlite3.Connection) -> None:
        """All of the batch in one transaction; if that fails, each of it in one of its own."""
        staged, self.batch = self.batch, ()
        batch = [one for one in staged if not one.withdrawn]
        if not batch:
            return
        try:
            self._begin(connection, any(one.writes for one in batch))
        except Exception as error:
            self._roll_back(connection)
            for one in batch:
                self._failed(one, error)
            return
        try:
            self._run_together(connection, batch)
        except Exception as error:
            self._roll_back(connection)
            if len(batch) == 1:
                self._failed(batch[0], error)
            else:
                for one in batch:
                    self._run_alone(connection, one)

    def _failed(self, one: Operation[Any], error: BaseException) -> None:
        """Keep the error for the caller."""
        one.error = store_error(error, self.path, one.action) if isinstance(error, sqlite3.Error) else error

    def _begin(self, connection: sqlite3.Connection, writes: bool) -> None:
        self._check_in_place()
        if connection.in_transaction:  # an earlier rollback has failed
            connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        if self._unit.begin(writes):
            # A transaction that has read is not made one that writes: it may be out of date by then.
            connection.execute("ROLLBACK")
            connection.execute("BEGIN IMMEDIATE")
            self._unit.begin(True)

    def _check_in_place(self) -> None:
        """SQLite does not look, in WAL mode: jobs would be acknowledged in a file that nobody can open again."""
        with contextlib.suppress(OSError):
            if _identity(self._location) == self._identity:
                return
        msg = (
            f"{self.path}: the file was deleted, moved or replaced while it was in use. Put it back, or stop all "
            f"processes that use it and start them again."
        )
        raise StoreUnavailableError(msg)

    def _run_together(self, connection: sqlite3.Connection, batch: Sequence[Operation[Any]]) -> None:
        """Raises what went wrong, unless an operation merely refused."""
        values: list[tuple[Operation[Any], Any]] = []
        for one in batch:
            if one.withdrawn:
                continue
            try:
                values.append((one, one.run()))
            except PacerError as refusal:
                one.error = refusal
        self._unit.save()
        connection.execute("COMMIT")
        self.commits += 1
        self._unit.committed()
        for one, value in values:
            one.value, one.done, one.error = value, True, None

    def _run_alone(self, connection: sqlite3.Connection, one: Operation[Any]) -> None:
        one.error = None
        try:
            self._begin(connection, one.writes)
            self._run_together(connection, [one])
        except Exception as error:
            self._roll_back(connection)
            self._failed(one, error)

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        self._unit.forget()
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:  # some errors have rolled back already
                connection.execute("ROLLBACK")


def _identity(path: Path) -> tuple[int, int]:
    """What tells the file at this path from another one that takes its place."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


class GroupConnection(sqlite3.Connection):
    """A connection whose `commit` runs what has been staged, on the thread that aiosqlite gives it."""

    def __init__(self, transactions: Transactions, *args: Any, **kwargs: Any) -> None:
        self._transactions = transactions
        # aiosqlite does not wait for its thread when connecting fails, and then the thread may outlive the event
        # loop. So connecting never fails; the error is kept until the connection has been closed in good order.
        try:
            transactions.connecting()
            super().__init__(*args, **kwargs)
            transactions.connect(self)
        except Exception as error:
            transactions.failure = error
            super().__init__(":memory:")

    def commit(self) -> None:
        """Run the staged operations in one transaction and commit it."""
        self._transactions.run(self)


@attrs.define(eq=False)
class SqliteThread:
    """The thread that aiosqlite gives a connection, as `GroupCommit` uses it."""

    transactions: Transactions
    busy_timeout: float
    """Seconds that the connection waits for other processes."""
    _connection: aiosqlite.Connection = attrs.field(init=False)

    @property
    def name(self) -> str:
        """The file."""
        return str(self.transactions.path)

    async def open(self) -> None:
        """Connect."""
        transactions = self.transactions
        factory = functools.partial(GroupConnection, transactions)
        self._connection = await aiosqlite.connect(
            transactions.path, factory=factory, isolation_level=None, timeout=self.busy_timeout
        )
        failure = transactions.failure
        if failure is not None:
            await self._connection.close()
            if isinstance(failure, sqlite3.Error):
                raise store_error(failure, transactions.path, "opening the store") from failure
            raise failure

    async def run(self, batch: Sequence[Operation[Any]]) -> None:
        """All of it in one transaction."""
        if batch:
            self.transactions.batch = batch
        await self._connection.commit()

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()
