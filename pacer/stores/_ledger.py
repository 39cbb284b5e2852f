"""An open queue in a database, for the event loop: each call becomes an operation on the database's thread."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, Protocol

import attrs

from pacer._errors import StoreError, StoreUnavailableError, UnsupportedBackendError
from pacer._job import BatchProgress, JobRecord, JobState, Outcome, Retry
from pacer._minutes import Tally
from pacer._overview import Listed, Listing, Rerun, WorkerSeen
from pacer._rules import Rules
from pacer._snapshot import LOOK_AHEAD, Snapshot
from pacer.protocols import Addition, Beat, Claimed, Expired, Settled, When
from pacer.stores._care import Care, Roster
from pacer.stores._expiry import Expiry
from pacer.stores._group import GroupCommit, Operation, Thread, uninterrupted
from pacer.stores._oversight import Oversight
from pacer.stores._queue import Ending, StoredQueue
from pacer.stores._seams import Workers
from pacer.stores._stage import Door, Stage, Staging

_LONGEST_HEARTBEAT: Final = 1.0
# Leases are extended when less than this share of them is left; each extension costs a commit.
_EXTEND_BELOW: Final = 2 / 3
# A database that was away for more than this share of a lease is given as long before anybody is taken to be gone.
_PATIENCE: Final = 1 / 3
_PRUNE_EVERY: Final = 60.0


class Terms(Protocol):
    """What a store says of its ledgers; the store's own settings."""

    @property
    def lease(self) -> float:
        """Seconds after which a worker that is not heard of is taken to be gone."""

    @property
    def poll(self) -> float:
        """Seconds after which others may have changed the queue unseen."""

    @property
    def keep_finished_for(self) -> float:
        """Seconds for which finished jobs can be asked about."""


class QueueClock(Protocol):
    """The queue's time, which can be asked for on the event loop."""

    def now(self) -> float:
        """It never goes back."""

    def utc(self, at: float) -> datetime:
        """A time of the queue, for people."""


@attrs.define(eq=False)
class Desk:
    """What works on one queue on the database's thread, and its clock."""

    queue: StoredQueue
    care: Care
    expiry: Expiry
    clock: QueueClock
    oversight: Oversight
    door: Door | None = None
    """Where jobs are enqueued in transactions of others; None if the database has no such transactions."""
    risks: Sequence[str] = attrs.field(init=False, default=())

    @classmethod
    def of(
        cls,
        queue: StoredQueue,
        workers: Workers,
        clock: QueueClock,
        stage: Stage | None = None,
        door: Door | None = None,
    ) -> Desk:
        """With all that belongs to a queue."""
        return cls(queue, Care(workers, queue), Expiry(queue, stage), clock, Oversight(queue, workers), door)


def check_asyncio(store: str, driver: str) -> None:
    """Raises UnsupportedBackendError if the event loop is not asyncio's."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        msg = f"{store} runs on asyncio only (its driver, {driver}, does). On trio use MemoryStore."
        raise UnsupportedBackendError(msg) from None


@asynccontextmanager
async def opened(thread: Thread, desk: Callable[[], Desk], terms: Terms) -> AsyncGenerator[StoredLedger]:
    """A ledger on this thread, which connects, says hello, and leaves in good order.

    `desk` is asked for once the thread has connected.
    """
    ledger: StoredLedger | None = None

    async def enter() -> None:
        nonlocal ledger
        await thread.open()
        ledger = StoredLedger(desk(), GroupCommit(thread), terms)
        await ledger.hello()

    async def leave() -> None:
        if ledger is not None:
            await ledger.goodbye()

    try:
        await uninterrupted(enter())
        assert ledger is not None  # noqa: S101 - it has just been made
        yield ledger
    finally:
        await uninterrupted(leave())


@attrs.define(eq=False)
class StoredLedger:
    """A queue in a database as one worker sees it."""

    _desk: Desk
    _group: GroupCommit
    _terms: Terms
    _queue: StoredQueue = attrs.field(init=False)
    _care: Care = attrs.field(init=False)
    _expiry: Expiry = attrs.field(init=False)
    _alive_until: float = attrs.field(init=False, default=0.0)
    _tasks: frozenset[str] = attrs.field(init=False, default=frozenset())
    _slots: int = attrs.field(init=False, default=0)
    _reported: dict[str, tuple[float | None, str]] = attrs.field(init=False, factory=dict)
    _prune_at: float = attrs.field(init=False, default=0.0)
    _away_since: float | None = attrs.field(init=False, default=None)
    """When the database could not be used; None if it has not failed since others were last looked after."""
    changed: Callable[[], None] = attrs.field(init=False, default=lambda: None)
    """Called when others have changed what may start; by those who hear of it."""
    ended: Callable[[str | None], None] = attrs.field(init=False, default=lambda _: None)
    """Called when the job with this id has ended elsewhere; None for any."""
    next: When | None = attrs.field(init=False, default=None)
    """When the next job may start, as the last claim has found."""

    def __attrs_post_init__(self) -> None:
        desk = self._desk
        self._queue, self._care, self._expiry = desk.queue, desk.care, desk.expiry

    @property
    def rules(self) -> Rules:
        """On the queue's clock, with the numbers that a person has set, as this worker knows them."""
        return self._queue.rules

    @property
    def worker(self) -> str:
        """Whose ledger it is."""
        return self._queue.worker

    # -- life --------------------------------------------------------------------------------------------------------

    async def hello(self) -> None:
        """Tell the others that this worker is there."""
        self._alive_until = await self._do("hello", lambda: self._care.hello(frozenset(), 0))

    async def goodbye(self) -> None:
        """Tell them that it leaves, and disconnect. If that fails, they notice when the lease has run out."""
        try:
            with contextlib.suppress(StoreError):
                await self._do("goodbye", lambda: self._care.goodbye(self._queue.worker))
        finally:
            await self._group.close()

    async def _do(self, action: str, run: Callable[[], Any], *, writes: bool = True, undo: Any = None) -> Any:
        try:
            return await self._group.do(Operation(action, run, writes, undo))
        except StoreUnavailableError:
            if self._away_since is None:
                self._away_since = self.now()
            raise
        finally:
            if self._expiry.arrived:
                self.changed()

    # -- time --------------------------------------------------------------------------------------------------------

    @property
    def heartbeat(self) -> float:
        """A third of the lease, at most a second: cancellations from other processes arrive with it."""
        return min(self._terms.lease / 3, _LONGEST_HEARTBEAT)

    @property
    def poll(self) -> float:
        """As the store was told."""
        return self._terms.poll

    @property
    def risks(self) -> Sequence[str]:
        """What may be lost with the database as it is set up."""
        return self._desk.risks

    def watch(self, changed: Callable[[], None], ended: Callable[[str | None], None]) -> None:
        """`changed` and `ended` of this ledger do so from now on."""
        self.changed, self.ended = changed, ended

    def now(self) -> float:
        """The queue's time."""
        return self._desk.clock.now()

    def utc(self, at: float) -> datetime:
        """A time of the queue, for people."""
        return self._desk.clock.utc(at)

    # -- in the order in which a job meets them ----------------------------------------------------------------------

    async def add(self, records: Sequence[JobRecord]) -> Addition:
        """Admit all, or none; on disk when it returns."""
        addition: Addition = await self._do("add", lambda: self._queue.add(records))
        return addition

    @property
    def stage(self) -> Callable[[Any, Sequence[JobRecord]], Awaitable[Addition]] | None:
        """Enqueues jobs in the transaction of somebody's connection; None if the database cannot."""
        door = self._desk.door
        return None if door is None else Staging(self._queue.view, self.now, door).stage

    def arrived(self) -> Sequence[Addition]:
        """What this worker has taken in of the jobs that were enqueued in transactions of others, told once."""
        arrived = self._expiry.arrived
        return [arrived.popleft() for _ in range(len(arrived))]

    async def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        """Take jobs. If the caller is cancelled when that is done already, they are given back."""
        self.next = None
        claimed: Claimed = await self._do("claim", lambda: self._queue.claim(tasks, limit), undo=self._give_back)
        self.next = claimed.next
        return claimed

    def _give_back(self, claimed: Claimed) -> Operation[Any] | None:
        if not claimed.jobs:
            return None
        return Operation("release", lambda: self._queue.release(claimed.jobs, begun=False))

    async def beat(self, held: Sequence[JobRecord]) -> Beat:
        """Extend leases that have become short, write progress, read what is to be cancelled."""
        now = self.now()
        soon = now + self._terms.lease * _EXTEND_BELOW
        progress = {record.id: (record.progress, record.message) for record in held}
        changed = progress != {record.id: self._reported.get(record.id, (None, "")) for record in held}
        extend = changed or self._alive_until < soon or any(record.lease_until < soon for record in held)
        prune = now >= self._prune_at
        beat, self._alive_until = await self._do("beat", lambda: self._beat(held, extend), writes=extend)
        self._reported = progress
        if extend:
            for record in held:
                record.lease_until = self._alive_until
        if prune:
            more = await self._do("prune", self._prune)
            self._prune_at = now if more else now + _PRUNE_EVERY
        found: Beat = beat
        return found

    def _beat(self, held: Sequence[JobRecord], extend: bool) -> tuple[Beat, float]:
        until = self._care.hello(self._tasks, self._slots) if extend else self._alive_until
        return self._queue.beat(held, extend), until

    def _prune(self) -> bool:
        return self._care.prune(self._queue.view.now - self._terms.keep_finished_for)

    async def settle(self, held: JobRecord, outcome: Outcome, retry: Retry | None) -> Settled:
        """Write down how a run ended."""
        result: tuple[Ending, Settled] = await self._do("settle", lambda: self._queue.settle(held, outcome, retry))
        ending, settled = result
        ending.apply(held)
        return settled

    async def release(self, held: Sequence[JobRecord], *, begun: bool = True) -> None:
        """Back to where they stood."""
        for record, ending in await self._do("release", lambda: self._queue.release(held, begun=begun)):
            ending.apply(record)

    async def recover(self, tasks: frozenset[str], slots: int = 1) -> Sequence[JobRecord]:
        """Take over from workers that are gone."""
        patience = self._terms.lease * _PATIENCE
        if self._away_since is not None and self.now() - self._away_since > patience:
            # A database that was away was so for the others too: they get time to extend leases that are over by now.
            self._care.patient_until = self.now() + patience
        changed: Sequence[JobRecord]
        (changed, roster), self._alive_until = await self._do("recover", lambda: self._recover(tasks, slots))
        self._tasks, self._slots, self._care.looked_at, self._away_since = tasks, slots, roster, None
        return changed

    def _recover(self, tasks: frozenset[str], slots: int) -> tuple[tuple[Sequence[JobRecord], Roster | None], float]:
        # Asked here and not before: if the database made this wait, the worker's own lease may be over by now.
        soon = self._queue.view.now + self._terms.lease * _EXTEND_BELOW
        hello = (tasks, slots) != (self._tasks, self._slots) or self._alive_until < soon
        until = self._care.hello(tasks, slots) if hello else self._alive_until
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

    async def listed(self, listing: Listing) -> Listed:
        """Some of the jobs in one state."""
        listed: Listed = await self._do("list jobs", lambda: self._desk.oversight.listed(listing), writes=False)
        return listed

    async def tally(self, most: int) -> Mapping[JobState, int]:
        """How many jobs that have ended are kept in each state."""
        tally: Mapping[JobState, int] = await self._do(
            "count jobs", lambda: self._desk.oversight.tally(most), writes=False
        )
        return tally

    async def history(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on."""
        history: Sequence[Tally] = await self._do("history", lambda: self._desk.oversight.history(since), writes=False)
        return history

    async def workers(self) -> Sequence[WorkerSeen]:
        """Those who have the queue open."""
        workers: Sequence[WorkerSeen] = await self._do("workers", self._desk.oversight.workers, writes=False)
        return workers

    async def cancel(self, job_id: str) -> JobState | None:
        """Cancel now if it waits, ask if it runs."""
        found: JobState | None = await self._do("cancel", lambda: self._queue.cancel(job_id))
        return found

    async def set_paused(self, paused: bool) -> None:
        """Effective for all workers at once."""
        await self._do("pause", lambda: self._desk.oversight.set_paused(paused))

    async def end_hold(self) -> bool:
        """Effective for all workers at once."""
        ended: bool = await self._do("end a hold", self._desk.oversight.end_hold)
        return ended

    async def set_rate(self, rate: float | None) -> None:
        """Effective for all workers at once."""
        await self._do("set the rate", lambda: self._desk.oversight.set_rate(rate))

    async def set_numbers(self, numbers: Mapping[str, float | None]) -> None:
        """Effective for all workers at once."""
        await self._do("set numbers", lambda: self._desk.oversight.set_numbers(numbers))

    async def rerun(self, job_ids: Sequence[str]) -> Rerun:
        """Back into the queue, as long as there is room."""
        rerun: Rerun = await self._do("rerun", lambda: self._desk.oversight.rerun(job_ids))
        return rerun

    async def tick(self, name: str, was: float | None, at: float, records: Sequence[JobRecord]) -> Addition | None:
        """Add them for this time, unless that has been done."""
        addition: Addition | None = await self._do("tick", lambda: self._desk.oversight.tick(name, was, at, records))
        return addition
