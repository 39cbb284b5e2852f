"""Jobs in a SQLite file, shared by any number of processes on one machine."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, get_args

import attrs

from pacer._errors import StoreError, UnsupportedBackendError
from pacer._job import BatchProgress, JobRecord, JobState, Outcome, Retry
from pacer._rules import Rules
from pacer._snapshot import LOOK_AHEAD, Snapshot
from pacer._validation import not_negative, one_of, positive, seconds
from pacer.codecs import JsonCodec
from pacer.protocols import Addition, Beat, Claimed, Codec, Expired, Settled
from pacer.stores._sqlite_care import Care, Roster
from pacer.stores._sqlite_expiry import Expiry
from pacer.stores._sqlite_group import GroupCommit, Operation, Transactions, uninterrupted
from pacer.stores._sqlite_mirror import Mirror, StatusMirror
from pacer.stores._sqlite_queue import Ending, SqlQueue
from pacer.stores._sqlite_schema import inspect, prepare
from pacer.stores._sqlite_table import JobTable
from pacer.stores._sqlite_view import QueueView, open_queue

__all__ = ["SqliteStore", "StatusMirror"]

Durability = Literal["power", "process"]

_SYNCHRONOUS: Final = {"power": "FULL", "process": "NORMAL"}
_LONGEST_HEARTBEAT: Final = 1.0
# Leases are extended when less than this share of them is left; each extension costs a commit.
_EXTEND_BELOW: Final = 2 / 3
_PRUNE_EVERY: Final = 60.0


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

    @asynccontextmanager
    async def open(self, queue: str, rules: Rules, worker: str) -> AsyncGenerator[SqliteLedger]:
        """Open one queue for one worker.

        Raises:
            UnsupportedBackendError: The event loop is not asyncio's.
            StoreError: One of its kinds says why the file cannot be used; then nothing in it has been changed.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            msg = "SqliteStore runs on asyncio only (its driver, aiosqlite, does). On trio use MemoryStore."
            raise UnsupportedBackendError(msg) from None
        ledger = SqliteLedger(self, queue, rules, worker)
        try:
            await uninterrupted(ledger.open())
            yield ledger
        finally:
            await uninterrupted(ledger.close())


@attrs.define(eq=False)
class SqliteLedger:
    """`SqliteStore` as one worker on one queue sees it."""

    _store: SqliteStore
    _name: str
    _rules: Rules
    _worker: str
    _group: GroupCommit | None = attrs.field(init=False, default=None)
    _queue: SqlQueue = attrs.field(init=False)
    _care: Care = attrs.field(init=False)
    _expiry: Expiry = attrs.field(init=False)
    _clock: Callable[[], float] = attrs.field(init=False)
    _alive_until: float = attrs.field(init=False, default=0.0)
    _tasks: frozenset[str] = attrs.field(init=False, default=frozenset())
    _reported: dict[str, tuple[float | None, str]] = attrs.field(init=False, factory=dict)
    _prune_at: float = attrs.field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        self._clock = self._store.clock or time.time

    # -- life --------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Check the file, connect, and say hello."""
        store = self._store
        transactions = Transactions(
            store.path,
            connecting=functools.partial(
                inspect,
                store.path,
                may_share=store.share,
                mirror=store.mirror,
                busy_timeout=store.busy_timeout,
            ),
            connected=self._connected,
        )
        group = GroupCommit(transactions)
        await group.open(store.busy_timeout)
        self._group = group
        self._alive_until = await self._do("hello", lambda: self._care.hello(frozenset()))

    def _connected(self, connection: sqlite3.Connection) -> Expiry:
        """Set everything up, on the database's thread."""
        store, rules, cursor = self._store, self._rules, connection.cursor()
        mirror = None if store.mirror is None else Mirror(cursor, store.mirror)

        def set_up() -> int:
            number = open_queue(cursor, self._name, rules)
            if mirror is not None:
                mirror.mark_stale()
            return number

        number = prepare(
            connection,
            store.path,
            synchronous=_SYNCHRONOUS[store.durability],
            busy_timeout=store.busy_timeout,
            set_up=set_up,
        )
        view = QueueView(cursor, number, rules, self._clock)
        self._queue = SqlQueue(JobTable(cursor, number, mirror), view, self._worker, store.lease)
        self._care = Care(cursor, self._queue)
        self._expiry = Expiry(self._queue)
        return self._expiry

    async def close(self) -> None:
        """Say goodbye and close. If that fails, the others notice when the lease has run out."""
        if self._group is None:
            return
        try:
            with contextlib.suppress(StoreError):
                await self._do("goodbye", lambda: self._care.goodbye(self._worker))
        finally:
            await self._group.close()

    async def _do(self, action: str, run: Callable[[], Any], *, writes: bool = True, undo: Any = None) -> Any:
        assert self._group is not None  # noqa: S101 - open() has run
        return await self._group.do(Operation(action, run, writes, undo))

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def heartbeat(self) -> float:
        """A third of the lease, at most a second: cancellations from other processes arrive with it."""
        return min(self._store.lease / 3, _LONGEST_HEARTBEAT)

    @property
    def poll(self) -> float:
        """As the store was told."""
        return self._store.poll

    def now(self) -> float:
        """Seconds since the epoch as the queue counts them: they never go back."""
        view = self._queue.view
        return max(self._clock() + view.offset, view.now)

    def utc(self, at: float) -> datetime:
        """The wall clock's time when the queue's clock showed `at`."""
        return datetime.fromtimestamp(at - self._queue.view.offset, UTC)

    # -- in the order in which a job meets them ----------------------------------------------------------------------

    async def add(self, records: Sequence[JobRecord]) -> Addition:
        """Admit all, or none; on disk when it returns."""
        addition: Addition = await self._do("add", lambda: self._queue.add(records))
        return addition

    async def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        """Take jobs. If the caller is cancelled when that is done already, they are given back."""
        claimed: Claimed = await self._do("claim", lambda: self._queue.claim(tasks, limit), undo=self._give_back)
        return claimed

    def _give_back(self, claimed: Claimed) -> Operation[Any] | None:
        if not claimed.jobs:
            return None
        return Operation("release", lambda: self._queue.release(claimed.jobs))

    async def beat(self, held: Sequence[JobRecord]) -> Beat:
        """Extend leases that have become short, write progress, read what is to be cancelled."""
        now = self.now()
        soon = now + self._store.lease * _EXTEND_BELOW
        progress = {record.id: (record.progress, record.message) for record in held}
        changed = progress != {record.id: self._reported.get(record.id, (None, "")) for record in held}
        extend = changed or self._alive_until < soon or any(record.lease_until < soon for record in held)
        prune = now >= self._prune_at
        beat, self._alive_until = await self._do("beat", lambda: self._beat(held, extend), writes=extend)
        self._reported = progress
        if prune:
            more = await self._do("prune", self._prune)
            self._prune_at = now if more else now + _PRUNE_EVERY
        found: Beat = beat
        return found

    def _beat(self, held: Sequence[JobRecord], extend: bool) -> tuple[Beat, float]:
        until = self._care.hello(self._tasks) if extend else self._alive_until
        return self._queue.beat(held, extend), until

    def _prune(self) -> bool:
        return self._care.prune(self._queue.view.now - self._store.keep_finished_for)

    async def settle(self, held: JobRecord, outcome: Outcome, retry: Retry | None) -> Settled:
        """Write down how a run ended."""
        result: tuple[Ending, Settled] = await self._do("settle", lambda: self._queue.settle(held, outcome, retry))
        ending, settled = result
        ending.apply(held)
        return settled

    async def release(self, held: Sequence[JobRecord]) -> None:
        """Back to where they stood."""
        for record, ending in await self._do("release", lambda: self._queue.release(held)):
            ending.apply(record)

    async def recover(self, tasks: frozenset[str]) -> Sequence[JobRecord]:
        """Take over from workers that are gone."""
        hello = tasks != self._tasks or self._alive_until < self.now() + self._store.lease * _EXTEND_BELOW
        changed: Sequence[JobRecord]
        (changed, roster), self._alive_until = await self._do("recover", lambda: self._recover(tasks, hello))
        self._tasks, self._care.looked_at = tasks, roster
        return changed

    def _recover(self, tasks: frozenset[str], hello: bool) -> tuple[tuple[Sequence[JobRecord], Roster], float]:
        until = self._care.hello(tasks) if hello else self._alive_until
        return self._care.recover(), until

    async def expire(self) -> Expired:
        """The jobs that this worker has found to have expired, now or before: every transaction takes them out."""
        jobs, at = await self._do("expire", self._expiry.tell, writes=False)
        return Expired(jobs, at)

    # -- what people ask and say -------------------------------------------------------------------------------------

    async def job(self, job_id: str) -> JobRecord | None:
        """The job as it is now."""
        record: JobRecord | None = await self._do("job", lambda: self._queue.job(job_id), writes=False)
        return record

    async def position(self, job_id: str) -> int | None:
        """Its place among the waiting jobs."""
        position: int | None = await self._do("position", lambda: self._queue.position(job_id), writes=False)
        return position

    async def snapshot(self, ahead: int = LOOK_AHEAD) -> Snapshot:
        """The queue as it is now; each job that is named has to be read."""
        snapshot: Snapshot = await self._do("snapshot", lambda: self._queue.snapshot(ahead), writes=False)
        return snapshot

    async def batch(self, batch_id: str) -> BatchProgress | None:
        """Counts by state."""
        batch: BatchProgress | None = await self._do("batch", lambda: self._queue.batch(batch_id), writes=False)
        return batch

    async def cancel(self, job_id: str) -> JobState | None:
        """Cancel now if it waits, ask if it runs."""
        found: JobState | None = await self._do("cancel", lambda: self._queue.cancel(job_id))
        return found

    async def set_paused(self, paused: bool) -> None:
        """Effective for all workers at once."""
        await self._do("pause", lambda: self._queue.set_paused(paused))

    async def set_rate(self, rate: float | None) -> None:
        """Effective for all workers at once."""
        await self._do("set the rate", lambda: self._queue.set_rate(rate))
