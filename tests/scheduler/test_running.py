"""From a claimed job to its outcome."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from itertools import pairwise

import anyio
import anyio.from_thread
import anyio.lowlevel
import pytest

from pacer import (
    BoundedQueue,
    JobCancelledError,
    JobFailedError,
    JobState,
    Retry,
    Scheduler,
    Throttled,
    UnknownJobError,
    current_job,
    events,
)
from pacer.backoff import ConstantBackoff, ExponentialBackoff
from pacer.pacing import FixedPause, TokenBucket
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


class Flaky:
    """Raises what it was given, one after the other, then returns "done". Notes when it was called."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls: list[float] = []
        self.attempts: list[int] = []

    async def __call__(self) -> str:
        self.calls.append(anyio.current_time())
        self.attempts.append(current_job().attempt)
        await anyio.sleep(1)
        if self.errors:
            raise self.errors.pop(0)
        return "done"


async def test_a_failure_is_told_with_type_and_message_on_one_line() -> None:
    async with Scheduler() as scheduler:
        receipt = await scheduler.enqueue(Flaky(ValueError("two\n  lines")))
        with pytest.raises(JobFailedError, match="ValueError: two lines") as failed:
            await scheduler.wait(receipt)
        assert failed.value.job_id == receipt.job_id
        job = await scheduler.job(receipt.job_id)
        assert (job.state, job.error, job.attempt) == (JobState.FAILED, "ValueError: two lines", 1)


async def test_retries_wait_their_own_backoff_and_count_attempts(recorder: Recorder) -> None:
    flaky = Flaky(OSError("one"), OSError("two"))
    retry = Retry(attempts=3, backoff=ExponentialBackoff(5))
    async with Scheduler(observers=(recorder,)) as scheduler:
        receipt = await scheduler.options(retry=retry).enqueue(flaky)
        assert await scheduler.wait(receipt) == "done"
    assert flaky.calls == [0, 6, 17]  # 1 s of work, 5 s, 1 s, 10 s
    assert flaky.attempts == [1, 2, 3]
    assert [(event.attempt, event.delay) for event in recorder.of(events.JobRescheduled)] == [(1, 5), (2, 10)]


async def test_when_no_attempt_is_left_the_job_has_failed() -> None:
    flaky = Flaky(*(OSError(str(n)) for n in range(9)))
    async with Scheduler() as scheduler:
        scheduler.task(name="flaky", retry=Retry(attempts=3, backoff=ConstantBackoff(1)))(flaky)
        receipt = await scheduler.enqueue(flaky)
        with pytest.raises(JobFailedError, match="OSError: 2"):
            await scheduler.wait(receipt)
        assert (await scheduler.job(receipt.job_id)).attempt == 3
        assert (await scheduler.status()).failed == 1
    assert len(flaky.calls) == 3


async def test_a_job_that_waits_for_its_retry_holds_nobody_up() -> None:
    flaky, other = Flaky(OSError()), Flaky()
    async with Scheduler() as scheduler:
        await scheduler.options(retry=Retry(attempts=2, backoff=ConstantBackoff(60))).enqueue(flaky)
        await scheduler.enqueue(other)
        await scheduler.drain()
    assert other.calls == [1]
    assert flaky.calls == [0, 61]


async def test_throttled_holds_the_queue_and_puts_the_job_back_to_the_front_for_free(recorder: Recorder) -> None:
    busy, other = Flaky(Throttled(retry_after=30, reason="limit_requests")), Flaky()
    async with Scheduler(backoff=ExponentialBackoff(15, after=1), observers=(recorder,)) as scheduler:
        first = await scheduler.enqueue(busy)
        await scheduler.enqueue(other)
        await anyio.sleep(2)
        status = await scheduler.status()
        assert (status.failures_in_a_row, status.throttled, status.pending) == (0, 1, 2)
        assert status.hold_seconds == pytest.approx(29)
        assert status.waiting_for == "upstream said wait 30 s"
        assert (await scheduler.job(first.job_id)).position == 1
        await scheduler.drain()
        assert (await scheduler.job(first.job_id)).throttles == 1
    assert busy.calls == [0, 31]
    assert busy.attempts == [1, 1]
    assert other.calls == [32]
    assert [event.reason for event in recorder.of(events.JobThrottled)] == ["limit_requests"]


async def test_throttled_without_a_time_asks_the_backoff_policy() -> None:
    busy = Flaky(Throttled(), Throttled(), Throttled())
    async with Scheduler(backoff=ExponentialBackoff(15, maximum=300, after=2), pacing=FixedPause(10)) as scheduler:
        await scheduler.wait(await scheduler.enqueue(busy))
        assert (await scheduler.status()).failures_in_a_row == 0
    # Each run takes 1 s; the pause of 10 s comes on top of what the backoff says: 0, 15, 30.
    assert busy.calls == [0, 11, 11 + 1 + 15 + 10, 11 + 1 + 15 + 10 + 1 + 30 + 10]


async def test_a_pause_and_a_hold_that_the_upstream_asks_for_run_at_the_same_time() -> None:
    busy = Flaky(Throttled(retry_after=30), Throttled(retry_after=3))
    async with Scheduler(pacing=FixedPause(10)) as scheduler:
        await scheduler.wait(await scheduler.enqueue(busy))
    assert busy.calls == [0, 31, 42]


async def test_a_job_throttled_too_often_fails_with_that_reason() -> None:
    busy = Flaky(*(Throttled(retry_after=1, reason="limit_requests") for _ in range(9)))
    async with Scheduler(max_throttles=2) as scheduler:
        receipt = await scheduler.enqueue(busy)
        with pytest.raises(JobFailedError, match="throttled 3 times, last: limit_requests"):
            await scheduler.wait(receipt)
    assert len(busy.calls) == 3


@pytest.mark.parametrize("nonsense", [-5, float("nan"), float("inf")])
async def test_a_nonsensical_retry_after_neither_spins_nor_stops_the_queue(nonsense: float, recorder: Recorder) -> None:
    busy = Flaky(Throttled(retry_after=nonsense))
    async with Scheduler(observers=(recorder,)) as scheduler:
        await scheduler.wait(await scheduler.enqueue(busy))
    assert [event.part for event in recorder.of(events.PartMisbehaved)] == ["Throttled"]
    assert busy.calls[1] >= 2


async def test_parallel_failures_of_one_cause_count_once() -> None:
    async def fail() -> None:
        await anyio.sleep(1)
        raise OSError

    async with Scheduler(concurrency=5, backoff=ExponentialBackoff(15, after=2)) as scheduler:
        for _ in range(5):
            await scheduler.enqueue(fail)
        await scheduler.drain()
        status = await scheduler.status()
        assert (status.failed, status.failures_in_a_row, status.hold_seconds) == (5, 1, 0)


async def test_a_time_out_cancels_the_function_where_it_waits_and_counts_as_a_failure() -> None:
    cleaned_up = []

    async def slow() -> None:
        try:
            await anyio.sleep(100)
        finally:
            cleaned_up.append(anyio.current_time())

    async with Scheduler() as scheduler:
        receipt = await scheduler.options(timeout=5).enqueue(slow)
        with pytest.raises(JobFailedError, match="timed out after 5 s"):
            await scheduler.wait(receipt)
        assert (await scheduler.status()).failures_in_a_row == 1
    assert cleaned_up == [5]


async def test_the_functions_own_time_out_error_is_told_as_its_own() -> None:
    async def slow() -> None:
        with anyio.fail_after(2):
            await anyio.sleep(100)

    async with Scheduler() as scheduler:
        receipt = await scheduler.options(timeout=5).enqueue(slow)
        with pytest.raises(JobFailedError, match="TimeoutError"):
            await scheduler.wait(receipt)
        assert anyio.current_time() == 2


async def test_a_waiting_job_is_cancelled_at_once_and_frees_its_slot(recorder: Recorder) -> None:
    async with Scheduler(queue=BoundedQueue(1), observers=(recorder,)) as scheduler:
        await scheduler.enqueue(anyio.sleep, 10)
        await anyio.sleep(1)
        receipt = await scheduler.enqueue(anyio.sleep, 10)
        assert await scheduler.cancel(receipt.job_id)
        with pytest.raises(JobCancelledError, match="cancelled while waiting"):
            await scheduler.wait(receipt)
        assert not await scheduler.cancel(receipt.job_id)
        assert (await scheduler.enqueue(anyio.sleep, 10)).position == 1
        with pytest.raises(UnknownJobError):
            await scheduler.cancel("no such job")
    assert len(recorder.of(events.JobCancelled)) == 1


async def test_a_running_job_is_cancelled_where_it_waits_and_teaches_nothing() -> None:
    async with Scheduler(pacing=FixedPause(10)) as scheduler:
        receipt = await scheduler.enqueue(anyio.sleep, 100)
        following = Flaky()
        await scheduler.enqueue(following)
        await anyio.sleep(5)
        assert await scheduler.cancel(receipt.job_id)
        with pytest.raises(JobCancelledError, match="cancelled while running"):
            await scheduler.wait(receipt)
        status = await scheduler.status()
        assert (status.failed, status.failures_in_a_row, status.average_duration) == (0, 0, 60)
        await scheduler.drain()
    assert following.calls == [15]


async def test_a_function_that_finishes_in_spite_of_its_cancellation_has_succeeded() -> None:
    async def stubborn() -> str:
        try:
            await anyio.sleep(100)
        except anyio.get_cancelled_exc_class():
            if stubborn_swallows:
                return "too late"
            raise
        return "slept"

    stubborn_swallows = True
    async with Scheduler() as scheduler:
        receipt = await scheduler.enqueue(stubborn)
        await anyio.sleep(5)
        await scheduler.cancel(receipt.job_id)
        assert await scheduler.wait(receipt) == "too late"
        # The slot is not harmed.
        assert await scheduler.wait(await scheduler.enqueue(Flaky())) == "done"


@pytest.mark.asyncio_only
async def test_another_tasks_cancellation_that_escapes_is_a_failure_and_harms_nobody() -> None:
    async def awaits_a_cancelled_task() -> None:
        task = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        task.cancel()
        await task

    async with Scheduler() as scheduler:
        receipt = await scheduler.enqueue(awaits_a_cancelled_task)
        with pytest.raises(JobFailedError, match="CancelledError"):
            await scheduler.wait(receipt)
        assert await scheduler.wait(await scheduler.enqueue(Flaky())) == "done"


async def test_plain_functions_run_in_a_thread_and_know_their_job() -> None:
    def work(n: int) -> tuple[bool, str]:
        current_job().progress(0.5, "half way")
        return threading.current_thread() is threading.main_thread(), current_job().id

    recorder = Recorder()
    async with Scheduler(observers=(recorder,)) as scheduler:
        receipt = await scheduler.enqueue(work, 1)
        assert await scheduler.wait(receipt) == (False, receipt.job_id)
    assert [(event.fraction, event.message) for event in recorder.of(events.JobProgressed)] == [(0.5, "half way")]


async def test_progress_is_clamped_and_seen_from_outside() -> None:
    async def work() -> None:
        for fraction in (-1, 0.25, 7):
            current_job().progress(fraction, f"at {fraction}")
            await anyio.sleep(10)
        with pytest.raises(ValueError, match="got nan"):
            current_job().progress(float("nan"))

    async with Scheduler() as scheduler:
        receipt = await scheduler.enqueue(work)
        seen = []
        for _ in range(3):
            await anyio.sleep(5)
            job = await scheduler.job(receipt.job_id)
            seen.append((job.progress, job.message))
            await anyio.sleep(5)
        await scheduler.wait(receipt)
    assert seen == [(0, "at -1"), (0.25, "at 0.25"), (1, "at 7")]


@pytest.mark.parametrize(("concurrency", "here", "most"), [(1, None, 1), (3, None, 3), (5, 2, 2)])
async def test_no_more_jobs_run_than_allowed_and_as_many_as_allowed(
    concurrency: int, here: int | None, most: int
) -> None:
    running, peak = 0, 0

    async def work() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await anyio.sleep(1)
        running -= 1

    async with Scheduler(concurrency=concurrency, worker_concurrency=here) as scheduler:
        for _ in range(12):
            await scheduler.enqueue(work)
        await scheduler.drain()
    assert peak == most
    assert anyio.current_time() == pytest.approx(12 / most)


async def test_a_steady_rate_is_kept_however_many_jobs_run_at_once() -> None:
    starts = []

    async def work() -> None:
        starts.append(anyio.current_time())
        await anyio.sleep(3)

    async with Scheduler(concurrency=10, pacing=TokenBucket(rate=2)) as scheduler:
        for _ in range(20):
            await scheduler.enqueue(work)
        await scheduler.drain()
    assert [round(later - earlier, 9) for earlier, later in pairwise(starts)] == [0.5] * 19


async def test_pause_starts_nothing_new_and_resume_goes_on() -> None:
    first, second = Flaky(), Flaky()
    async with Scheduler() as scheduler:
        await scheduler.enqueue(first)
        await anyio.sleep(0.5)
        await scheduler.pause()
        receipt = await scheduler.enqueue(second)
        await anyio.sleep(100)
        status = await scheduler.status()
        assert (status.paused, status.running, status.waiting_for) == (True, 0, "paused by hand")
        assert status.estimate is None
        assert receipt.estimate is None
        assert not await scheduler.drain(timeout=5)
        await scheduler.resume()
        assert await scheduler.drain()
    assert (first.calls, second.calls) == ([0], [105.5])


async def test_jobs_that_never_wait_do_not_starve_the_event_loop() -> None:
    async def instant() -> None:
        pass

    seen = []

    async def watch(scheduler: Scheduler) -> None:
        while (pending := (await scheduler.status()).pending) > 0:
            seen.append(pending)
            await anyio.lowlevel.checkpoint()

    async with Scheduler(queue=BoundedQueue(20_000)) as scheduler, anyio.create_task_group() as group:
        await scheduler.pause()
        for _ in range(20_000):
            await scheduler.enqueue(instant)
        await scheduler.resume()
        group.start_soon(watch, scheduler)
    # Virtual time stands still between awaits, so the slot yields by count of its own clock only in real time; here it
    # is enough that the watcher was let in at all.
    assert seen


Waiter = Callable[[], Awaitable[None]]
