"""Group commit: operations that are waiting at the same time share one transaction, and one wait for the disk."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import aiosqlite
import attrs

from pacer._errors import PacerError, StoreError, StoreUnavailableError
from pacer.stores._sqlite_errors import store_error

T = TypeVar("T")


@attrs.define(eq=False)
class Operation(Generic[T]):
    """One call of a ledger, on its way to the file and back.

    Attributes:
        action: What it does, for error messages.
        run: Does it, inside a transaction. It may be run again after a rollback.
        writes: Whether it needs the write lock.
        undo: What has to be done if its caller is cancelled when it has already been committed; None: let it stand.
    """

    action: str
    run: Callable[[], T]
    writes: bool = True
    undo: Callable[[T], Operation[Any] | None] | None = None
    future: asyncio.Future[T] = attrs.field(init=False)
    withdrawn: bool = attrs.field(init=False, default=False)
    done: bool = attrs.field(init=False, default=False)
    value: T = attrs.field(init=False)
    error: BaseException | None = attrs.field(init=False, default=None)

    def failed(self, error: BaseException, path: Path) -> None:
        """Keep the error for the caller."""
        self.error = store_error(error, path, self.action) if isinstance(error, sqlite3.Error) else error


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
                one.failed(error, self.path)
            return
        try:
            self._run_together(connection, batch)
        except Exception as error:
            self._roll_back(connection)
            if len(batch) == 1:
                batch[0].failed(error, self.path)
            else:
                for one in batch:
                    self._run_alone(connection, one)

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
            one.failed(error, self.path)

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
class GroupCommit:
    """The event loop's side: takes operations, hands them over together, and brings back what came of them.

    A task does so for as long as there are any, and then ends: an idle store has no task that could be left behind,
    or be cancelled together with those that need it.
    """

    transactions: Transactions
    _connection: aiosqlite.Connection = attrs.field(init=False)
    _staged: list[Operation[Any]] = attrs.field(init=False, factory=list)
    _closed: bool = attrs.field(init=False, default=False)
    _flusher: asyncio.Task[None] | None = attrs.field(init=False, default=None)

    async def open(self, timeout: float) -> None:
        """Connect; the connection waits for so many seconds for other processes."""
        transactions = self.transactions
        factory = functools.partial(GroupConnection, transactions)
        self._connection = await aiosqlite.connect(
            transactions.path, factory=factory, isolation_level=None, timeout=timeout
        )
        failure = transactions.failure
        if failure is not None:
            await self._connection.close()
            if isinstance(failure, sqlite3.Error):
                raise store_error(failure, transactions.path, "opening the store") from failure
            raise failure

    async def close(self) -> None:
        """Do what has been asked for, then disconnect."""
        self._closed = True
        while self._flusher is not None:
            await self._flusher
        await self._connection.close()

    async def do(self, operation: Operation[T]) -> T:
        """Have the operation done with others, and return what came of it once it is on disk.

        Cancelled before it has begun, it is not done; later, it is done all the same, or undone if it says how.
        """
        if self._closed:
            msg = f"{self.transactions.path}: the store is closed. Use the ledger inside its `async with` block."
            raise StoreError(msg)
        self._stage(operation, len(self._staged))
        try:
            return await operation.future
        except asyncio.CancelledError:
            operation.withdrawn = True
            if operation.future.done() and not operation.future.cancelled():
                # Answered and cancelled at once: nobody will read the answer.
                self._undo(operation)
            raise

    def _stage(self, operation: Operation[Any], place: int) -> None:
        loop = asyncio.get_running_loop()
        operation.future = loop.create_future()
        self._staged.insert(place, operation)
        if self._flusher is None:
            self._flusher = loop.create_task(self._flush(), name=f"pacer: {self.transactions.path.name}")

    def _undo(self, operation: Operation[Any]) -> None:
        if operation.done and operation.undo is not None:
            undo = operation.undo(operation.value)
            if undo is not None:
                self._stage(undo, 0)  # before anybody can see what is to be undone

    async def _flush(self) -> None:
        while self._staged:
            batch, self._staged = self._staged, []
            self.transactions.batch = batch
            await self._commit(batch)
            self._deliver(batch)
            # Those that have just been answered may ask again at once, and can then share the next commit.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        self._flusher = None

    async def _commit(self, batch: Sequence[Operation[Any]]) -> None:
        while True:
            try:
                # A second call does nothing but wait for the first to end.
                await self._connection.commit()
                return
            except asyncio.CancelledError:
                # A loop that shuts down cancels all tasks, but those that wait for this one have to be answered.
                continue
            except Exception as error:  # of the driver: operations keep their own errors
                for one in batch:
                    one.error = StoreError(f"{self.transactions.path}: {one.action} failed: {error}")
                return

    def _deliver(self, batch: Sequence[Operation[Any]]) -> None:
        for one in batch:
            if one.withdrawn:
                self._undo(one)
            if one.future.done():
                continue
            if one.done:
                one.future.set_result(one.value)
            else:
                one.future.set_exception(one.error or StoreError(f"{one.action} was not done"))


async def uninterrupted(work: Coroutine[Any, Any, T]) -> T:
    """Wait for it to end whatever happens, then let a cancellation that came meanwhile take effect."""
    task, cancelled = asyncio.ensure_future(work), None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            break
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # seen; the cancellation goes first
        raise cancelled
    return task.result()
