"""Slots of one worker share the ways to a database: what they claim, and what they write."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import attrs
import pytest
from odd_ledgers import Around, OddStore
from outages import on_disk

from pacer import Scheduler, call
from pacer.protocols import Claimed

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only]


@attrs.frozen(eq=False)
class Counting(Around):
    """A ledger that notes how many jobs each claim brought."""

    sizes: list[int]

    async def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        claimed: Claimed = await self.ledger.claim(tasks, limit)
        self.sizes.append(len(claimed.jobs))
        return claimed


async def test_slots_whose_jobs_end_at_the_same_time_are_served_by_one_claim(tmp_path: Path) -> None:
    sizes = list[int]()
    store = OddStore(on_disk(tmp_path), partial(Counting, sizes=sizes))
    async with Scheduler(store=store, concurrency=5) as scheduler:

        @scheduler.task(name="work")
        async def work() -> None:
            pass

        await scheduler.pause()
        await scheduler.enqueue_many([call(work) for _ in range(20)])
        await scheduler.resume()
        await scheduler.drain()
    assert [size for size in sizes if size] == [5, 5, 5, 5]
