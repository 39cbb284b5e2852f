"""Jobs in the memory of this process."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel
import attrs

from pacer._errors import StoreError, UnknownQueueError
from pacer._overview import QueueInfo
from pacer._rules import Rules
from pacer._validation import optional_seconds, positive, whole
from pacer.codecs import InProcessCodec
from pacer.stores._memory_ledger import MemoryLedger
from pacer.stores._memory_queue import QueueData
from pacer.stores._parts import Tenure, begin_anew_where_changed, stored_terms


@attrs.define(eq=False)
class MemoryStore:
    """Keeps jobs in the memory of this process: fast, any argument and result, gone when the process ends.

    The object is the data: a scheduler that is stopped and started again on it finds its jobs and what it learned.
    Several schedulers of one process may share a queue of it if it has a `lease`. They hear of each other
    at once; with its heartbeats a job that another runs is cancelled.

    Not for jobs that must survive the process: use `pacer.stores.sqlite.SqliteStore`.

    Args:
        keep_finished: How many finished jobs can still be asked about, per queue; 10 000 by default.
        lease: Seconds after which a job's worker is taken to be gone unless it is heard of; None (default) never.
        clock: Seconds, monotonic; None (default) takes the event loop's.
    """

    keep_finished: int = attrs.field(default=10_000, validator=whole(0), kw_only=True)
    lease: float | None = attrs.field(
        default=None,
        converter=optional_seconds,
        validator=attrs.validators.optional(positive),
        kw_only=True,
    )
    clock: Callable[[], float] | None = attrs.field(default=None, kw_only=True)
    codec: InProcessCodec = attrs.field(init=False, factory=InProcessCodec)
    _queues: dict[str, QueueData] = attrs.field(init=False, factory=dict, repr=False)

    async def queues(self) -> Sequence[QueueInfo]:
        """The queues that there are, by name."""
        return [QueueInfo(name, stored_terms(data.parts)) for name, data in sorted(self._queues.items())]

    @asynccontextmanager
    async def open(
        self, queue: str, rules: Rules, worker: str, *, takeover: bool = False, guest: bool = False
    ) -> AsyncGenerator[MemoryLedger]:
        """Open one queue for one worker, or for a guest.

        Raises:
            PartsDifferError: Others have it open with other strategies or settings, and `takeover` is False.
            UnknownQueueError: There is none with this name for a guest.
            StoreError: Another one has it open, and without a lease neither would hear of the other.
        """
        tenure = Tenure(queue, rules, guest=guest)
        if guest and queue not in self._queues:
            raise UnknownQueueError(queue, "this MemoryStore", sorted(self._queues))
        data = self._queues.setdefault(queue, QueueData(rules.initial(), tenure.text))
        if data.workers and self.lease is None and not guest:
            msg = (
                f"the queue {queue!r} is open already; schedulers share it if the store has one: MemoryStore(lease=30)"
            )
            raise StoreError(msg)
        clock = self._clock(data)
        alive_until = max((one.until for one in data.workers.values()), default=-math.inf)
        tenure.check(data.parts, alive_until - clock(), takeover=takeover)
        if not guest:
            data.state, data.parts = begin_anew_where_changed(data.state, data.parts, rules), tenure.text
        epoch = self._wall() - clock()
        on_clock = rules.on_clock(epoch)
        ledger = MemoryLedger(data, on_clock, tenure, worker, clock, self._wall, epoch, self.lease, self.keep_finished)
        ledger.hello(frozenset())
        try:
            yield ledger
        finally:
            ledger.goodbye()
            data.left_at, data.left_wall = ledger.now(), self._wall()

    def _wall(self) -> float:
        """The time for people, in Unix time."""
        return time.time()

    def _clock(self, data: QueueData) -> Callable[[], float]:
        """This queue's time: it goes on where it was, even if another event loop counts from another zero."""
        read = self.clock or _loop_clock()
        if not data.workers:
            if self.clock is None and data.left_at is not None and data.loop != anyio.lowlevel.current_token():
                data.shift = data.left_at + max(0.0, self._wall() - data.left_wall) - read()
            data.loop = anyio.lowlevel.current_token()
        shift = data.shift
        return read if shift == 0 else lambda: read() + shift


def _loop_clock() -> Callable[[], float]:
    """The event loop's clock, without asking each time which event loop it is."""
    try:
        return asyncio.get_running_loop().time
    except RuntimeError:
        return anyio.current_time
