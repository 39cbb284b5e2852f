"""From a call to a receipt."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import Any

import anyio
import pytest

from pacer import (
    BoundedQueue,
    JobCancelledError,
    JobState,
    QueueFullError,
    Scheduler,
    TaskError,
    UnknownJobError,
    call,
    current_job,
    events,
)
from pacer.pacing import FixedPause
from pacer.queues import Priority
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


async def double(n: int) -> int:
    await anyio.sleep(1)
    return 2 * n


async def test_a_coroutine_function_needs_no_registration() -> None:
    async with Scheduler() as scheduler:
        receipt = await scheduler.enqueue(double, 21)
        assert (receipt.position, receipt.created, receipt.state) == (1, True, JobState.QUEUED)
        assert await scheduler.wait(receipt) == 42
        assert (await scheduler.job(receipt.job_id)).task.endswith("test_enqueue.double")


async def test_partials_callable_objects_and_plain_functions_need_none_either() -> None:
    class Doubler:
        async def __call__(self, n: int) -> int:
            return 2 * n

    def in_a_thread(n: int) -> int:
        return 2 * n

    async with Scheduler() as scheduler:
        for receipt in (
            await scheduler.enqueue(functools.partial(double, 4)),
            await scheduler.enqueue(Doubler(), 4),
            await scheduler.enqueue(in_a_thread, 4),
        ):
            assert await scheduler.wait(receipt) == 8


async def test_a_registered_function_is_given_back_unchanged() -> None:
    scheduler = Scheduler()
    assert scheduler.task(double) is double
    assert await double(1) == 2


async def test_a_name_can_be_registered_once() -> None:
    scheduler = Scheduler()
    scheduler.task(name="double")(double)
    with pytest.raises(TaskError, match=r"the name 'double' is taken .* pass name= to tell them apart"):
        scheduler.task(name="double")(double)


@pytest.mark.parametrize("thing", [42, "double", None])
async def test_what_is_no_function_is_refused_with_a_hint(thing: Any) -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(TaskError, match="pass its arguments after it, do not call it"):
            await scheduler.enqueue(thing)
        assert (await scheduler.status()).pending == 0


async def test_an_id_that_exists_gives_back_that_job_even_when_it_has_ended() -> None:
    async with Scheduler() as scheduler:
        options = scheduler.options(job_id="invoice-7")
        first = await options.enqueue(double, 1)
        again = await options.enqueue(double, 2)
        assert (again.job_id, again.created, again.position) == ("invoice-7", False, 1)
        assert await scheduler.wait(first) == 2
        after = await options.enqueue(double, 3)
        assert (after.created, after.position, after.state) == (False, None, JobState.SUCCEEDED)
        assert after.estimate is None
        assert (await scheduler.status()).succeeded == 1


async def test_a_unique_key_gives_back_the_active_job_and_is_free_again_after_it() -> None:
    async with Scheduler() as scheduler:
        options = scheduler.options(unique="report-7")
        first = await options.enqueue(double, 1)
        again = await options.enqueue(double, 2)
        assert (again.job_id, again.created) == (first.job_id, False)
        assert await scheduler.wait(again) == 2
        later = await options.enqueue(double, 3)
        assert later.created
        assert await scheduler.wait(later) == 6


async def test_options_that_cannot_be_are_refused_by_name() -> None:
    scheduler = Scheduler()
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"delay": -1}, "delay must be a finite number, 0 or more"),
        ({"timeout": 0}, "timeout must be a finite number above 0"),
        ({"cost": {"tokens": float("nan")}}, "cost must map names to finite numbers"),
        ({"job_id": ""}, "job_id must have 1 to 200 characters"),
        ({"unique": "x" * 201}, "unique must have 1 to 200 characters"),
    ]
    for options, message in wrong:
        with pytest.raises(ValueError, match=message):
            scheduler.options(**options)


async def test_a_delayed_job_waits_for_its_time_and_holds_nobody_up() -> None:
    ran = []

    async def note(name: str) -> None:
        ran.append((name, anyio.current_time()))

    async with Scheduler() as scheduler:
        late = await scheduler.options(delay=timedelta(seconds=30)).enqueue(note, "late")
        await scheduler.enqueue(note, "soon")
        assert (await scheduler.status()).pending == 2
        estimate = await scheduler.estimate(late.job_id)
        assert estimate is not None
        assert estimate.seconds >= 30
        await scheduler.drain()
    assert ran == [("soon", 0), ("late", 30)]


async def test_more_urgent_jobs_overtake_where_the_order_looks_at_priority() -> None:
    ran = []

    async def note(name: str) -> None:
        ran.append(name)
        await anyio.sleep(1)

    async with Scheduler(queue=BoundedQueue(10, order=Priority(ageing=60))) as scheduler:
        await scheduler.enqueue(note, "running")
        await anyio.sleep(0.5)
        await scheduler.enqueue(note, "normal")
        urgent = await scheduler.options(priority=1).enqueue(note, "urgent")
        assert urgent.position == 1
        await scheduler.drain()
    assert ran == ["running", "urgent", "normal"]


async def test_waiting_for_room_is_first_come_first_served() -> None:
    admitted = []

    async def put(scheduler: Scheduler, name: str) -> None:
        await scheduler.enqueue(anyio.sleep, 10)
        admitted.append((name, anyio.current_time()))

    async with Scheduler(queue=BoundedQueue(1, "wait")) as scheduler, anyio.create_task_group() as group:
        await scheduler.enqueue(anyio.sleep, 10)
        await anyio.sleep(1)
        await scheduler.enqueue(anyio.sleep, 10)
        for name in "abc":
            group.start_soon(put, scheduler, name)
            await anyio.sleep(1)
    assert admitted == [("a", 10), ("b", 20), ("c", 30)]


async def test_waiting_for_room_ends_at_its_time_out() -> None:
    async with Scheduler(queue=BoundedQueue(1, "wait", timeout=5)) as scheduler:
        await scheduler.enqueue(anyio.sleep, 100)
        await anyio.sleep(1)
        await scheduler.enqueue(anyio.sleep, 100)
        with pytest.raises(QueueFullError) as full:
            await scheduler.enqueue(anyio.sleep, 100)
        assert anyio.current_time() == pytest.approx(6)
        assert full.value.retry_after > 0


async def test_one_who_stops_waiting_for_room_takes_no_slot_and_lets_the_next_in() -> None:
    async with Scheduler(queue=BoundedQueue(1, "wait")) as scheduler:
        await scheduler.enqueue(anyio.sleep, 10)
        await anyio.sleep(1)
        await scheduler.enqueue(anyio.sleep, 10)
        async with anyio.create_task_group() as group:
            group.start_soon(scheduler.enqueue, anyio.sleep, 10)
            await anyio.sleep(1)
            group.cancel_scope.cancel()
        receipt = await scheduler.enqueue(anyio.sleep, 10)
        assert anyio.current_time() == pytest.approx(10)
        assert receipt.position == 1


async def test_drop_oldest_makes_room_and_tells_who_waits_for_the_dropped_job(recorder: Recorder) -> None:
    async with Scheduler(queue=BoundedQueue(2, "drop-oldest"), observers=(recorder,)) as scheduler:
        await scheduler.pause()
        first, second, third = [await scheduler.enqueue(double, n) for n in range(3)]
        assert (second.position, third.position) == (2, 2)
        with pytest.raises(JobCancelledError, match="dropped for a newer job"):
            await scheduler.wait(first)
        assert [event.job_id for event in recorder.of(events.JobDropped)] == [first.job_id]
        await scheduler.resume()
        assert await scheduler.wait(third) == 4
        assert (await scheduler.job(first.job_id)).state is JobState.DROPPED


async def test_a_batch_enters_whole_or_not_at_all_and_has_its_own_progress() -> None:
    async with Scheduler(queue=BoundedQueue(3), pacing=FixedPause(1)) as scheduler:
        await scheduler.pause()
        batch = await scheduler.enqueue_many([call(double, n) for n in range(2)])
        with pytest.raises(QueueFullError):
            await scheduler.enqueue_many([call(double, n) for n in range(2)])
        assert (await scheduler.status()).pending == 2
        assert [receipt.position for receipt in batch.receipts] == [1, 2]
        await scheduler.resume()
        await scheduler.wait(batch.receipts[0])
        progress = await scheduler.batch(batch.batch_id)
        assert (progress.total, progress.finished, progress.fraction) == (2, 1, 0.5)
        await scheduler.drain()
        assert (await scheduler.batch(batch.batch_id)).counts == {JobState.SUCCEEDED: 2}
        with pytest.raises(UnknownJobError):
            await scheduler.batch("no such batch")


async def test_a_batch_that_can_never_enter_is_refused_at_once() -> None:
    async with Scheduler(queue=BoundedQueue(3)) as scheduler:
        for size in (0, 4):
            with pytest.raises(ValueError, match=r"a batch has 1 to 3 jobs"):
                await scheduler.enqueue_many([call(double, n) for n in range(size)])
        with pytest.raises(ValueError, match="job_id and unique name a single job"):
            await scheduler.options(job_id="x").enqueue_many([call(double, 1)])


async def test_current_job_is_known_inside_a_job_only() -> None:
    async def who() -> tuple[str, int, str | None]:
        job = current_job()
        return job.id, job.attempt, job.key

    with pytest.raises(LookupError, match="only inside a function that a pacer Scheduler is running"):
        current_job()
    async with Scheduler() as scheduler:
        receipt = await scheduler.options(key="tenant").enqueue(who)
        assert await scheduler.wait(receipt) == (receipt.job_id, 1, "tenant")
