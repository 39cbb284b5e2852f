"""Group commit: operations that are waiting at the same time share one transaction, and one wait for the disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, Protocol, TypeVar

import attrs

from pacer._errors import StoreError

T = TypeVar("T")


@attrs.define(eq=False)
class Operation(Generic[T]):
    """One call of a ledger, on its way to the database and back.

    Attributes:
        action: What it does, for error messages.
        run: Does it, inside a transaction. It may be run again after a rollback.
        writes: Whether it changes anything.
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


class Thread(Protocol):
    """The thread on which a database is used."""

    @property
    def name(self) -> str:
        """Of the database, for people."""

    async def open(self) -> None:
        """Connect. Raises StoreError; then there is nothing to close."""

    async def run(self, batch: Sequence[Operation[Any]]) -> None:
        """Do all of these, together if that works out; each of them then has a value or an error.

        Cancelled, it goes on; the next call, with nothing to do, waits for its end.
        """

    async def close(self) -> None:
        """Disconnect."""


@attrs.define(eq=False)
class GroupCommit:
    """The event loop's side: takes operations, hands them over together, and brings back what came of them.

    A task does so for as long as there are any, and then ends: an idle store has no task that could be left behind,
    or be cancelled together with those that need it.
    """

    thread: Thread
    _staged: list[Operation[Any]] = attrs.field(init=False, factory=list)
    _closed: bool = attrs.field(init=False, default=False)
    _flusher: asyncio.Task[None] | None = attrs.field(init=False, default=None)
    _title: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._title = f"pacer: {self.thread.name}"

    async def close(self) -> None:
        """Do what has been asked for, then disconnect."""
        self._closed = True
        while self._flusher is not None:
            await self._flusher
        await self.thread.close()

    async def do(self, operation: Operation[T]) -> T:
        """Have the operation done with others, and return what came of it once it is on disk.

        Cancelled before it has begun, it is not done; later, it is done all the same, or undone if it says how.
        """
        if self._closed:
            msg = f"{self.thread.name}: the store is closed. Use the ledger inside its `async with` block."
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
            self._flusher = loop.create_task(self._flush(), name=self._title)

    def _undo(self, operation: Operation[Any]) -> None:
        if operation.done and operation.undo is not None:
            undo = operation.undo(operation.value)
            if undo is not None:
                self._stage(undo, 0)  # before anybody can see what is to be undone

    async def _flush(self) -> None:
        while self._staged:
            batch, self._staged = self._staged, []
            await self._commit(batch)
            self._deliver(batch)
            # Those that have just been answered may ask again at once, and can then share the next commit.
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        self._flusher = None

    async def _commit(self, batch: Sequence[Operation[Any]]) -> None:
        todo = batch
        while True:
            try:
                await self.thread.run(todo)
                return
            except asyncio.CancelledError:
                # A loop that shuts down cancels all tasks, but those that wait for this one have to be answered.
                todo = ()
            except Exception as error:  # of the driver: operations keep their own errors
                for one in batch:
                    one.error = StoreError(f"{self.thread.name}: {one.action} failed: {error}")
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
