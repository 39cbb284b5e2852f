"""A worker that lost a job without knowing, and is given it again while it still runs it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from odd_ledgers import Around, OddStore
from outages import on_disk

from pacer import JobRecord, Scheduler, events
from pacer.stores import MemoryStore
from pacer.testing import Recorder

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only]

ANSWERS_AGAIN = 4.5


class SlowBeats(Around):
    """A ledger whose heartbeats come through late, as on a connection that stalls."""

    async def beat(self, held: Sequence[JobRecord]) -> Any:
        if held:
            await anyio.sleep(max(0.0, ANSWERS_AGAIN - anyio.current_time()))
        return await self.ledger.beat(held)


@attrs.define(eq=False)
class WrongBeats(Around):
    """A ledger that is wrong about the jobs once, as a server that lags behind the one before it."""

    wrong: bool = True

    async def beat(self, held: Sequence[JobRecord]) -> Any:
        beat = await self.ledger.beat(held)
        if not held or not self.wrong:
            return beat
        self.wrong = False
        return attrs.evolve(beat, lost=frozenset(record.id for record in held))


async def test_the_run_that_was_lost_is_cancelled_and_not_the_one_that_is_held(tmp_path: Path) -> None:
    store, recorder, runs = OddStore(on_disk(tmp_path, lease=3.0), SlowBeats), Recorder(), list[list[float]]()

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


async def test_a_job_that_was_not_lost_after_all_is_run_again_and_has_not_failed(tmp_path: Path) -> None:
    recorder, runs = Recorder(), list[str]()
    store = OddStore(on_disk(tmp_path, lease=3.0), WrongBeats)
    scheduler = Scheduler(store=store, observers=(recorder,), concurrency=1)

    @scheduler.task(name="work")
    async def work(job: str) -> str:
        runs.append(job)
        await anyio.sleep(10)
        return f"{job} {runs.count(job)}"

    async with scheduler:
        receipts = [await scheduler.enqueue(work, job) for job in ("first", "second")]
        results = [await scheduler.wait(receipt) for receipt in receipts]
    assert results == ["first 2", "second 1"]
    assert not [*recorder.of(events.JobFailed), *recorder.of(events.JobCancelled), *recorder.of(events.OutcomeRefused)]
    assert [event.job_id for event in recorder.of(events.JobReleased)][:1] == [receipts[0].job_id]


async def test_in_memory_too_a_run_whose_job_others_took_is_told_as_refused_and_not_as_given_back() -> None:
    store, recorder, runs = OddStore(MemoryStore(lease=3.0), SlowBeats), Recorder(), list[str]()

    def scheduler(**more: Any) -> tuple[Scheduler, Any]:
        made = Scheduler(store=store, observers=(recorder,), concurrency=1, **more)

        @made.task(name="work")
        async def work() -> None:
            runs.append("begun")
            await anyio.sleep(10)

        return made, work

    (one, work), (other, _) = scheduler(), scheduler(worker_concurrency=0)
    async with one, other:
        await one.wait(await one.enqueue(work))
    assert len(runs) == 2
    assert len(recorder.of(events.JobRecovered)) == len(recorder.of(events.OutcomeRefused)) == 1
    assert not recorder.of(events.JobReleased)


async def test_a_job_that_has_ended_before_it_is_heard_that_it_was_lost_is_not_kept(tmp_path: Path) -> None:
    held_then = list[weakref.ref[JobRecord]]()

    class SlowRecovery(WrongBeats):
        async def beat(self, held: Sequence[JobRecord]) -> Any:
            held_then.extend(map(weakref.ref, held))
            return await super().beat(held)

        async def recover(self, tasks: frozenset[str], slots: int = 1) -> Any:
            if held_then:
                await anyio.sleep(20)
            return await self.ledger.recover(tasks, slots)

    scheduler = Scheduler(store=OddStore(on_disk(tmp_path, lease=30.0), SlowRecovery), observers=())

    @scheduler.task(name="work")
    async def work() -> None:
        await anyio.sleep(15)

    async with scheduler:
        await scheduler.wait(await scheduler.enqueue(work))
        await anyio.sleep(60)
        first, *_ = held_then
        await scheduler.wait(await scheduler.enqueue(work))  # a slot has the last one at hand
        gc.collect()
        assert first() is None
