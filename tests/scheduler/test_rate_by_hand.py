"""`Scheduler.set_rate`: an operator slows a running queue down, speeds it up, and stops it."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from every_store import MakeStore, on_every_store

from pacer import Scheduler, events
from pacer.pacing import FixedPause, ManualPace, PerKey, TokenBucket, Unpaced
from pacer.protocols import PacingPolicy
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


async def waits(scheduler: Scheduler, starts: list[float], jobs: int) -> None:
    async def work() -> None:
        starts.append(anyio.current_time() - began)

    began = anyio.current_time()
    for _ in range(jobs):
        await scheduler.enqueue(work)


@on_every_store
async def test_jobs_that_wait_are_timed_anew(make: MakeStore) -> None:
    starts: list[float] = []
    async with Scheduler(pacing=ManualPace(1) & Unpaced(), store=make()) as scheduler:
        await waits(scheduler, starts, 6)
        await anyio.sleep(1.5)
        await scheduler.set_rate(0.1)
        await anyio.sleep(10.0)  # to 11.5
        await scheduler.set_rate(0)
        await anyio.sleep(88.5)  # to 100
        assert not (await scheduler.status()).paused
        await scheduler.set_rate(2)
        await anyio.sleep(0.25)
        await scheduler.set_rate(None)
        await scheduler.drain()
    assert starts == pytest.approx([0, 1, 11, 100, 101, 102], abs=0.02)


@on_every_store
async def test_the_rate_survives_a_restart(make: MakeStore) -> None:
    starts: list[float] = []
    async with Scheduler(pacing=ManualPace(1), store=make()) as scheduler:
        await scheduler.set_rate(0.1)
    async with Scheduler(pacing=ManualPace(1), store=make()) as again:
        await waits(again, starts, 3)
        await again.drain()
    assert starts == pytest.approx([0, 10, 20], abs=0.02)


async def test_who_listens_is_told(recorder: Recorder) -> None:
    async with Scheduler(pacing=ManualPace(1), observers=[recorder]) as scheduler:
        await scheduler.set_rate(0.5)
        await scheduler.set_rate(None)
    assert [event.rate for event in recorder.events if isinstance(event, events.RateSet)] == [0.5, None]


@pytest.mark.parametrize("pacing", [FixedPause(1), FixedPause(1) & TokenBucket(1), PerKey(ManualPace(1))], ids=repr)
async def test_a_pace_without_a_rate_to_set_says_which_has_one(pacing: PacingPolicy[Any]) -> None:
    async with Scheduler(pacing=pacing) as scheduler:
        with pytest.raises(TypeError, match=r"set_rate: the rate of .* cannot be set; .*ManualPace"):
            await scheduler.set_rate(2)


@on_every_store
async def test_an_impossible_rate_is_refused_and_changes_nothing(make: MakeStore) -> None:
    async with Scheduler(pacing=ManualPace(1), store=make()) as scheduler:
        for rate in (-1.0, float("nan"), float("inf")):
            with pytest.raises(ValueError, match="ManualPace: rate must be a finite number"):
                await scheduler.set_rate(rate)
        starts: list[float] = []
        await waits(scheduler, starts, 2)
        await scheduler.drain()
    assert starts == pytest.approx([0, 1], abs=0.02)
