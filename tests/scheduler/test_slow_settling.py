"""A store that does not take the end of a run for longer than a lease lasts."""

from __future__ import annotations

from typing import Any

import anyio
import attrs
import pytest
from odd_ledgers import Around, OddStore

from pacer import Scheduler, StoreUnavailableError, events
from pacer.stores import MemoryStore
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


@attrs.define(eq=False)
class NoEnds(Around):
    """A ledger that takes no ends of runs for a while."""

    until: float = attrs.field(factory=lambda: anyio.current_time() + 20)

    async def settle(self, *args: Any) -> Any:
        if anyio.current_time() < self.until:
            raise StoreUnavailableError("the disk is full")
        return await self.ledger.settle(*args)


async def test_a_job_whose_end_is_yet_to_be_written_is_kept_and_not_run_again() -> None:
    store, recorder, runs = OddStore(MemoryStore(lease=3), NoEnds), Recorder(), list[float]()

    def scheduler() -> tuple[Scheduler, Any]:
        made = Scheduler(store=store, observers=(recorder,))

        @made.task(name="work")
        async def work() -> None:
            runs.append(anyio.current_time())
            await anyio.sleep(1)

        return made, work

    (one, work), (other, _) = scheduler(), scheduler()
    async with one, other:
        receipt = await one.enqueue(work)
        await one.wait(receipt)
    assert len(runs) == 1
    assert not recorder.of(events.OutcomeRefused)
    assert not recorder.of(events.JobRecovered)
