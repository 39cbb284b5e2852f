"""Group commit: operations that are waiting at the same time share one transaction, and one wait for the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiosqlite
import attrs

from pacer._errors import PacerError, StoreError
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


class GroupConnection(sqlite3.Connection):
    """A connection whose `commit` runs what has been staged, on the thread that aiosqlite gives it."""

    def __init__(self, group: Transactions, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._group = group
        try:
            group.connected(self)
        except BaseException:
            self.close()
            raise

    def commit(self) -> None:
        """Run the staged operations in one transaction and commit it."""
        self._group.run()


@attrs.define(eq=False)
class Transactions:
    """Runs operations on the database's thread. `begin`, `save` and `forget` are told of each transaction."""

    path: Path
    prepare: Callable[[sqlite3.Connection], None]
    begin: Callable[[], None] = attrs.field(init=False)
    save: Callable[[], None] = attrs.field(init=False)
    forget: Callable[[], None] = attrs.field(init=False)
    batch: Sequence[Operation[Any]] = attrs.field(init=False, default=())
    commits: int = attrs.field(init=False, default=0)
    _cursor: sqlite3.Cursor = attrs.field(init=False)

    def connected(self, connection: sqlite3.Connection) -> None:
        """The connection is open: prepare it."""
        self._cursor = connection.cursor()
        self.prepare(connection)

    def run(self) -> None:
        """All of the batch in one transaction; if that fails, each of it in one of its own."""
        batch = [one for one in self.batch if not one.withdrawn]
        if not batch:
            return
        try:
            self._cursor.execute("BEGIN IMMEDIATE" if any(one.writes for one in batch) else "BEGIN")
        except sqlite3.Error as error:
            for one in batch:
                one.failed(error, self.path)
            return
        try:
            self._run_together(batch)
        except Exception as error:
            self._roll_back()
            if len(batch) == 1:
                batch[0].failed(error, self.path)
            else:
                for one in batch:
                    self._run_alone(one)

    def _run_together(self, batch: Sequence[Operation[Any]]) -> None:
        """Raises what went wrong, unless an operation merely refused."""
        self.begin()
        values: list[tuple[Operation[Any], Any]] = []
        for one in batch:
            if one.withdrawn:
                continue
            try:
                values.append((one, one.run()))
            except PacerError as refusal:
                one.error = refusal
        self.save()
        self._cursor.execute("COMMIT")
        self.commits += 1
        for one, value in values:
            one.value, one.done, one.error = value, True, None

    def _run_alone(self, one: Operation[Any]) -> None:
        one.error = None
        try:
            self._cursor.execute("BEGIN IMMEDIATE" if one.writes else "BEGIN")
            self._run_together([one])
        except Exception as error:
            self._roll_back()
            one.failed(error, self.path)

    def _roll_back(self) -> None:
        self.forget()
        if self._cursor.connection.in_transaction:  # some errors have rolled back already
            self._cursor.execute("ROLLBACK")


@attrs.define(eq=False)
class GroupCommit:
    """The event loop's side: takes operations, hands them over together, and brings back what came of them."""

    _transactions: Transactions
    _connection: aiosqlite.Connection = attrs.field(init=False)
    _staged: list[Operation[Any]] = attrs.field(init=False, factory=list)
    _woken: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _closing: bool = attrs.field(init=False, default=False)
    _flusher: asyncio.Task[None] = attrs.field(init=False)

    async def open(self, connect: Callable[[], aiosqlite.Connection]) -> None:
        """Connect and begin to work."""
        self._connection = await connect()
        self._flusher = asyncio.create_task(self._flush(), name=f"pacer: {self._transactions.path.name}")

    async def close(self) -> None:
        """Do what has been asked for, then stop."""
        self._closing = True
        self._woken.set()
        try:
            await self._flusher
        finally:
            await self._connection.close()

    async def do(self, operation: Operation[T]) -> T:
        """Have the operation done with others, and return what came of it once it is on disk.

        Cancelled before it has begun, it is not done; later, it is done all the same, or undone if it says how.
        """
        if self._closing:
            msg = f"{self._transactions.path}: the store is closed. Use the ledger inside its `async with` block."
            raise StoreError(msg)
        operation.future = asyncio.get_running_loop().create_future()
        self._stage(operation)
        try:
            return await operation.future
        except asyncio.CancelledError:
            operation.withdrawn = True
            if operation.future.done() and not operation.future.cancelled():
                # Answered and cancelled at once: nobody will read the answer.
                self._undo(operation)
            raise

    def _stage(self, operation: Operation[Any]) -> None:
        self._staged.append(operation)
        self._woken.set()

    def _undo(self, operation: Operation[Any]) -> None:
        if operation.done and operation.undo is not None:
            undo = operation.undo(operation.value)
            if undo is not None:
                undo.future = asyncio.get_running_loop().create_future()
                self._stage(undo)

    async def _flush(self) -> None:
        while self._staged or not self._closing:
            if not self._staged:
                self._woken.clear()
                await self._woken.wait()
                continue
            batch, self._staged = self._staged, []
            self._transactions.batch = batch
            try:
                await self._connection.commit()
            except Exception as error:
                for one in batch:
                    one.failed(error, self._transactions.path)
            self._deliver(batch)
            # Those that have just been answered may ask again at once, and can then share the next commit.
            await asyncio.sleep(0)

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
        raise cancelled
    return task.result()
