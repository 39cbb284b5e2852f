"""What a review has found: each test failed before its fix."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from odd_ledgers import Around, OddStore

from pacer import (
    BoundedQueue,
    CurrentJob,
    JobState,
    NotEncodableError,
    NotRunningError,
    QueueFullError,
    ResultUnavailableError,
    Retry,
    Scheduler,
    StoreError,
    Throttled,
    UnknownJobError,
    call,
    current_job,
    events,
)
from pacer.backoff import ConstantBackoff
from pacer.codecs import InProcessCodec, JsonCodec
from pacer.pacing import TokenBucket
from pacer.stores import MemoryStore
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


async def nothing() -> None:
    pass


def nested() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


async def test_asking_for_jobs_that_are_over_or_unknown_keeps_nothing_in_memory() -> None:
    async with Scheduler() as scheduler:
        receipt = await scheduler.enqueue(nothing)
        await scheduler.wait(receipt)
        for _ in range(3):
            await scheduler.wait(receipt)
        with pytest.raises(UnknownJobError):
            await scheduler.wait("unknown")
        await scheduler.pause()
        waiting = await scheduler.enqueue(nothing)
        with anyio.move_on_after(1):
            await scheduler.wait(waiting)
        assert not scheduler._running.worker.ended._waiting


@pytest.mark.parametrize("what", ["wait", "drain", "enqueue"])
async def test_who_waits_when_the_scheduler_stops_is_told(what: str) -> None:
    scheduler = Scheduler(queue=BoundedQueue(1, when_full="wait"))
    told = []

    async def waiter() -> None:
        calls: dict[str, Callable[[], Any]] = {
            "wait": lambda: scheduler.wait("first"),
            "drain": scheduler.drain,
            "enqueue": lambda: scheduler.enqueue(anyio.sleep, 1),
        }
        with anyio.move_on_after(1000), pytest.raises(NotRunningError):
            await calls[what]()
            return
        told.append(anyio.current_time())

    async with anyio.create_task_group() as tasks, scheduler:
        await scheduler.options(job_id="first").enqueue(anyio.sleep, 500)
        await anyio.sleep(1)
        await scheduler.enqueue(anyio.sleep, 500)
        tasks.start_soon(waiter)
        await anyio.sleep(1)
    assert told == [pytest.approx(2)]


async def test_the_job_that_exists_is_run_and_not_the_call_that_stood_for_it() -> None:
    scheduler = Scheduler()

    @scheduler.task
    async def registered() -> str:
        return "registered"

    async def other() -> str:
        return "other"

    async with scheduler:
        await scheduler.pause()
        await scheduler.options(job_id="one").enqueue(registered)
        assert not (await scheduler.options(job_id="one").enqueue(other)).created
        await scheduler.resume()
        assert await scheduler.wait("one") == "registered"


async def test_a_refused_batch_takes_nothing_from_a_job_that_is_there_already() -> None:
    async with Scheduler(queue=BoundedQueue(2)) as scheduler:
        await scheduler.pause()
        await scheduler.options(job_id="one").enqueue(nothing)
        await scheduler.enqueue(nothing)
        with pytest.raises(QueueFullError):
            await scheduler.enqueue_many([call(nothing).named("one"), call(nothing).named("two")])
        await scheduler.resume()
        await scheduler.wait("one")


async def test_a_call_that_never_became_a_job_is_not_kept() -> None:
    async with Scheduler(queue=BoundedQueue(2, when_full="wait")) as scheduler:
        await scheduler.pause()
        for _ in range(2):
            await scheduler.enqueue(nothing)
        calls = scheduler._running.worker.runner.local_calls
        assert len(calls) == 2
        with anyio.move_on_after(1):
            await scheduler.enqueue(nothing)
        assert len(calls) == 2
        with pytest.raises(ValueError, match="expected a function"):
            await scheduler.enqueue_many([call(nothing), call(5)])  # type: ignore[arg-type]
        assert len(calls) == 2


async def test_a_plain_function_that_gives_an_awaitable_is_awaited() -> None:
    ran = []

    async def work(n: int) -> int:
        ran.append(n)
        return n

    async with Scheduler() as scheduler:
        assert await scheduler.wait(await scheduler.enqueue(lambda: work(3))) == 3
    assert ran == [3]


async def test_a_result_that_breaks_the_codec_stops_nobody() -> None:
    class Odd:
        """A codec that cannot write results, and says so in its own way."""

        def __getattr__(self, name: str) -> Any:
            return getattr(InProcessCodec(), name)

        def encode_result(self, task: str, result: Any) -> Any:
            raise RuntimeError("of the codec")

    store = MemoryStore()
    store.codec = Odd()  # type: ignore[assignment]
    async with Scheduler(store=store) as scheduler:
        with pytest.raises(ResultUnavailableError, match="of the codec"):
            await scheduler.wait(await scheduler.enqueue(nothing))


@pytest.mark.parametrize("value", [10**5000, nested()], ids=["huge", "deep"])
def test_what_json_cannot_write_is_refused_and_named(value: Any) -> None:
    with pytest.raises(NotEncodableError, match="argument 1 of work"):
        JsonCodec().encode_call("work", [value], {})


async def test_a_job_whose_cleanup_fails_at_the_stop_is_unfinished_and_not_failed() -> None:
    scheduler = Scheduler()
    ends = []

    @scheduler.task
    async def work() -> str:
        try:
            if not ends:
                await anyio.sleep(100)
        finally:
            ends.append(1)
            if len(ends) == 1:
                raise OSError("connection closed")
        return "done"

    async with scheduler:
        receipt = await scheduler.enqueue(work)
        await anyio.sleep(1)
    async with scheduler:
        assert await scheduler.wait(receipt.job_id) == "done"


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_a_job_with_a_nursery_is_handed_back_at_the_stop() -> None:
    import trio

    scheduler = Scheduler()
    runs = []

    @scheduler.task
    async def work() -> None:
        runs.append(1)
        if len(runs) > 1:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(failing_at_the_end)
            await trio.sleep(100)

    async def failing_at_the_end() -> None:
        try:
            await trio.sleep(100)
        finally:
            raise OSError("connection closed")

    async with scheduler:
        receipt = await scheduler.enqueue(work)
        await anyio.sleep(1)
    async with scheduler:
        with anyio.fail_after(1000):
            await scheduler.wait(receipt.job_id)


@pytest.mark.asyncio_only
async def test_a_shutdown_that_cancels_all_tasks_fails_no_job() -> None:
    scheduler = Scheduler()
    runs = []

    @scheduler.task
    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            await anyio.sleep(100)

    async def serve() -> None:
        async with scheduler:
            await scheduler.options(job_id="one").enqueue(work)
            await asyncio.sleep(100)

    before = asyncio.all_tasks()
    server = asyncio.create_task(serve())
    await asyncio.sleep(1)
    for task in sorted(asyncio.all_tasks() - before, key=lambda task: task is server):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await server
    async with scheduler:
        await scheduler.wait("one")
    assert len(runs) == 2


async def test_cancelling_a_job_holds_no_queue_even_if_its_cleanup_fails() -> None:
    async def work() -> None:
        try:
            await anyio.sleep(100)
        finally:
            raise OSError("connection closed")

    async with Scheduler(backoff=ConstantBackoff(50)) as scheduler:
        receipt = await scheduler.enqueue(work)
        await anyio.sleep(1)
        await scheduler.cancel(receipt.job_id)
        await anyio.sleep(1)
        assert (await scheduler.job(receipt.job_id)).state is JobState.CANCELLED
        assert (await scheduler.status()).hold_seconds == 0


async def test_a_scheduler_that_is_cancelled_says_that_it_has_stopped(recorder: Recorder) -> None:
    ended = []

    async def reader(scheduler: Scheduler) -> None:
        with scheduler.subscribe() as subscription, anyio.move_on_after(1000):
            async for _ in subscription:
                pass
            ended.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        with anyio.move_on_after(1):
            async with Scheduler(observers=(recorder,)) as scheduler:
                tasks.start_soon(reader, scheduler)
                await anyio.sleep(100)
    assert recorder.names[-1] == "SchedulerStopped"
    assert ended == [pytest.approx(1)]


async def test_schedulers_share_a_queue_in_memory_only_where_they_hear_of_each_other() -> None:
    async def work() -> str:
        return "done"

    async with Scheduler(store=(store := MemoryStore())), Scheduler(store=store, name="another queue"):
        with pytest.raises(StoreError, match=r"MemoryStore\(lease=30\)"):
            await Scheduler(store=store).__aenter__()
    store = MemoryStore(lease=30)
    producer, consumer = Scheduler(store=store), Scheduler(store=store)
    consumer.task(name="work")(work)
    async with producer, consumer:
        producer.task(name="work")(work)
        await anyio.sleep(1)
        receipt = await producer.enqueue(work)
        with anyio.fail_after(100):
            assert await consumer.wait(receipt.job_id) == "done"


async def test_a_job_that_can_never_start_does_not_stop_the_others() -> None:
    async with Scheduler(pacing=TokenBucket(1)) as scheduler:
        with contextlib.suppress(ValueError):
            await scheduler.options(cost={"requests": 2}).enqueue(nothing)
        receipt = await scheduler.enqueue(nothing)
        with anyio.fail_after(100):
            await scheduler.wait(receipt)


async def test_without_memory_of_finished_jobs_one_can_still_be_cancelled(recorder: Recorder) -> None:
    async with Scheduler(store=MemoryStore(keep_finished=0), observers=(recorder,)) as scheduler:
        await scheduler.pause()
        receipt = await scheduler.enqueue(nothing)
        assert await scheduler.cancel(receipt.job_id)
    assert recorder.of(events.JobCancelled)


async def test_what_a_function_says_after_its_end_is_not_taken_for_progress_of_the_next_run(
    recorder: Recorder,
) -> None:
    kept: list[CurrentJob] = []

    async def work() -> None:
        kept.append(current_job())
        if len(kept) == 1:
            raise OSError
        await anyio.sleep(10)

    retry = Retry(attempts=2, backoff=ConstantBackoff(5))
    async with Scheduler(observers=(recorder,)) as scheduler:
        receipt = await scheduler.options(retry=retry).enqueue(work)
        await anyio.sleep(6)
        kept[0].progress(0.9, "of the first run")
        assert (await scheduler.job(receipt.job_id)).progress is None
        await scheduler.wait(receipt)
        kept[1].progress(0.9)
        assert (await scheduler.job(receipt.job_id)).progress is None
    assert not recorder.of(events.JobProgressed)


async def test_a_job_that_is_cancelled_while_the_scheduler_stops_is_told_as_cancelled(recorder: Recorder) -> None:
    async with Scheduler(observers=(recorder,)) as scheduler:
        receipt = await scheduler.enqueue(anyio.sleep, 100)
        await anyio.sleep(1)
        await scheduler.cancel(receipt.job_id)
    assert recorder.names[-2:] == ["JobCancelled", "SchedulerStopped"]


async def test_a_reason_with_line_breaks_is_logged_on_one_line(caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    async def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Throttled(1, "slow\ndown")

    with caplog.at_level(logging.DEBUG, "pacer"):
        async with Scheduler() as scheduler:
            await scheduler.wait(await scheduler.options(job_id="my\njob").enqueue(work))
    assert len(calls) == 2
    assert not [record for record in caplog.records if len(record.getMessage().splitlines()) != 1]


async def test_the_estimate_of_a_receipt_is_of_the_moment_of_enqueueing() -> None:
    async def work() -> None:
        raise OSError

    retry = Retry(attempts=2, backoff=ConstantBackoff(1000))
    async with Scheduler() as scheduler:
        receipt = await scheduler.options(retry=retry).enqueue(work)
        await anyio.sleep(10)
        assert receipt.estimate is not None
        assert receipt.estimate.seconds == 0


class SlowLedger(Around):
    """It says what has come of an addition only a while after it was made."""

    async def add(self, records: Any) -> Any:
        addition = await self.ledger.add(records)
        await anyio.sleep(2)
        return addition


async def test_a_job_that_has_found_room_is_not_refused_because_the_store_is_slow() -> None:
    queue = BoundedQueue(1, when_full="wait", timeout=1)
    async with Scheduler(queue=queue, store=OddStore(MemoryStore(), SlowLedger)) as scheduler:
        await scheduler.pause()
        assert (await scheduler.enqueue(nothing)).position == 1
        with pytest.raises(QueueFullError):
            await scheduler.enqueue(nothing)
        assert anyio.current_time() == pytest.approx(3)
        assert (await scheduler.status()).pending == 1


@pytest.mark.real_time
async def test_a_thread_that_was_given_up_keeps_no_other_job_from_running() -> None:
    started, let_go = threading.Event(), threading.Event()

    def hang() -> None:
        started.set()
        let_go.wait(60)

    def quick() -> str:
        return "quick"

    try:
        async with Scheduler() as scheduler:
            receipt = await scheduler.enqueue(hang)
            with anyio.fail_after(30):
                await anyio.to_thread.run_sync(started.wait)
                await scheduler.cancel(receipt.job_id)
                assert await scheduler.wait(await scheduler.enqueue(quick)) == "quick"
    finally:
        let_go.set()
