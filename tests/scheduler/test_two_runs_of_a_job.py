"""A worker that lost a job without knowing, and is given it again while it still runs it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from outages import on_disk

from pacer import JobRecord, Scheduler, events
from pacer.protocols import Codec, QueueInfo
from pacer.testing import HeldStore, Recorder

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only]

ANSWERS_AGAIN = 4.5


class SlowBeats:
    """A ledger whose heartbeats come through late, as on a connection that stalls."""

    def __init__(self, ledger: Any) -> None:
        self.ledger = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)

    async def beat(self, held: Sequence[JobRecord]) -> Any:
        if held:
            await anyio.sleep(max(0.0, ANSWERS_AGAIN - anyio.current_time()))
        return await self.ledger.beat(held)


@attrs.frozen
class SlowBeatsStore:
    store: HeldStore

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
            yield SlowBeats(ledger)


async def test_the_run_that_was_lost_is_cancelled_and_not_the_one_that_is_held(tmp_path: Path) -> None:
    store, recorder, runs = SlowBeatsStore(on_disk(tmp_path, lease=3.0)), Recorder(), list[list[float]]()

    def scheduler(**more: Any) -> tuple[Scheduler, Any]:
        made = Scheduler(store=store, observers=(recorder,), concurrency=2, **more)

        @made.task(name="work")
        async def work() -> str:
            times = [anyio.current_time()]
            runs.append(times)
            try:
                await anyio.sleep(10)
            finally:
                times.append(anyio.current_time())
            return f"run {len(runs)}"

        return made, work

    (one, work), (other, _) = scheduler(), scheduler(worker_concurrency=0)
    async with one, other:
        receipt = await one.enqueue(work)
        assert await one.wait(receipt) == "run 2"
    (first_began, first_ended), (began, ended) = runs
    assert first_began < began < ANSWERS_AGAIN <= first_ended < ANSWERS_AGAIN + 1
    assert ended == pytest.approx(began + 10)
    assert len(recorder.of(events.OutcomeRefused)) == 1
