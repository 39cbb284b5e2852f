"""A job that is enqueued in a transaction of the application's commits or vanishes with it, on every connection."""

from __future__ import annotations

import contextlib

import pytest

from pacer import JobState, UnknownJobError, call, events

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


async def test_after_a_commit_the_data_is_there_and_the_job_runs(database, kind, make_scheduler):
    scheduler, ship = make_scheduler()
    async with scheduler, database.connect(kind) as access:
        await access.order("chair")
        receipt = await scheduler.using(access.connection).enqueue(ship, "chair")
        assert (receipt.created, receipt.state, receipt.position) == (True, JobState.QUEUED, 1)
        await access.commit()
        assert await scheduler.wait(receipt) == "chair is on its way"
        assert await database.orders() == ["chair"]


class Context:
    """An observer that gives something to jobs, and sees it where they run."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []

    def __call__(self, event: object) -> None: ...

    def headers(self) -> dict[str, str]:
        return {"traceparent": "00-ä\0-01"}

    def running(self, job: object, headers: dict[str, str]) -> contextlib.AbstractContextManager[None]:
        self.seen.append(headers)
        return contextlib.nullcontext()


async def test_what_observers_give_goes_with_the_job(database, kind, make_scheduler):
    context = Context()
    scheduler, ship = make_scheduler(observers=(context,))
    async with scheduler, database.connect(kind) as access:
        receipt = await scheduler.using(access.connection).enqueue(ship, "chair")
        await access.commit()
        await scheduler.wait(receipt)
    assert context.seen == [{"traceparent": "00-ä\0-01"}]


async def test_after_a_rollback_neither_data_nor_job_have_ever_been_there(
    database, kind, make_scheduler, recorder, ran
):
    scheduler, ship = make_scheduler()
    async with scheduler, database.connect(kind) as access:
        await access.order("chair")
        receipt = await scheduler.using(access.connection).options(job_id="chair").enqueue(ship, "chair")
        await access.rollback()
        with pytest.raises(UnknownJobError):
            await scheduler.job(receipt.job_id)
        # Its id is free again.
        again = await scheduler.options(job_id="chair").enqueue(ship, "another chair")
        assert again.created
        await scheduler.wait(again)
        assert await database.orders() == []
    assert ran == ["another chair"]
    assert [event.job_id for event in recorder.of(events.JobEnqueued)] == ["chair"]


async def test_a_job_may_be_what_begins_the_transaction(database, kind, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, database.connect(kind) as access:
        await scheduler.using(access.connection).enqueue(ship, "lost")
        await access.rollback()
        receipt = await scheduler.using(access.connection).enqueue(ship, "kept")
        await access.commit()
        await scheduler.wait(receipt)
    assert ran == ["kept"]


async def test_what_is_not_committed_when_the_connection_ends_is_gone(database, kind, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler:
        async with database.connect(kind) as access:
            await access.order("chair")
            await scheduler.using(access.connection).enqueue(ship, "chair")
        assert (await scheduler.status()).pending == 0
        assert await database.orders() == []
    assert ran == []


async def test_a_batch_is_committed_whole_or_vanishes_whole(database, kind, make_scheduler, recorder, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, database.connect(kind) as access:
        names = [f"chair {number}" for number in range(20)]
        for ending in access.rollback, access.commit:
            await access.order("chairs")
            batch = await scheduler.using(access.connection).enqueue_many([call(ship, name) for name in names])
            assert [receipt.position for receipt in batch.receipts] == [*range(1, 21)]
            await ending()
        assert await scheduler.drain(timeout=60)
        assert (await scheduler.batch(batch.batch_id)).counts == {JobState.SUCCEEDED: 20}
    assert ran == names
    assert [(event.batch_id, event.size) for event in recorder.of(events.BatchEnqueued)] == [(batch.batch_id, 20)]


async def test_within_a_transaction_a_job_with_the_same_id_or_key_is_given_back(database, kind, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, database.connect(kind) as access:
        using = scheduler.using(access.connection)
        first = await using.options(job_id="a", unique="u").enqueue(ship, "first")
        same_id = await using.options(job_id="a").enqueue(ship, "second")
        same_key = await using.options(job_id="b", unique="u").enqueue(ship, "third")
        assert [one.created for one in (first, same_id, same_key)] == [True, False, False]
        assert [one.job_id for one in (first, same_id, same_key)] == ["a", "a", "a"]
        await access.commit()
        await scheduler.drain(timeout=60)
    assert ran == ["first"]
