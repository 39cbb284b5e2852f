"""A store under test: on the clock of the event loop, with every job that comes in looked at."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import attrs

from pacer._errors import LeaseLostError, StoreUnavailableError
from pacer._job import JobRecord, Outcome, OutcomeKind, Retry
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.protocols import Addition, Beat, Claimed, Codec, Expired, Ledger, Settled, Store, When
from pacer.stores import MemoryStore
from pacer.testing._held import HeldStore
from pacer.testing._virtual import virtual_clock

# What the calendar shows at first: a Monday, at noon.
START = datetime(2024, 1, 1, 12, tzinfo=UTC)
_NOT_NOW = When(math.inf, on_event=True, reason="the test holds the queue")
_SERVERS = ("pacer.stores.postgres", "pacer.stores.redis")


@attrs.define(eq=False)
class Tap:
    """What the stores of one rehearsal are told, and whom they tell.

    Attributes:
        enqueued: Called with each new job, the time, and the delay that it was given.
        paceless: Whether delays of jobs, retries and throttles are left out.
        holding: Whether no job is handed out.
        open: The ledgers that are in use.
    """

    enqueued: Callable[[JobRecord, float, float], None]
    paceless: bool = False
    holding: bool = False
    open: list[TappedLedger] = attrs.field(init=False, factory=list)


@attrs.define(eq=False)
class Calendar:
    """What time it is for people in virtual time: `start`, when that is first asked for."""

    start: datetime = START
    _epoch: float | None = attrs.field(init=False, default=None)

    def now(self, read: Callable[[], float]) -> float:
        """In Unix time, by the virtual clock."""
        if self._epoch is None:
            self._epoch = self.start.timestamp() - read()
        return self._epoch + read()


@attrs.define(eq=False)
class DatedMemoryStore(MemoryStore):
    """In virtual time, one with a calendar of the test's."""

    calendar: Calendar = attrs.field(factory=Calendar, kw_only=True)

    def _wall(self) -> float:
        read = virtual_clock()
        return MemoryStore._wall(self) if read is None else self.calendar.now(read)


@attrs.frozen(eq=False)
class TappedStore:
    """Another store, as a rehearsal uses it."""

    store: Store
    codec: Codec
    tap: Tap
    calendar: Calendar

    async def queues(self) -> Any:
        """Those of the store."""
        return await self.store.queues()

    @asynccontextmanager
    async def open(self, queue: str, rules: Rules, worker: str, **options: Any) -> AsyncGenerator[Ledger]:
        """Open the store, in virtual time if that is what the event loop has."""
        async with _on_this_clock(self.store, self.calendar).open(queue, rules, worker, **options) as inner:
            ledger = TappedLedger(inner, self.tap)
            self.tap.open.append(ledger)
            try:
                yield cast("Ledger", ledger)
            finally:
                self.tap.open.remove(ledger)


def _on_this_clock(store: Store, calendar: Calendar) -> Store:
    read = virtual_clock()
    if read is None or isinstance(store, MemoryStore | HeldStore):
        return store
    if type(store).__module__ in _SERVERS:
        msg = (
            f"{type(store).__name__} takes the time from its server, which no test can move. Rehearse on a store of "
            "the test's own (leave out store=), or test in real time, with fast() if the pace does not matter."
        )
        raise TypeError(msg)
    if getattr(store, "clock", ...) is None:
        store = attrs.evolve(cast("Any", store), clock=lambda: calendar.now(read))
    return HeldStore(store)


@attrs.define(eq=False)
class TappedLedger:
    """A ledger that can be held, made to forget the pace, and killed. What it does not know, the other one does."""

    _inner: Any
    _tap: Tap
    _dead: bool = attrs.field(init=False, default=False)
    _held: dict[str, JobRecord] = attrs.field(init=False, factory=dict)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def kill(self) -> None:
        """From now on it is as if the process were gone: nothing is written any more."""
        self._dead = True
        for record in self._held.values():
            record.lease_until = -math.inf  # in memory that is the store's own record, and there may be no lease

    # -- coming in ---------------------------------------------------------------------------------------------------

    async def add(self, records: Sequence[JobRecord]) -> Addition:
        """As the store does, and the new jobs are noted."""
        if self._dead:
            msg = "the process was killed by Rehearsal.crash(); leave its block and start the scheduler again"
            raise StoreUnavailableError(msg)
        delays = self._without_delays(records)
        addition: Addition = await self._inner.add(records)
        return self._noted(addition, delays)

    async def tick(self, name: str, was: float | None, at: float, records: Sequence[JobRecord]) -> Addition | None:
        """Likewise."""
        if self._dead:
            return None
        delays = self._without_delays(records)
        addition: Addition | None = await self._inner.tick(name, was, at, records)
        return None if addition is None else self._noted(addition, delays)

    @property
    def stage(self) -> Any:
        """As the store's; None where it has none."""
        stage = getattr(self._inner, "stage", None)
        if stage is None:
            return None

        async def staged(connection: Any, records: Sequence[JobRecord]) -> Any:
            self._without_delays(records)
            return await stage(connection, records)

        return staged

    def arrived(self) -> Sequence[Addition]:
        """The jobs of other people's transactions, which are noted too."""
        arrived = getattr(self._inner, "arrived", None)
        return [self._noted(addition, {}) for addition in (() if arrived is None else arrived())]

    def _without_delays(self, records: Sequence[JobRecord]) -> dict[str, float]:
        delays = {record.id: record.delay for record in records}
        if self._tap.paceless:
            for record in records:
                record.delay = 0.0
        return delays

    def _noted(self, addition: Addition, delays: dict[str, float]) -> Addition:
        for added in addition.jobs:
            if added.created:
                record = added.record
                self._tap.enqueued(record, addition.snapshot.now, delays.get(record.id, record.delay))
        return addition

    # -- being worked off --------------------------------------------------------------------------------------------

    async def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        """Jobs that may start; none while the test holds the queue."""
        if self._dead or self._tap.holding:
            return Claimed([], _NOT_NOW, self._inner.now())
        claimed: Claimed = await self._inner.claim(tasks, limit)
        self._held.update((record.id, record) for record in claimed.jobs)
        return claimed

    async def beat(self, held: Sequence[JobRecord]) -> Beat:
        """The heartbeat of the living."""
        return Beat(frozenset(), frozenset()) if self._dead else cast("Beat", await self._inner.beat(held))

    async def settle(self, held: JobRecord, outcome: Outcome, retry: Retry | None) -> Settled:
        """The end of a run. Raises LeaseLostError after a crash."""
        if self._dead:
            raise LeaseLostError(held.id)
        self._held.pop(held.id, None)
        if self._tap.paceless:
            retry = None if retry is None else attrs.evolve(retry, backoff=NoBackoff())
            if outcome.kind is OutcomeKind.THROTTLED:
                outcome = attrs.evolve(outcome, retry_after=0.0)
        return cast("Settled", await self._inner.settle(held, outcome, retry))

    async def release(self, held: Sequence[JobRecord], *, begun: bool = True) -> None:
        """Unfinished jobs come back; after a crash they do not."""
        if not self._dead:
            for record in held:
                self._held.pop(record.id, None)
            await self._inner.release(held, begun=begun)

    async def recover(self, tasks: frozenset[str], slots: int = 1) -> Sequence[JobRecord]:
        """What others have left behind."""
        return () if self._dead else cast("Sequence[JobRecord]", await self._inner.recover(tasks, slots))

    async def expire(self) -> Any:
        """Jobs whose time is over."""
        return Expired((), None) if self._dead else await self._inner.expire()
