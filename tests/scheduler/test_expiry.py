"""`expires=`: a job starts by its time or leaves the queue at it, whatever the queue is doing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import anyio
import pytest
from every_store import MakeStore, on_every_store

from pacer import (
    BoundedQueue,
    JobCancelledError,
    JobState,
    Retry,
    Scheduler,
    Throttled,
    call,
    events,
)
from pacer.backoff import ConstantBackoff
from pacer.pacing import FixedPause
from pacer.queues import EarliestDeadline
from pacer.testing import Recorder

TICK = 1e-6


async def work(seconds: float = 10.0) -> None:
    await anyio.sleep(seconds)


def make_scheduler(make_store: MakeStore, recorder: Recorder, **parts: Any) -> Scheduler:
    return Scheduler(store=make_store(), observers=(recorder,), **parts)


def expired(recorder: Recorder) -> list[tuple[str, float]]:
    return [(event.job_id, event.at) for event in recorder.of(events.JobExpired)]


@on_every_store
async def test_a_job_leaves_at_its_time_even_while_all_slots_are_busy(make_store: MakeStore) -> None:
    recorder = Recorder()
    async with make_scheduler(make_store, recorder) as scheduler:
        await scheduler.enqueue(work, 100)
        await anyio.sleep(0.25)
        began = anyio.current_time()
        await scheduler.options(job_id="late", expires=7).enqueue(work)
        await scheduler.options(job_id="patient").enqueue(work)
        await anyio.sleep(7 - TICK)
        assert (await scheduler.job("late")).state is JobState.QUEUED
        assert (await scheduler.job("late")).position == 1
        await anyio.sleep(2 * TICK)
        job = await scheduler.job("late")
        assert (job.state, job.position, job.started_at) == (JobState.EXPIRED, None, None)
        assert job.ended_at == scheduler.utc(began + 7)
        assert (await scheduler.job("patient")).position == 1
        assert expired(recorder) == [("late", pytest.approx(began + 7, abs=TICK))]
        await scheduler.drain()
    started = [event.job_id for event in recorder.of(events.JobStarted)]
    assert "late" not in started
    assert "patient" in started
    assert len(expired(recorder)) == 1


@on_every_store
async def test_a_job_of_a_paused_queue_leaves_at_its_time_and_the_shorter_of_two_first(make_store: MakeStore) -> None:
    recorder = Recorder()
    async with make_scheduler(make_store, recorder) as scheduler:
        await scheduler.pause()
        for name, seconds in (("long", 60.0), ("short", 5.0), ("middle", 30.0)):
            await scheduler.options(job_id=name, expires=seconds).enqueue(work)
        await anyio.sleep(3600)
        assert expired(recorder) == [
            (name, pytest.approx(at, abs=TICK)) for name, at in (("short", 5), ("middle", 30), ("long", 60))
        ]
        assert (await scheduler.status()).pending == 0
        assert (await scheduler.status()).oldest_waiting_seconds is None


@on_every_store
async def test_who_waits_for_the_job_is_told_at_that_moment_and_why(make_store: MakeStore) -> None:
    async with make_scheduler(make_store, Recorder(), pacing=FixedPause(60)) as scheduler:
        await scheduler.wait(await scheduler.enqueue(work, 1))
        receipt = await scheduler.options(expires=5).enqueue(work)
        with pytest.raises(JobCancelledError, match="had not started by the time after which it is of no use") as error:
            await scheduler.wait(receipt)
        assert anyio.current_time() == pytest.approx(6, abs=0.5)
        assert error.value.job_id == receipt.job_id
        with pytest.raises(JobCancelledError):
            await scheduler.wait(receipt)


@on_every_store
async def test_a_job_that_starts_in_time_runs_to_its_end(make_store: MakeStore) -> None:
    recorder = Recorder()
    async with make_scheduler(make_store, recorder) as scheduler:
        await scheduler.wait(await scheduler.options(expires=5).enqueue(work, 100))
        assert (await scheduler.status()).succeeded == 1
    assert not expired(recorder)


@on_every_store
async def test_status_counts_neither_a_failure_nor_a_waiting_job(make_store: MakeStore) -> None:
    async with make_scheduler(make_store, Recorder()) as scheduler:
        await scheduler.enqueue(work, 100)
        await anyio.sleep(0.25)
        await scheduler.options(expires=5).enqueue(work)
        assert (await scheduler.status()).pending == 1
        await anyio.sleep(5)
        status = await scheduler.status()
        assert (status.pending, status.running, status.succeeded, status.failed) == (0, 1, 0, 0)
        assert status.failures_in_a_row == 0


@on_every_store
async def test_jobs_of_a_batch_expire_and_the_batch_is_finished_then(make_store: MakeStore) -> None:
    async with make_scheduler(make_store, Recorder()) as scheduler:
        batch = await scheduler.options(expires=15).enqueue_many([call(work, 10) for _ in range(4)])
        await anyio.sleep(15 + TICK)
        progress = await scheduler.batch(batch.batch_id)
        assert progress.counts == {JobState.SUCCEEDED: 1, JobState.RUNNING: 1, JobState.EXPIRED: 2}
        await scheduler.drain()
        assert (await scheduler.batch(batch.batch_id)).fraction == 1


@on_every_store
async def test_a_full_queue_has_room_again_and_who_waits_for_it_gets_it(make_store: MakeStore) -> None:
    async with make_scheduler(make_store, Recorder(), queue=BoundedQueue(1, "wait")) as scheduler:
        await scheduler.pause()
        await scheduler.options(expires=5).enqueue(work)
        await scheduler.options(job_id="next").enqueue(work)
        assert anyio.current_time() == pytest.approx(5, abs=0.3), "a store on disk is asked four times a second"
        assert (await scheduler.job("next")).position == 1


@pytest.mark.parametrize("retry_after", [1.0, 30.0])
def test_a_job_that_the_upstream_sent_back_leaves_at_its_time(retry_after: float, tmp_path: Any) -> None:
    """Nothing else happens in the queue then: the hold may be longer than that."""

    @on_every_store
    async def play(make_store: MakeStore) -> None:
        recorder = Recorder()

        async def throttled() -> None:
            await anyio.sleep(4)
            raise Throttled(retry_after=retry_after)

        async with make_scheduler(make_store, recorder) as scheduler:
            await scheduler.options(job_id="j", expires=10).enqueue(throttled)
            await anyio.sleep(60)
            assert (await scheduler.job("j")).state is JobState.EXPIRED
        runs = len(recorder.of(events.JobStarted))
        assert runs == (2 if retry_after == 1 else 1)
        # A run that begins in time ends when it ends; put back after that, the job is of no use any more.
        assert expired(recorder) == [("j", pytest.approx(10 if runs == 1 else 4 + 1 + 4 + 1, abs=TICK))]

    for store, backend in (("memory", "asyncio"), ("memory", "trio"), ("sqlite", "asyncio")):
        path = tmp_path / f"{store}-{backend}"
        path.mkdir()
        play(store, backend, path)


@on_every_store
async def test_a_retry_that_is_due_too_late_does_not_happen(make_store: MakeStore) -> None:
    recorder = Recorder()

    async def fail() -> None:
        raise OSError("no route")

    async with make_scheduler(make_store, recorder) as scheduler:
        options = scheduler.options(job_id="j", expires=10, retry=Retry(5, ConstantBackoff(4)))
        await options.enqueue(fail)
        await anyio.sleep(60)
        job = await scheduler.job("j")
    assert (job.state, job.attempt) == (JobState.EXPIRED, 3)
    assert len(recorder.of(events.JobRescheduled)) == 3
    assert expired(recorder) == [("j", pytest.approx(10, abs=TICK))]


@on_every_store
async def test_a_delayed_job_expires_while_it_is_delayed(make_store: MakeStore) -> None:
    recorder = Recorder()
    async with make_scheduler(make_store, recorder) as scheduler:
        await scheduler.options(job_id="never", delay=20, expires=10).enqueue(work)
        await scheduler.options(job_id="in time", delay=5, expires=10).enqueue(work)
        await anyio.sleep(60)
        assert (await scheduler.job("in time")).state is JobState.SUCCEEDED
    assert expired(recorder) == [("never", pytest.approx(10, abs=TICK))]


@on_every_store
async def test_the_time_goes_on_while_the_scheduler_is_stopped(make_store: MakeStore) -> None:
    recorder = Recorder()
    scheduler = make_scheduler(make_store, recorder)
    scheduler.task(work)
    async with scheduler:
        await scheduler.pause()
        await scheduler.options(job_id="short", expires=10).enqueue(work)
        await scheduler.options(job_id="long", expires=100).enqueue(work)
    await anyio.sleep(50)
    assert not expired(recorder)
    async with scheduler:
        await anyio.sleep(1)
        assert [name for name, _ in expired(recorder)] == ["short"]
        assert (await scheduler.job("short")).state is JobState.EXPIRED
        assert (await scheduler.job("long")).state is JobState.QUEUED
        await anyio.sleep(60)
        assert (await scheduler.job("long")).state is JobState.EXPIRED
    assert expired(recorder)[1:] == [("long", pytest.approx(100, abs=TICK))]


@pytest.mark.anyio
async def test_the_most_pressing_first_lets_fewer_expire() -> None:
    """Ten jobs of 10 s; those that came first have the most time."""

    async def missed(**parts: Any) -> int:
        recorder = Recorder()
        async with Scheduler(observers=(recorder,), **parts) as scheduler:
            for number in range(10):
                await scheduler.options(expires=100 - 10 * number).enqueue(work, 10)
            await scheduler.drain()
        return len(expired(recorder))

    assert await missed() == 5
    assert await missed(queue=BoundedQueue(50, order=EarliestDeadline())) == 0


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("expires", [0, -1, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(expires: float) -> None:
    with pytest.raises(ValueError, match="JobOptions: expires must be a finite number above 0"):
        Scheduler().options(expires=expires)


def test_a_time_that_is_text_is_refused() -> None:
    with pytest.raises(TypeError, match="expected a number of seconds"):
        Scheduler().options(expires="10")  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_it_may_be_a_timedelta() -> None:
    recorder = Recorder()
    async with Scheduler(observers=(recorder,)) as scheduler:
        await scheduler.pause()
        await scheduler.options(expires=timedelta(minutes=1)).enqueue(work)
        await anyio.sleep(61)
    assert [at for _, at in expired(recorder)] == [pytest.approx(60, abs=TICK)]
