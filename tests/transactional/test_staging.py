"""What is promised when a job is staged, and what comes of it when it is taken into the queue."""

from __future__ import annotations

import pytest

from pacer import (
    BoundedQueue,
    ImpossibleJobError,
    JobCancelledError,
    JobState,
    MaxWait,
    NotEncodableError,
    NotRunningError,
    QueueFullError,
    Retry,
    Scheduler,
    StoreError,
    TaskError,
    UnknownJobError,
    call,
    events,
)
from pacer.backoff import ConstantBackoff
from pacer.codecs import JsonCodec
from pacer.estimators import MovingAverage
from pacer.pacing import Budget, FixedPause
from pacer.queues import Priority
from pacer.stores import MemoryStore
from pacer.testing import ManualClock

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


# -- seen at once ------------------------------------------------------------------------------------------------------


async def test_a_committed_job_is_found_by_whoever_looks_next(usual, make_scheduler):
    scheduler, ship = make_scheduler()
    async with scheduler, usual() as access:
        await scheduler.pause()
        receipt = await scheduler.using(access.connection).enqueue(ship, "chair")
        with pytest.raises(UnknownJobError):
            await scheduler.job(receipt.job_id)
        await access.commit()
        job = await scheduler.job(receipt.job_id)
        assert (job.state, job.position) == (JobState.QUEUED, 1)
        assert (await scheduler.status()).pending == 1


async def test_a_committed_job_can_be_cancelled_before_it_has_been_taken_in(usual, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, usual() as access:
        await scheduler.pause()
        receipt = await scheduler.using(access.connection).enqueue(ship, "chair")
        await access.commit()
        assert await scheduler.cancel(receipt.job_id)
        await scheduler.resume()
        await scheduler.drain(timeout=60)
    assert ran == []


async def test_a_scheduler_that_waits_for_jobs_starts_what_another_process_commits(
    usual, make_scheduler, recorder, ran
):
    producer, ship = make_scheduler(worker_concurrency=0, observers=())
    worker, _ = make_scheduler()
    async with producer, worker, usual() as access:
        receipt = await producer.using(access.connection).enqueue(ship, "chair")
        await access.commit()
        assert await producer.wait(receipt) == "chair is on its way"
    assert ran == ["chair"]


async def test_a_job_is_told_of_when_it_is_taken_in_before_it_runs(usual, make_scheduler, recorder):
    scheduler, ship = make_scheduler()
    async with scheduler, usual() as access:
        receipt = await scheduler.using(access.connection).enqueue(ship, "chair")
        assert recorder.of(events.JobEnqueued) == []
        await access.commit()
        await scheduler.wait(receipt)
    told = [name for name in recorder.names if name in ("JobEnqueued", "JobStarted", "JobSucceeded")]
    assert told == ["JobEnqueued", "JobStarted", "JobSucceeded"]


async def test_of_several_processes_the_one_that_takes_a_job_in_tells_of_it(usual, make_scheduler, recorder):
    schedulers = [make_scheduler() for _ in range(3)]
    async with schedulers[0][0], schedulers[1][0], schedulers[2][0], usual() as access:
        (scheduler, ship), *_ = schedulers
        using = scheduler.using(access.connection)
        batch = await using.enqueue_many([call(ship, str(number)) for number in range(10)])
        await access.commit()
        assert await scheduler.drain(timeout=60)
    assert [event.size for event in recorder.of(events.BatchEnqueued)] == [10]
    told = [event.job_id for event in recorder.of(events.JobEnqueued)]
    assert told == [receipt.job_id for receipt in batch.receipts]


# -- as it was asked for -----------------------------------------------------------------------------------------------


async def test_options_come_along(usual, make_scheduler, ran):
    scheduler, ship = make_scheduler(queue=BoundedQueue(50, order=Priority()))
    async with scheduler, usual() as access:
        await scheduler.pause()
        using = scheduler.using(access.connection)
        await using.enqueue(ship, "second")
        urgent = using.options(
            job_id="u",
            priority=9,
            key="tenant",
            cost={"requests": 2},
            timeout=5,
            retry=Retry(3, ConstantBackoff(1)),
            unique="only",
        )
        await urgent.enqueue(ship, "first")
        await access.commit()
        job = await scheduler.job("u")
        assert (job.priority, job.key, job.position) == (9, "tenant", 1)
        record = await scheduler._running.worker.ledger.job("u")
        assert (record.cost, record.timeout, record.retry) == ({"requests": 2}, 5, Retry(3, ConstantBackoff(1)))
        assert not (await scheduler.options(unique="only").enqueue(ship, "third")).created
        await scheduler.resume()
        await scheduler.drain(timeout=60)
    assert ran == ["first", "second"]


async def test_arguments_may_be_any_text(usual, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    text = "Stuhl \N{CHAIR} \"'$1 %s :x ? \n\\" + "x" * 100_000
    async with scheduler, usual() as access:
        receipt = await scheduler.using(access.connection).options(job_id="\N{CHAIR} 'a' %s").enqueue(ship, text)
        await access.commit()
        await scheduler.wait(receipt)
    assert ran == [text]


async def test_arguments_may_be_bytes(usual, make_scheduler, ran):
    scheduler, ship = make_scheduler(store={"codec": Reversed()})
    async with scheduler, usual() as access:
        receipt = await scheduler.using(access.connection).enqueue(ship, "chair\0")
        await access.commit()
        await scheduler.wait(receipt)
    assert ran == ["chair\0"]


class Reversed(JsonCodec):
    """Writes arguments as bytes, and with them some that are no text."""

    def encode_call(self, task, args, kwargs):
        return b"\xff\0" + super().encode_call(task, args, kwargs).encode()[::-1]

    def decode_call(self, payload):
        assert payload[:2] == b"\xff\0"
        return super().decode_call(payload[2:][::-1].decode())


async def test_delay_and_expiry_count_from_the_call(usual, make_scheduler):
    clock = ManualClock()
    scheduler, ship = make_scheduler(store={"clock": clock, "lease": 1000})
    async with scheduler, usual() as access:
        await scheduler.pause()
        called = scheduler.utc(clock.now)
        using = scheduler.using(access.connection)
        brief = await using.options(expires=15).enqueue(ship, "brief")
        late = await using.options(expires=5).enqueue(ship, "late")
        delayed = await using.options(delay=30).enqueue(ship, "delayed")
        over = await using.options(delay=5).enqueue(ship, "over")
        clock.advance(10)
        await access.commit()
        jobs = {one.job_id: await scheduler.job(one.job_id) for one in (brief, late, delayed, over)}
        assert {job.created_at for job in jobs.values()} == {called}
        assert (jobs[delayed.job_id].ready_at - called).total_seconds() == 30
        assert jobs[late.job_id].state is JobState.EXPIRED
        waiting = [brief, over, delayed]
        assert [jobs[one.job_id].position for one in waiting] == [1, 2, 3]
        clock.advance(5)
        assert (await scheduler.job(brief.job_id)).state is JobState.EXPIRED


async def test_jobs_come_in_the_order_in_which_they_were_staged(usual, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, usual() as access:
        for number in range(5):
            await scheduler.using(access.connection).enqueue(ship, str(number))
        await access.commit()
        await scheduler.drain(timeout=60)
    assert ran == [*"01234"]


# -- room --------------------------------------------------------------------------------------------------------------


async def test_a_full_queue_refuses_and_the_transaction_goes_on(database, usual, make_scheduler, recorder):
    scheduler, ship = make_scheduler(queue=BoundedQueue(2), pacing=FixedPause(10))
    async with scheduler, usual() as access:
        await scheduler.pause()
        await scheduler.enqueue(ship, "waits")
        await access.order("chair")
        using = scheduler.using(access.connection)
        await using.enqueue(ship, "staged")  # counts as waiting
        with pytest.raises(QueueFullError) as refused:
            await using.enqueue(ship, "one too many")
        assert refused.value.capacity == 2
        await access.commit()
        assert await database.orders() == ["chair"]
        assert (await scheduler.status()).pending == 2
        assert [event.jobs for event in recorder.of(events.QueueRefused)] == [1]


async def test_a_queue_goes_on_after_it_has_refused(usual, make_scheduler):
    """An application that answers 429 need not end a transaction that it has not begun."""
    scheduler, ship = make_scheduler(queue=BoundedQueue(1))
    async with scheduler, usual() as access:
        await scheduler.pause()
        await scheduler.enqueue(ship, "waits")
        with pytest.raises(QueueFullError):
            await scheduler.using(access.connection).enqueue(ship, "one too many")
        await scheduler.resume()
        assert await scheduler.drain(timeout=60)


async def test_a_batch_that_finds_no_room_leaves_nothing(usual, make_scheduler):
    scheduler, ship = make_scheduler(queue=BoundedQueue(3))
    async with scheduler, usual() as access:
        await scheduler.pause()
        using = scheduler.using(access.connection)
        await using.enqueue(ship, "one")
        with pytest.raises(QueueFullError):
            await using.enqueue_many([call(ship, name) for name in ("two", "three", "four")])
        await access.commit()
        assert (await scheduler.status()).pending == 1


async def test_room_is_not_waited_for_within_a_transaction(usual, make_scheduler):
    scheduler, ship = make_scheduler(queue=BoundedQueue(1, "wait"))
    async with scheduler, usual() as access:
        await scheduler.pause()
        await scheduler.enqueue(ship, "waits")
        with pytest.raises(QueueFullError):
            await scheduler.using(access.connection).enqueue(ship, "does not wait")


async def test_the_oldest_is_dropped_when_the_newer_one_comes_in(usual, make_scheduler, recorder):
    scheduler, ship = make_scheduler(queue=BoundedQueue(1, "drop-oldest"))
    async with scheduler, usual() as access:
        await scheduler.pause()
        old = await scheduler.enqueue(ship, "old")
        await scheduler.using(access.connection).enqueue(ship, "rolled back")
        await access.rollback()
        assert (await scheduler.job(old.job_id)).state is JobState.QUEUED
        new = await scheduler.using(access.connection).enqueue(ship, "new")
        await access.commit()
        assert (await scheduler.job(old.job_id)).state is JobState.DROPPED
        assert (await scheduler.job(new.job_id)).state is JobState.QUEUED
        with pytest.raises(JobCancelledError):
            await scheduler.wait(old)
        await scheduler.resume()
        await scheduler.wait(new)
    assert [event.job_id for event in recorder.of(events.JobDropped)] == [old.job_id]


async def test_a_queue_that_promises_a_wait_counts_what_is_staged(usual, make_scheduler):
    scheduler, ship = make_scheduler(
        queue=MaxWait(100), pacing=FixedPause(30), estimator=MovingAverage(initial=30), concurrency=1
    )
    async with scheduler, usual() as access:
        using = scheduler.using(access.connection)
        with pytest.raises(QueueFullError) as refused:
            for number in range(10):
                await using.enqueue(ship, str(number))
        assert 1 < number < 4
        assert "no more than 100 s are promised" in str(refused.value)
        await access.rollback()


async def test_a_receipt_has_the_last_place_that_is_possible_and_its_forecast(usual, make_scheduler):
    scheduler, ship = make_scheduler(pacing=FixedPause(10), estimator=MovingAverage(initial=50))
    async with scheduler, usual() as access:
        await scheduler.pause()
        await scheduler.enqueue(ship, "waits")
        await scheduler.resume()
        await scheduler.drain(timeout=60)
        await scheduler.enqueue(ship, "waits for its pace")
        using = scheduler.using(access.connection)
        first, second = await using.enqueue(ship, "a"), await using.enqueue(ship, "b")
        assert (first.position, second.position) == (2, 3)
        assert 10 < first.estimate.seconds < second.estimate.seconds
        await access.rollback()


# -- doubles -----------------------------------------------------------------------------------------------------------


async def test_a_job_that_exists_already_is_given_back(usual, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, usual() as access:
        done = await scheduler.options(job_id="done").enqueue(ship, "done")
        await scheduler.wait(done)
        await scheduler.pause()
        await scheduler.options(job_id="waits", unique="u").enqueue(ship, "waits")
        using = scheduler.using(access.connection)
        again = await using.options(job_id="done").enqueue(ship, "again")
        assert (again.created, again.state, again.position) == (False, JobState.SUCCEEDED, None)
        same = await using.options(unique="u").enqueue(ship, "same")
        assert (same.created, same.job_id, same.state, same.position) == (False, "waits", JobState.QUEUED, 1)
        many = await using.enqueue_many([call(ship, "x").named("done"), call(ship, "new").named("new")])
        assert [one.created for one in many.receipts] == [False, True]
        await access.commit()
        await scheduler.resume()
        await scheduler.drain(timeout=60)
    assert ran == ["done", "waits", "new"]


async def test_a_key_of_a_job_that_has_ended_is_free(usual, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, usual() as access:
        await scheduler.wait(await scheduler.options(unique="u").enqueue(ship, "first"))
        receipt = await scheduler.using(access.connection).options(unique="u").enqueue(ship, "second")
        await access.commit()
        assert receipt.created
        await scheduler.wait(receipt)
    assert ran == ["first", "second"]


# -- mistakes ----------------------------------------------------------------------------------------------------------


async def test_a_function_that_is_not_registered_cannot_be_part_of_a_transaction(usual, make_scheduler):
    scheduler, _ = make_scheduler()

    async def local() -> None: ...

    async with scheduler, usual() as access:
        using = scheduler.using(access.connection)
        with pytest.raises(TaskError, match=r"local is not registered.*@scheduler\.task"):
            await using.enqueue(local)
        with pytest.raises(TaskError, match="not registered"):
            await using.enqueue_many([call(local)])


async def test_impossible_jobs_are_refused_as_by_enqueue(usual, make_scheduler):
    scheduler, ship = make_scheduler(pacing=Budget(tokens=10, per=60))
    async with scheduler, usual() as access:
        using = scheduler.using(access.connection)
        with pytest.raises(ImpossibleJobError):
            await using.options(cost={"tokens": 100}).enqueue(ship, "too much")
        with pytest.raises(NotEncodableError, match="argument 1 of ship"):
            await using.enqueue(ship, {1, 2})
        with pytest.raises(ValueError, match="job_id must have 1 to 200 characters"):
            using.options(job_id="")


async def test_a_store_without_transactions_says_which_have_them():
    async def work() -> None: ...

    scheduler = Scheduler(store=MemoryStore())
    scheduler.task(work)
    async with scheduler:
        with pytest.raises(StoreError, match="SqliteStore and PostgresStore can"):
            await scheduler.using(object()).enqueue(work)


async def test_what_is_no_connection_is_told_what_would_be_one(usual, make_scheduler):
    scheduler, ship = make_scheduler()
    async with scheduler, usual() as access:
        for thing in "app.db", None, type(access.connection):
            with pytest.raises(TypeError, match=r"is no connection to this store\. Give an? .*Connection"):
                await scheduler.using(thing).enqueue(ship, "chair")


async def test_a_scheduler_that_does_not_run_enqueues_nothing(usual, make_scheduler):
    scheduler, ship = make_scheduler()
    async with usual() as access:
        with pytest.raises(NotRunningError):
            await scheduler.using(access.connection).enqueue(ship, "chair")


async def test_a_closed_connection_says_so(usual, make_scheduler):
    scheduler, ship = make_scheduler()
    async with scheduler:
        async with usual() as access:
            pass
        with pytest.raises(StoreError, match=r"the connection cannot be used: .*(closed|no active)"):
            await scheduler.using(access.connection).enqueue(ship, "chair")
