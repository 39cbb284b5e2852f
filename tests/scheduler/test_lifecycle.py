"""Starting and stopping: one block, nothing left behind, nothing lost."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import anyio
import attrs
import pytest
import sniffio

from pacer import AlreadyRunningError, BoundedQueue, JobState, NotRunningError, Rules, Scheduler, StoreError, events
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause
from pacer.protocols import NOW, When
from pacer.stores import MemoryStore
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


def tasks_alive() -> int:
    if sniffio.current_async_library() == "asyncio":
        return len(asyncio.all_tasks())
    import trio

    return trio.lowlevel.current_statistics().tasks_living


async def test_start_and_stop_leave_no_task_behind() -> None:
    before = tasks_alive()
    async with Scheduler(concurrency=5, store=MemoryStore(lease=30)) as scheduler:
        await scheduler.enqueue(anyio.sleep, 1)
        await anyio.sleep(0.5)
        assert tasks_alive() > before
    assert tasks_alive() == before


async def test_a_second_start_is_refused_and_says_what_to_do() -> None:
    async with Scheduler(name="emails") as scheduler:
        with pytest.raises(AlreadyRunningError, match=r"'emails' is running already; start it once"):
            async with scheduler:
                pass
        receipt = await scheduler.enqueue(anyio.sleep, 1)
        await scheduler.wait(receipt)


async def test_a_scheduler_can_be_started_again_and_finds_its_jobs_and_what_it_learned() -> None:
    scheduler = Scheduler(pacing=FixedPause(10))

    @scheduler.task
    async def work(seconds: float) -> str:
        await anyio.sleep(seconds)
        return "done"

    async with scheduler:
        await scheduler.wait(await scheduler.enqueue(work, 5))
        waiting = await scheduler.enqueue(work, 5)
    async with scheduler:
        assert await scheduler.wait(waiting.job_id) == "done"
        status = await scheduler.status()
    assert status.succeeded == 2
    # 60 s to begin with, then twice 0.8 / 0.2 with 5 s.
    assert status.average_duration == pytest.approx((60 * 0.8 + 1) * 0.8 + 1)


@pytest.mark.parametrize("use", ["enqueue", "status", "job", "pause", "drain", "batch", "cancel", "wait", "options"])
async def test_outside_its_block_every_call_says_how_to_start_it(use: str) -> None:
    scheduler = Scheduler()
    calls: dict[str, Any] = {
        "enqueue": lambda: scheduler.enqueue(anyio.sleep, 1),
        "options": lambda: scheduler.options(priority=1).enqueue(anyio.sleep, 1),
        "status": scheduler.status,
        "pause": scheduler.pause,
        "drain": scheduler.drain,
    }
    call = calls.get(use, lambda: getattr(scheduler, use)("some-id"))
    with pytest.raises(NotRunningError, match="use it inside `async with scheduler:`"):
        await call()


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Scheduler() as scheduler:
            await scheduler.enqueue(anyio.sleep, 1000)
            raise KeyError("mine")


async def test_a_job_that_runs_at_the_stop_goes_back_at_no_cost_and_is_run_again(recorder: Recorder) -> None:
    scheduler = Scheduler(observers=(recorder,))
    attempts = []

    @scheduler.task
    async def work() -> None:
        attempts.append(anyio.current_time())
        await anyio.sleep(100)

    async with scheduler:
        receipt = await scheduler.enqueue(work)
        await anyio.sleep(1)
    assert recorder.names[-2:] == ["JobReleased", "SchedulerStopped"]
    async with scheduler:
        await anyio.sleep(1)
        job = await scheduler.job(receipt.job_id)
        assert (job.state, job.attempt, job.recoveries, job.throttles) == (JobState.RUNNING, 1, 0, 0)
        await scheduler.wait(receipt)
    assert len(attempts) == 2


async def test_with_a_stop_timeout_running_jobs_get_to_end_and_no_new_one_starts() -> None:
    scheduler = Scheduler(stop_timeout=60)
    ended = []

    @scheduler.task
    async def work(n: int) -> None:
        await anyio.sleep(30)
        ended.append(n)

    async with scheduler:
        await scheduler.enqueue(work, 1)
        await scheduler.enqueue(work, 2)
        await anyio.sleep(1)
    assert ended == [1]
    assert anyio.current_time() == pytest.approx(30)


async def test_when_the_stop_timeout_is_over_the_rest_goes_back() -> None:
    scheduler = Scheduler(stop_timeout=5)
    async with scheduler:
        receipt = await scheduler.enqueue(anyio.sleep, 30)
        await anyio.sleep(1)
    assert anyio.current_time() == pytest.approx(6)
    async with scheduler:
        # A function that is not registered lived in the run that has ended: its job is stale, not stuck.
        assert (await scheduler.job(receipt.job_id)).state is JobState.STALE


async def test_cancelled_from_outside_it_hands_its_jobs_back() -> None:
    scheduler = Scheduler(stop_timeout=1000)

    @scheduler.task
    async def work() -> None:
        await anyio.sleep(100)

    with anyio.move_on_after(1):
        async with scheduler:
            await scheduler.enqueue(work)
            await anyio.sleep(1000)
    assert anyio.current_time() == pytest.approx(1)
    async with scheduler:
        assert (await scheduler.status()).pending + (await scheduler.status()).running == 1
        assert await scheduler.drain()


async def test_two_schedulers_on_one_store_share_one_queue() -> None:
    store = MemoryStore(lease=30)
    started: list[tuple[int, float]] = []
    first, second = make_pair(store, started)
    async with first[0], second[0]:
        for n in range(4):
            scheduler, work = (first, second)[n % 2]
            await scheduler.enqueue(work, n)
        await first[0].drain()
    assert [n for n, _ in started] == [0, 1, 2, 3]
    gaps = [later - earlier for (_, earlier), (_, later) in pairwise(started)]
    # The other scheduler notices a free slot when it next looks, every ten seconds with this lease.
    assert all(11 <= gap <= 21 for gap in gaps)


def make_pair(store: MemoryStore, started: list[tuple[int, float]]) -> list[tuple[Scheduler, Any]]:
    pair = []
    for _ in range(2):
        scheduler = Scheduler(queue=BoundedQueue(4), pacing=FixedPause(10), store=store, observers=())

        @scheduler.task(name="work")
        async def work(n: int) -> None:
            started.append((n, anyio.current_time()))
            await anyio.sleep(1)

        pair.append((scheduler, work))
    return pair


async def test_start_and_stop_are_told_to_observers(recorder: Recorder) -> None:
    async with Scheduler(name="emails", observers=(recorder,)):
        pass
    started, stopped = recorder.events
    assert isinstance(started, events.SchedulerStarted)
    assert isinstance(stopped, events.SchedulerStopped)
    assert started.queue == stopped.queue == "emails"
    assert started.worker == stopped.worker
    gc.collect()  # a coroutine that was never awaited would warn here, and warnings are errors


async def test_a_store_that_fails_at_the_start_says_so_itself_and_the_scheduler_can_be_started_later() -> None:
    @attrs.define
    class Away(MemoryStore):
        away: bool = True

        @asynccontextmanager
        async def open(
            self, queue: str, rules: Rules, worker: str, *, takeover: bool = False, guest: bool = False
        ) -> AsyncGenerator[Any]:
            async with MemoryStore.open(self, queue, rules, worker, takeover=takeover, guest=guest) as ledger:
                if self.away:
                    raise StoreError("the disk is away")
                yield ledger

    store = Away()
    scheduler = Scheduler(store=store)
    with pytest.raises(StoreError, match="the disk is away"):
        async with scheduler:
            pass
    store.away = False
    async with scheduler:
        await scheduler.wait(await scheduler.enqueue(anyio.sleep, 1))


async def test_a_job_may_enqueue_another_while_the_scheduler_waits_for_it_to_end() -> None:
    scheduler = Scheduler(stop_timeout=60)

    @scheduler.task
    async def second() -> str:
        return "second"

    @scheduler.task
    async def first() -> None:
        await anyio.sleep(10)
        await scheduler.options(job_id="second").enqueue(second)

    async with scheduler:
        await scheduler.enqueue(first)
        await anyio.sleep(1)
    assert anyio.current_time() == pytest.approx(10)
    async with scheduler:
        assert await scheduler.wait("second") == "second"


async def test_another_pacing_policy_on_the_same_store_begins_anew_and_the_rest_is_kept(recorder: Recorder) -> None:
    store = MemoryStore()
    async with Scheduler(store=store, pacing=FixedPause(100), estimator=MovingAverage(initial=60)) as scheduler:
        await scheduler.wait(await scheduler.enqueue(anyio.sleep, 10))
    learned = Scheduler(store=store, pacing=SlowStart(), estimator=MovingAverage(initial=60), observers=(recorder,))
    async with learned as scheduler:
        await scheduler.wait(await scheduler.enqueue(anyio.sleep, 10))
        assert anyio.current_time() == pytest.approx(20)
        assert (await scheduler.status()).succeeded == 2
        assert (await scheduler.status()).average_duration == pytest.approx((60 * 0.8 + 2) * 0.8 + 2)
    assert "PartMisbehaved" not in recorder.names


@attrs.frozen
class SlowStart:
    """A policy with a state of another shape than a float."""

    def initial_state(self) -> dict[str, int]:
        return {"started": 0}

    def earliest(self, state: dict[str, int], now: float, job: Any, running: int) -> When:
        assert state["started"] >= 0
        return NOW

    def started(self, state: dict[str, int], now: float, job: Any, running: int) -> dict[str, int]:
        return {"started": state["started"] + 1}

    def ended(self, state: dict[str, int], now: float, job: Any, outcome: Any, running: int) -> dict[str, int]:
        return state
