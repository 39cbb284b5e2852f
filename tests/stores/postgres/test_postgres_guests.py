"""Which queues a database holds; and those who look at one and steer it, with no more rights than that takes."""

from __future__ import annotations

import anyio
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pacer import (
    JobState,
    NewerSchemaError,
    ReadOnlyStoreError,
    Scheduler,
    StoreError,
    StoreUnavailableError,
    UnknownQueueError,
    UnsupportedBackendError,
)
from pacer.pacing import ManualPace
from pacer.stores._postgres._privileges import guest_grants
from pacer.stores._postgres._schema import VERSION
from pacer.stores.postgres import PostgresStore, migrate

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

NAMES = ["", "%s", "default", 'mails "urgent"', "x" * 200, "ä ö"]
TABLES = "SELECT count(*) FROM pg_class WHERE relnamespace::regnamespace::text = quote_ident($1)"


async def work(fails: bool = False) -> str:
    if fails:
        raise ValueError("broken")
    return "done"


def scheduler(place, dsn=None, *, guest=False, store=None, **parts):
    """With this function."""
    settings = {"poll": 0.1, **(store or {})}
    made = Scheduler(
        store=PostgresStore(dsn or place.dsn, schema=place.schema, **settings),
        pacing=ManualPace(100),
        guest=guest,
        observers=(),
        **parts,
    )
    made.task(name="work")(work)
    return made


def kept(place):
    """All that is kept, and in what version of each row."""
    tables = place.ask("SELECT tablename FROM pg_tables WHERE schemaname = $1 ORDER BY 1", place.schema)
    return [place.ask(f"SELECT xmin::text, t::text FROM <schema>.{table} AS t ORDER BY 2") for (table,) in tables]


# -- queues ----------------------------------------------------------------------------------------------------------


async def test_queues_are_listed_by_name_with_what_they_run_with(place):
    store = PostgresStore(place.dsn, schema=place.schema)
    assert await store.queues() == []
    assert place.ask(TABLES, place.schema) == [(0,)], "to ask makes nothing"
    for name in NAMES[1:]:
        async with scheduler(place, name=name):
            pass
    place.ask("UPDATE <schema>.pacer_queues SET name = '' WHERE name = '%s'")
    before = kept(place)
    found = {one.name: one.terms["pacing"] for one in await store.queues()}
    assert set(found) == {*NAMES} - {"%s"}
    assert [one.startswith("ManualPace(rate=100") for one in found.values()] == [True] * len(found)
    assert kept(place) == before


async def test_queues_that_cannot_be_listed_say_why(place, role):
    store = PostgresStore(place.dsn, schema=place.schema)
    migrate(place.dsn, place.schema)
    with pytest.raises(ReadOnlyStoreError, match="lacks privileges on the schema"):
        await PostgresStore(role[1], schema=place.schema).queues()
    with pytest.raises(StoreUnavailableError, match="Check that the server runs"):
        await PostgresStore("host=127.0.0.1 port=1 user=nobody").queues()
    place.ask("INSERT INTO <schema>.pacer_migrations (version) VALUES ($1::integer)", str(VERSION + 1))
    with pytest.raises(NewerSchemaError):
        await store.queues()


def test_to_ask_for_queues_needs_asyncio(place):
    with pytest.raises(UnsupportedBackendError, match="PostgresStore runs on asyncio only"):
        anyio.run(PostgresStore(place.dsn, schema=place.schema).queues, backend="trio")


# -- guests ----------------------------------------------------------------------------------------------------------


async def test_a_guest_makes_nothing_and_one_that_only_looks_leaves_nothing(place):
    with pytest.raises(UnknownQueueError, match="it holds none"):
        async with scheduler(place, guest=True):
            raise AssertionError("it came in")
    assert place.ask(TABLES, place.schema) == [(0,)]
    async with scheduler(place):
        pass
    with pytest.raises(UnknownQueueError, match="'nobody'; it holds 'default'"):
        async with scheduler(place, guest=True, name="nobody"):
            raise AssertionError("it came in")
    before = kept(place)
    async with scheduler(place, guest=True) as guest:
        await look(guest)
    assert kept(place) == before


async def look(guest, *job_ids):
    """Ask all that there is to ask."""
    status = await guest.status()
    for state in JobState:
        await guest.jobs(state)
    await guest.tally()
    await guest.upcoming()
    await guest.workers()
    await guest.numbers()
    await guest.history()
    for job_id in job_ids:
        await guest.job(job_id)
        await guest.explain(job_id)
        await guest.arguments(job_id)
    return status


async def test_a_role_that_may_only_look_sees_everything_and_is_told_what_it_needs_to_steer(place, role):
    name, dsn = role
    producer = scheduler(place, worker_concurrency=0)
    async with producer:
        waits = await producer.enqueue(work)
        delayed = await producer.options(delay=0.2).enqueue(work)
        await producer.options(expires=0.2).enqueue(work)
    for statement in guest_grants(place.schema, name).rstrip(";").split(";"):
        with pytest.raises(ReadOnlyStoreError, match="lacks privileges on"):
            async with scheduler(place, dsn, guest=True):
                raise AssertionError("it came in")
        place.ask(statement)
    before = kept(place)
    async with scheduler(place, dsn, guest=True) as guest:
        with anyio.fail_after(30):
            # There is nobody who would make a job ready whose time has come, or take out one that has expired.
            while (await look(guest, waits.job_id, delayed.job_id)).oldest_waiting_seconds < 0.5:
                await anyio.sleep(0.02)
        for steer in (guest.pause, lambda: guest.cancel(waits.job_id), lambda: guest.set_rate(1)):
            with pytest.raises(ReadOnlyStoreError, match="permission denied") as refused:
                await steer()
            assert guest_grants(place.schema, steering=True) in str(refused.value)
        await look(guest, waits.job_id)
    assert kept(place) == before


async def test_a_role_with_what_it_is_told_to_need_steers(place, role):
    name, dsn = role
    worker = scheduler(place)
    async with worker:
        for statement in guest_grants(place.schema, name, steering=True).rstrip(";").split(";"):
            place.ask(statement)
        guest = scheduler(place, dsn, guest=True)
        async with guest:
            failed = await worker.enqueue(work, fails=True)
            with anyio.fail_after(30):
                while (await guest.job(failed.job_id)).state is not JobState.FAILED:
                    await anyio.sleep(0.02)
                await guest.pause()
                assert (await guest.arguments(failed.job_id)) == ([], {"fails": True})
                await guest.retry(failed.job_id)
                assert await guest.cancel(failed.job_id)
                await guest.retry_all(JobState.CANCELLED)
                await guest.set_rate(50)
                await guest.set_numbers({"queue.capacity": 40})
                added = await guest.options(delay=0.1).enqueue(work)
                await guest.resume()
                assert await guest.wait(added) == "done"
                while (await guest.job(failed.job_id)).state is not JobState.FAILED:
                    await anyio.sleep(0.02)
            assert len(await guest.workers()) == 1, "it is none of them"


async def test_workers_hear_of_what_a_guest_does_and_the_guest_looks_often(place):
    """They would look again only in an hour."""
    worker = scheduler(place, store={"poll": 3600, "lease": 3600})
    guest = scheduler(place, store={"poll": 3600, "lease": 3600}, guest=True)
    async with worker, guest:
        with anyio.fail_after(60):
            await guest.pause()
            while not (await worker.status()).paused:
                await anyio.sleep(0.02)
            while worker._running.worker.ledger.poll != 3600:
                await anyio.sleep(0.02)
            receipt = await worker.enqueue(work)
            await guest.resume()
            assert await guest.wait(receipt) == "done", "the worker is alone, and says nothing"


async def test_a_guest_through_a_pooler_looks_and_steers(place):
    worker = scheduler(place)
    guest = scheduler(place, store={"pooled": True}, guest=True)
    async with worker, guest:
        await guest.pause()
        receipt = await guest.enqueue(work)
        assert [one.id for one in (await guest.jobs()).jobs] == [receipt.job_id]
        await guest.resume()
        with anyio.fail_after(30):
            await guest.wait(receipt)


# -- transactions of others ------------------------------------------------------------------------------------------


async def test_a_guest_enqueues_in_transactions_of_its_database_only(place):
    place.ask("CREATE DATABASE another")
    twin = make_conninfo(place.dsn, dbname="another")
    worker = scheduler(place)
    async with worker, scheduler(place, twin), scheduler(place, guest=True) as guest:
        async with await psycopg.AsyncConnection.connect(twin) as connection:
            with pytest.raises(StoreError, match="does not see the queue"):
                await guest.using(connection).enqueue(work)
            await connection.rollback()
        async with await psycopg.AsyncConnection.connect(place.dsn) as connection:
            receipt = await guest.using(connection).enqueue(work)
        with anyio.fail_after(30):
            while not await worker._running.worker.ledger.job(receipt.job_id):
                await anyio.sleep(0.02)
            assert await guest.wait(receipt) == "done"
