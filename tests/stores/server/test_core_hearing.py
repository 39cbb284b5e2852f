"""What a process hears of the others wakes those who wait there, whenever the next job starts."""

from __future__ import annotations

import math
import time

import anyio
import pytest
from memory_server import MemoryServerStore

from pacer import BoundedQueue, JobState, Scheduler, Throttled, events

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

NOT_BY_LOOKING = 3600.0


async def test_a_drain_ends_with_the_last_job_although_it_was_about_to_start_here():
    store, throttled = MemoryServerStore(time.time, poll=NOT_BY_LOOKING), anyio.Event()

    def notice(event):
        if isinstance(event, events.JobThrottled):
            throttled.set()

    def scheduler(**settings):
        made = Scheduler(queue=BoundedQueue(5), store=store, **settings)

        @made.task(name="work")
        async def work():
            raise Throttled(retry_after=0.9)

        return made, work

    (here, work), (elsewhere, _) = scheduler(observers=(notice,)), scheduler(worker_concurrency=0)
    with anyio.fail_after(30):
        async with here, elsewhere:
            job = await here.enqueue(work)
            await throttled.wait()
            ledger = here._running.worker.ledger
            while ledger.next is None or ledger.next.at == math.inf:  # until it waits for the end of the hold
                await anyio.sleep(0.01)
            async with anyio.create_task_group() as group:
                group.start_soon(here.drain)
                assert await elsewhere.cancel(job.job_id)


async def test_whoever_waits_for_room_hears_of_a_start_elsewhere_that_makes_some():
    store, ends = MemoryServerStore(time.time, poll=NOT_BY_LOOKING), anyio.Event()

    def scheduler(**settings):
        made = Scheduler(queue=BoundedQueue(1, when_full="wait"), store=store, observers=(), **settings)

        @made.task(name="work")
        async def work():
            await ends.wait()

        return made, work

    (here, work), (elsewhere, _) = scheduler(worker_concurrency=0), scheduler()
    with anyio.fail_after(30):
        async with here, elsewhere:
            first = await here.options(delay=0.3).enqueue(work)
            await here.enqueue(work)
            assert (await here.job(first.job_id)).state is JobState.RUNNING
            ends.set()
