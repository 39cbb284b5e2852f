"""Jobs in a SQLite file, shared by any number of processes on one machine."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Final, Literal, get_args

import attrs

from pacer._errors import UnknownQueueError
from pacer._overview import QueueInfo
from pacer._rules import Rules
from pacer._validation import not_negative, one_of, positive, seconds
from pacer._wall import moment
from pacer.codecs import JsonCodec
from pacer.protocols import Codec
from pacer.stores._care import worker_text
from pacer.stores._expiry import Expiry
from pacer.stores._ledger import Desk, StoredLedger, check_asyncio, opened
from pacer.stores._parts import Tenure
from pacer.stores._queue import StoredQueue
from pacer.stores._sqlite_mirror import Mirror, StatusMirror
from pacer.stores._sqlite_opening import find_queue, open_queue, queues_in
from pacer.stores._sqlite_schema import inspect, prepare
from pacer.stores._sqlite_stage import SqliteDoor, SqliteStage
from pacer.stores._sqlite_table import JobTable, WorkerTable
from pacer.stores._sqlite_transactions import SqliteThread, Transactions
from pacer.stores._sqlite_view import QueueView

__all__ = ["SqliteStore", "StatusMirror"]

Durability = Literal["power", "process"]

_SYNCHRONOUS: Final = {"power": "FULL", "process": "NORMAL"}


def _path(value: str | os.PathLike[str]) -> Path:
    text = os.fspath(value)
    if not isinstance(text, str):
        msg = f"SqliteStore: path must be a str or a path object, got {value!r}"
        raise TypeError(msg)
    if text in ("", ":memory:") or text.startswith("file:") or "://" in text:
        msg = f"SqliteStore: path must be the path of a file, got {text!r}. To keep jobs in memory use MemoryStore."
        raise ValueError(msg)
    return Path(text)


@attrs.frozen
class SqliteStore:
    """Keeps jobs in a SQLite file: they survive the process, and several processes may share one queue.

    All schedulers on one file that name the same queue share its capacity, pace, failures in a row and concurrency.
    The file must be on a local disk (WAL mode), and is made if it does not exist. Arguments and results go through
    the codec. A job is on disk when `enqueue` returns. Callers that wait at the same time share one commit.

    Not for several hosts: SQLite's locks do not hold over a network file system.

    Args:
        path: The file. Its directory must exist.
        durability: "power" (default): what is acknowledged survives a power cut. "process": it survives a crash of
            the process; a power cut may lose the last moments. Commits are then faster.
        mirror: A table of the application's own in the same file that is kept up to date.
        codec: How arguments and results are written; JSON by default.
        busy_timeout: Seconds to wait for another process's transaction before giving up, 5 by default.
        lease: Seconds after which a worker that is not heard of is taken to be gone, 30 by default. Each worker calls
            at least every second, so this can be short if the event loop is never blocked for long.
        poll: Seconds after which a worker looks for jobs that other processes have added, 0.25 by default.
        keep_finished_for: Seconds for which finished jobs can still be asked about, a week by default.
        share: Allow a file that holds the tables of another application. pacer's own are named `pacer_...`.
        clock: Seconds since the epoch, callable from any thread; None (default) takes `time.time`. The queue's time
            never goes back, whatever this does.
    """

    path: Path = attrs.field(converter=_path)
    durability: Durability = attrs.field(default="power", validator=one_of(*get_args(Durability)), kw_only=True)
    mirror: StatusMirror | None = attrs.field(default=None, kw_only=True)
    codec: Codec = attrs.field(factory=JsonCodec, kw_only=True)
    busy_timeout: float = attrs.field(default=5.0, converter=seconds, validator=not_negative, kw_only=True)
    lease: float = attrs.field(default=30.0, converter=seconds, validator=positive, kw_only=True)
    poll: float = attrs.field(default=0.25, converter=seconds, validator=positive, kw_only=True)
    keep_finished_for: float = attrs.field(default=7 * 86400.0, converter=seconds, validator=not_negative, kw_only=True)
    share: bool = attrs.field(default=False, kw_only=True)
    clock: Callable[[], float] | None = attrs.field(default=None, kw_only=True)

    async def queues(self) -> Sequence[QueueInfo]:
        """The queues that there are, by name; none if there is no file."""
        check_asyncio("SqliteStore", "aiosqlite")
        return await asyncio.get_running_loop().run_in_executor(None, lambda: queues_in(self.path, self.busy_timeout))

    @asynccontextmanager
    async def open(
        self, queue: str, rules: Rules, worker: str, *, takeover: bool = False, guest: bool = False
    ) -> AsyncGenerator[StoredLedger]:
        """Open one queue for one worker, or for a guest.

        Raises:
            PartsDifferError: Others have it open with other strategies or settings, and `takeover` is False.
            UnknownQueueError: There is none with this name for a guest.
            UnsupportedBackendError: The event loop is not asyncio's.
            StoreError: One of its kinds says why the file cannot be used; then nothing in it has been changed.
        """
        check_asyncio("SqliteStore", "aiosqlite")
        if guest and not self.path.exists():
            raise UnknownQueueError(queue, str(self.path), [])
        opening = _Opening(self, Tenure(queue, rules, guest=guest), worker, takeover)
        transactions = Transactions(self.path, connecting=opening.inspect, connected=opening.set_up)
        async with opened(SqliteThread(transactions, self.busy_timeout), lambda: opening.desk, self) as ledger:
            yield ledger


@attrs.define(eq=False)
class _Opening:
    """What happens on the database's thread when a worker opens a queue."""

    _store: SqliteStore
    _tenure: Tenure
    _worker: str
    _takeover: bool
    desk: Desk = attrs.field(init=False)

    def inspect(self) -> None:
        """Before the file is opened."""
        store = self._store
        inspect(store.path, may_share=store.share, mirror=store.mirror, busy_timeout=store.busy_timeout)

    def set_up(self, connection: sqlite3.Connection) -> Expiry:
        """Make or migrate what is missing."""
        store, cursor = self._store, connection.cursor()
        clock = store.clock or time.time
        mirror = None if store.mirror is None else Mirror(cursor, store.mirror)

        def open_here() -> int:
            if self._tenure.guest:
                return find_queue(cursor, self._tenure, store.path)
            number, now = open_queue(cursor, self._tenure, wall=clock(), takeover=self._takeover)
            # At once, so that no other can open the queue with other settings before this worker has said hello.
            WorkerTable(cursor, number).note(self._worker, now + store.lease, worker_text(frozenset(), 0))
            if mirror is not None:
                mirror.mark_stale()
            return number

        number = prepare(
            connection,
            store.path,
            synchronous=_SYNCHRONOUS[store.durability],
            busy_timeout=store.busy_timeout,
            set_up=open_here,
            migrating=not self._tenure.guest,
        )
        view = QueueView(cursor, number, self._tenure, clock)
        queue = StoredQueue(JobTable(cursor, number, mirror), view, self._worker, store.lease)
        workers, stage = WorkerTable(cursor, number), SqliteStage(cursor, number)
        door = SqliteDoor(store.path.absolute(), self._tenure.queue)
        self.desk = Desk.of(queue, workers, _FileClock(view), stage, door)
        return self.desk.expiry


@attrs.frozen(eq=False)
class _FileClock:
    """The queue's time in a file: the wall clock's, moved on where that went back."""

    _view: QueueView

    def now(self) -> float:
        """Seconds since the epoch as the queue counts them: they never go back."""
        return max(self._view.clock() + self._view.offset, self._view.now)

    def utc(self, at: float) -> datetime:
        """The wall clock's time when the queue's clock showed `at`."""
        return moment(at - self._view.offset)
