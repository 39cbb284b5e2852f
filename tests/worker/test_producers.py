"""A process that only enqueues, asks and steers: `Scheduler(worker_concurrency=0)`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anyio
import pytest
from fastapi import FastAPI

from pacer import JobState, Scheduler, TaskError, events
from pacer.fastapi import lifespan, queue_router
from pacer.pacing import FixedPause
from pacer.protocols import Store
from pacer.stores import MemoryStore
from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore, Recorder, run_virtual

LEASE = 30.0


def sqlite(path: Path) -> Store:
    """A process's own store on the file, in virtual time; call it on the loop."""
    clock = asyncio.get_running_loop().time
    return HeldStore(SqliteStore(path / "jobs.db", durability="process", lease=LEASE, clock=clock))


def stranger_on(store: Store, **settings: Any) -> Scheduler:
    """The scheduler of one process, on the same queue, that knows no task."""
    return Scheduler(store=store, pacing=FixedPause(10), **settings)


def scheduler_on(store: Store, **settings: Any) -> tuple[Scheduler, Any]:
    """The scheduler of one process, and its task."""
    scheduler = stranger_on(store, **settings)

    @scheduler.task(name="work")
    async def work(n: int) -> int:
        await anyio.sleep(1)
        return n

    return scheduler, work


def test_it_runs_no_job_and_another_process_does_at_the_queues_pace(tmp_path: Path) -> None:
    async def main() -> None:
        producer, work = scheduler_on(sqlite(tmp_path), worker_concurrency=0)
        worker, _ = scheduler_on(sqlite(tmp_path))
        async with producer:
            receipts = [await producer.enqueue(work, n) for n in range(3)]
            assert [receipt.position for receipt in receipts] == [1, 2, 3]
            await anyio.sleep(1000)
            status = await producer.status()
            assert (status.pending, status.running, status.working) == (3, 0, False)
            async with worker:
                assert (await worker.status()).working
                began = anyio.current_time()
                assert [await producer.wait(receipt) for receipt in receipts] == [0, 1, 2]
                assert anyio.current_time() - began == pytest.approx(23, abs=0.5)  # the producer looks now and then
                assert await producer.drain()

    run_virtual(main)


def test_jobs_wait_for_a_worker_as_long_as_a_process_lives_that_knows_their_function(tmp_path: Path) -> None:
    async def main() -> None:
        producer, work = scheduler_on(sqlite(tmp_path), worker_concurrency=0)
        async with producer:
            receipt = await producer.enqueue(work, 1)
            for _ in range(3):  # workers that do not know it come and go
                async with stranger_on(sqlite(tmp_path)):
                    await anyio.sleep(LEASE * 2)
            assert (await producer.job(receipt.job_id)).state is JobState.QUEUED
        async with stranger_on(sqlite(tmp_path)) as stranger:
            assert (await stranger.job(receipt.job_id)).state is JobState.STALE

    run_virtual(main)


def test_it_answers_estimates_and_steers_as_any_other(tmp_path: Path) -> None:
    async def main() -> None:
        producer, work = scheduler_on(sqlite(tmp_path), worker_concurrency=0)
        worker, _ = scheduler_on(sqlite(tmp_path))
        async with producer, worker:
            with producer.subscribe() as told:
                first = await producer.enqueue(work, 1)
                assert isinstance(await anext(told), events.JobEnqueued)
            await producer.wait(first)
            await producer.pause()
            second = await producer.enqueue(work, 2)
            assert second.estimate is None
            await producer.resume()
            estimate = await producer.estimate(second.job_id)
            assert estimate is not None
            assert 0 < estimate.seconds <= 10
            assert await producer.cancel(second.job_id)
            assert (await worker.job(second.job_id)).state is JobState.CANCELLED

    run_virtual(main)


def test_it_cares_for_the_queue_expired_jobs_leave_and_those_of_a_lost_worker_go_back(tmp_path: Path) -> None:
    async def main() -> None:
        recorder = Recorder()
        producer, work = scheduler_on(sqlite(tmp_path), worker_concurrency=0, observers=(recorder,))
        store = sqlite(tmp_path)
        async with producer:
            receipt = await producer.enqueue(work, 1)
            expiring = await producer.options(expires=100).enqueue(work, 2)
            async with store.open("default", producer._rules(), "lost") as ledger:
                await ledger.recover(frozenset({"work"}))
                (claimed,) = (await ledger.claim(frozenset({"work"}), 1)).jobs
                assert claimed.id == receipt.job_id
                await anyio.sleep(LEASE + 2)  # it holds the job and is not heard of again
                job = await producer.job(receipt.job_id)
                assert (job.state, job.recoveries) == (JobState.QUEUED, 1)
            await anyio.sleep(100)
            assert (await producer.job(expiring.job_id)).state is JobState.EXPIRED
        assert {"JobRecovered", "JobExpired"} <= set(recorder.names)

    run_virtual(main)


@pytest.mark.anyio
async def test_a_function_that_is_not_registered_cannot_be_enqueued_and_nothing_is() -> None:
    async def stray() -> None: ...

    async with Scheduler(worker_concurrency=0) as producer:
        with pytest.raises(TaskError, match=r"stray is not registered, and this process runs no jobs .*Register it"):
            await producer.enqueue(stray)
        assert (await producer.status()).pending == 0


@pytest.mark.anyio
async def test_what_is_put_in_waits_in_memory_too_so_that_a_test_can_look_at_it() -> None:
    producer, work = scheduler_on(MemoryStore(), worker_concurrency=0, stop_timeout=60)
    async with producer:
        await producer.enqueue(work, 1)
        assert not await producer.drain(timeout=100)
    assert anyio.current_time() == pytest.approx(100)  # there is nothing to wait for at the stop


@pytest.mark.parametrize(("asked", "running"), [(None, 3), (0, 0), (2, 2), (5, 3)])
@pytest.mark.anyio
async def test_a_process_runs_as_many_jobs_as_it_is_told_and_the_queue_allows(asked: int | None, running: int) -> None:
    scheduler = Scheduler(concurrency=3, worker_concurrency=asked)
    work = scheduler.task(anyio.sleep)
    async with scheduler:
        for _ in range(6):
            await scheduler.enqueue(work, 10)
        await anyio.sleep(1)
        assert (await scheduler.status()).running == running


@pytest.mark.parametrize("impossible", [-1, 1.5, True])
def test_other_numbers_are_refused(impossible: Any) -> None:
    with pytest.raises(ValueError, match="worker_concurrency must be a whole number, 0 or more"):
        Scheduler(worker_concurrency=impossible)


@pytest.mark.anyio
@pytest.mark.asyncio_only
async def test_a_web_process_enqueues_and_shows_what_it_does_not_run() -> None:
    import httpx

    producer, work = scheduler_on(MemoryStore(), worker_concurrency=0)
    app = FastAPI(lifespan=lifespan(producer))
    app.include_router(queue_router(producer))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app") as client,
    ):
        job_id = (await producer.enqueue(work, 1)).job_id
        status = (await client.get("/queue/status")).json()
        assert (status["pending"], status["working"]) == (1, False)
        assert (await client.get(f"/queue/jobs/{job_id}")).json()["state"] == "queued"
