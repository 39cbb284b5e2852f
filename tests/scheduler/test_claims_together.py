"""Slots of one worker share the ways to a database: what they claim, and what they write."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from outages import on_disk

from pacer import Scheduler, call
from pacer.protocols import Claimed, Codec, QueueInfo, Store

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only]


@attrs.frozen
class Counting:
    """A store that notes how many jobs each claim brought."""

    store: Store
    sizes: list[int] = attrs.field(factory=list)

    @property
    def codec(self) -> Codec:
        return self.store.codec

    async def queues(self) -> Sequence[QueueInfo]:
        return await self.store.queues()

    @contextlib.asynccontextmanager
    async def open(
        self, queue: str, rules: Any, worker: str, *, takeover: bool = False, guest: bool = False
    ) -> AsyncGenerator[Any]:
        async with self.store.open(queue, rules, worker, takeover=takeover, guest=guest) as ledger:
            yield CountingLedger(ledger, self.sizes)


@attrs.frozen
class CountingLedger:
    ledger: Any
    sizes: list[int]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    async def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        claimed: Claimed = await self.ledger.claim(tasks, limit)
        self.sizes.append(len(claimed.jobs))
        return claimed


async def test_slots_whose_jobs_end_at_the_same_time_are_served_by_one_claim(tmp_path: Path) -> None:
    store = Counting(on_disk(tmp_path))
    async with Scheduler(store=store, concurrency=5) as scheduler:

        @scheduler.task(name="work")
        async def work() -> None:
            pass

        await scheduler.pause()
        await scheduler.enqueue_many([call(work) for _ in range(20)])
        await scheduler.resume()
        await scheduler.drain()
    assert [size for size in store.sizes if size] == [5, 5, 5, 5]
