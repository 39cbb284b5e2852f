"""Stores with threads or servers behind them, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from typing import Any, ParamSpec, TypeVar

import attrs

from pacer._job import BatchProgress, JobRecord, JobState, Outcome, Retry
from pacer._minutes import Tally
from pacer._overview import Listed, Listing, QueueInfo, Rerun, WorkerSeen
from pacer._rules import Rules
from pacer._snapshot import LOOK_AHEAD, Snapshot
from pacer.protocols import Addition, Beat, Claimed, Codec, Expired, Ledger, Settled, Store
from pacer.testing._virtual import outside

T = TypeVar("T")
P = ParamSpec("P")


@attrs.frozen(eq=False)
class HeldStore:
    """Another store, whose calls hold the virtual clock while they work.

    A store such as `SqliteStore` works on a thread, which a virtual clock does not see: it would jump to the next
    time-out while the disk is busy. Behind this wrapper every call takes no virtual time, and runs are repeatable.
    Give the store a virtual `clock` too: `SqliteStore(path, clock=asyncio.get_running_loop().time)`.

    Args:
        store: The store to wrap.
    """

    store: Store

    @property
    def codec(self) -> Codec:
        """That of the store."""
        return self.store.codec

    async def queues(self) -> Sequence[QueueInfo]:
        """Those of the store."""
        return await _held(self.store.queues)

    @asynccontextmanager
    async def open(
        self, queue: str, rules: Rules, worker: str, *, takeover: bool = False, guest: bool = False
    ) -> AsyncGenerator[Ledger]:
        """Open the store."""
        async with AsyncExitStack() as stack:
            with outside():
                ledger = await stack.enter_async_context(
                    self.store.open(queue, rules, worker, takeover=takeover, guest=guest)
                )
            try:
                yield _HeldLedger(ledger)
            finally:
                with outside():
                    await stack.aclose()


async def _held(call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    with outside():
        return await call(*args, **kwargs)


@attrs.frozen(eq=False)
class _HeldLedger:
    """A ledger, each call of which runs inside `outside()`."""

    _ledger: Ledger

    @property
    def rules(self) -> Rules:
        return self._ledger.rules

    @property
    def heartbeat(self) -> float | None:
        return self._ledger.heartbeat

    @property
    def poll(self) -> float | None:
        return self._ledger.poll

    @property
    def risks(self) -> Sequence[str]:
        return self._ledger.risks

    def watch(self, changed: Callable[[], None], ended: Callable[[str | None], None]) -> None:
        self._ledger.watch(changed, ended)

    def __getattr__(self, name: str) -> Any:
        """What a ledger may leave out."""
        return getattr(self._ledger, name)

    def now(self) -> float:
        return self._ledger.now()

    def utc(self, at: float) -> datetime:
        return self._ledger.utc(at)

    async def add(self, records: Sequence[JobRecord]) -> Addition:
        return await _held(self._ledger.add, records)

    async def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        return await _held(self._ledger.claim, tasks, limit)

    async def beat(self, held: Sequence[JobRecord]) -> Beat:
        return await _held(self._ledger.beat, held)

    async def settle(self, held: JobRecord, outcome: Outcome, retry: Retry | None) -> Settled:
        return await _held(self._ledger.settle, held, outcome, retry)

    async def release(self, held: Sequence[JobRecord], *, begun: bool = True) -> None:
        await _held(self._ledger.release, held, begun=begun)

    async def recover(self, tasks: frozenset[str], slots: int = 1) -> Sequence[JobRecord]:
        return await _held(self._ledger.recover, tasks, slots)

    async def expire(self) -> Expired:
        return await _held(self._ledger.expire)

    async def job(self, job_id: str) -> JobRecord | None:
        return await _held(self._ledger.job, job_id)

    async def position(self, job_id: str) -> int | None:
        return await _held(self._ledger.position, job_id)

    async def snapshot(self, ahead: int = LOOK_AHEAD) -> Snapshot:
        return await _held(self._ledger.snapshot, ahead)

    async def batch(self, batch_id: str) -> BatchProgress | None:
        return await _held(self._ledger.batch, batch_id)

    async def listed(self, listing: Listing) -> Listed:
        return await _held(self._ledger.listed, listing)

    async def tally(self, most: int) -> Mapping[JobState, int]:
        return await _held(self._ledger.tally, most)

    async def history(self, since: int) -> Sequence[Tally]:
        return await _held(self._ledger.history, since)

    async def workers(self) -> Sequence[WorkerSeen]:
        return await _held(self._ledger.workers)

    async def cancel(self, job_id: str) -> JobState | None:
        return await _held(self._ledger.cancel, job_id)

    async def set_paused(self, paused: bool) -> None:
        await _held(self._ledger.set_paused, paused)

    async def end_hold(self) -> bool:
        return await _held(self._ledger.end_hold)

    async def set_rate(self, rate: float | None) -> None:
        await _held(self._ledger.set_rate, rate)

    async def set_numbers(self, numbers: Mapping[str, float | None]) -> None:
        await _held(self._ledger.set_numbers, numbers)

    async def rerun(self, job_ids: Sequence[str]) -> Rerun:
        return await _held(self._ledger.rerun, job_ids)

    async def tick(self, name: str, was: float | None, at: float, records: Sequence[JobRecord]) -> Addition | None:
        return await _held(self._ledger.tick, name, was, at, records)
