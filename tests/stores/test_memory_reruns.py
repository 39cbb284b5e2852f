"""Jobs in memory that are enqueued again: what they were before does not count any more."""

from __future__ import annotations

import pytest

from pacer import BoundedQueue, JobState
from pacer.stores import MemoryStore
from pacer.testing._store_desk import FAILED, ids, set_up

pytestmark = pytest.mark.anyio


async def test_a_job_that_is_enqueued_again_does_not_expire_at_the_time_it_had_before() -> None:
    async with set_up(lambda clock, lease: MemoryStore(clock=clock, lease=lease)) as desk:
        await desk.add("b", expires=9.0)
        await desk.add("a", expires=10.0)
        await desk.a.cancel("a")
        desk.clock.advance(6)
        await desk.a.rerun(["a"])
        desk.clock.advance(5)
        assert (await desk.state("a"), await desk.state("b")) == (JobState.QUEUED, JobState.EXPIRED)
        desk.clock.advance(5)
        assert (await desk.state("a")) is JobState.EXPIRED


async def test_a_job_that_is_enqueued_again_is_not_forgotten_for_the_one_that_is_dropped_for_it() -> None:
    def make(clock, lease):
        return MemoryStore(clock=clock, lease=lease, keep_finished=1)

    async with set_up(make, queue=BoundedQueue(1, "drop-oldest")) as desk:
        await desk.add("a")
        await desk.run(desk.a, "a", FAILED)
        await desk.add("b")
        rerun = await desk.a.rerun(["a"])
        assert (ids(rerun.jobs), ids(rerun.dropped)) == (["a"], ["b"])
        assert (await desk.state("a"), await desk.state("b")) == (JobState.QUEUED, JobState.DROPPED)
        await desk.run(desk.a, "a")
