"""A scheduler on PostgreSQL: what is particular about it."""

from __future__ import annotations

import asyncio

import pytest

from pacer import NotEncodableError, Scheduler, UnsupportedBackendError
from pacer.codecs import JsonCodec
from pacer.stores.postgres import PostgresStore

pytestmark = [pytest.mark.anyio]


@pytest.fixture
def store(postgres, postgres_schema):
    return PostgresStore(postgres.dsn, schema=postgres_schema)


class AsIs(JsonCodec):
    """A codec whose text PostgreSQL's cannot hold."""

    def encode_result(self, task, result):
        return result

    def decode_result(self, payload):
        return payload


@pytest.mark.asyncio_only
@pytest.mark.real_time
@pytest.mark.parametrize("result", ["a\0b", "\ud800", "", b"\0\xff"])
async def test_a_result_comes_back_as_the_codec_gave_it(postgres, postgres_schema, result):
    scheduler = Scheduler(store=PostgresStore(postgres.dsn, schema=postgres_schema, codec=AsIs()))

    @scheduler.task(name="work")
    async def work() -> object:
        return result

    async with scheduler:
        receipt = await scheduler.enqueue(work)
        if result == "\ud800":  # no store keeps it; the job has succeeded all the same
            await asyncio.wait_for(done(scheduler, receipt.job_id), 30)
            return
        assert await scheduler.wait(receipt) == result


async def done(scheduler, job_id):
    while not (await scheduler.job(job_id)).state.final:
        await asyncio.sleep(0.01)
    assert (await scheduler.job(job_id)).state == "succeeded"


@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_large_arguments_are_there_when_the_job_starts_and_too_large_ones_are_refused(postgres, postgres_schema):
    store = PostgresStore(postgres.dsn, schema=postgres_schema, max_payload=100_000)
    scheduler = Scheduler(store=store)
    got = []

    @scheduler.task(name="work")
    async def work(text: str) -> None:
        got.append(text)

    async with scheduler:
        with pytest.raises(NotEncodableError, match="max_payload"):
            await scheduler.enqueue(work, "x" * 100_000)
        for size in (10, 5_000, 90_000):
            await scheduler.wait(await scheduler.enqueue(work, "x" * size))
    assert [len(text) for text in got] == [10, 5_000, 90_000]


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_on_trio_it_says_what_to_take(store):
    with pytest.raises(UnsupportedBackendError, match="PostgresStore runs on asyncio only"):
        async with Scheduler(store=store):
            pass


@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_through_a_pooler_two_workers_share_a_queue(postgres, postgres_schema):
    schedulers = [Scheduler(store=PostgresStore(postgres.dsn, schema=postgres_schema, pooled=True)) for _ in range(2)]
    ran = []
    for number, scheduler in enumerate(schedulers):

        @scheduler.task(name="work")
        async def work(job: int, number: int = number) -> None:
            ran.append((number, job))

    async with schedulers[0], schedulers[1]:
        receipts = [await schedulers[one % 2].enqueue(work, one) for one in range(10)]
        for receipt in receipts:
            await schedulers[0].wait(receipt)
    assert sorted(job for _, job in ran) == list(range(10))
