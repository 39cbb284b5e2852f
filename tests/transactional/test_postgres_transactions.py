"""What is particular to transactions in PostgreSQL: many may be open at once, and none of them holds up the queue."""

from __future__ import annotations

import asyncio
import contextlib

import anyio
import asyncpg
import psycopg
import pytest
from databases import Postgres
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import create_async_engine

from pacer import JobState, NotEncodableError, StoreError, StoreUnavailableError, UnknownJobError, events
from pacer.stores._postgres._backend import PostgresBackend

DATABASES = ["postgres"]
pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


@contextlib.asynccontextmanager
async def connected(dsn, **settings):
    connection = await psycopg.AsyncConnection.connect(dsn, **settings)
    try:
        yield connection
    finally:
        await connection.close()


def other_database(database, name):
    return f"{database.dsn.rpartition('/')[0]}/{name}"


@pytest.fixture
async def waiting(postgres):
    """Waits until some session waits for another one."""

    async def wait() -> None:
        async with connected(postgres.dsn, autocommit=True) as connection:
            with anyio.fail_after(60):
                while True:
                    found = await connection.execute("SELECT 1 FROM pg_locks WHERE NOT granted")
                    if await found.fetchone():
                        return

    return wait


# -- many at once ------------------------------------------------------------------------------------------------------


async def test_an_open_transaction_holds_up_nobody(database, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn) as one, connected(database.dsn) as other:
        await scheduler.using(one).enqueue(ship, "last")
        await scheduler.using(other).enqueue(ship, "second")
        await scheduler.wait(await scheduler.enqueue(ship, "first"))
        await other.commit()
        assert await scheduler.drain(timeout=60)
        await one.commit()
        assert await scheduler.drain(timeout=60)
    assert ran == ["first", "second", "last"]


@pytest.mark.parametrize("options", [{"job_id": "a"}, {"unique": "u"}], ids=["id", "unique key"])
@pytest.mark.parametrize("commits", [True, False], ids=["commits", "rolls back"])
async def test_of_two_that_want_the_same_the_second_waits_for_the_end_of_the_first(
    database, make_scheduler, waiting, ran, options, commits
):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn) as one, connected(database.dsn) as other:
        first = await scheduler.using(one).options(**options).enqueue(ship, "first")
        second = asyncio.ensure_future(scheduler.using(other).options(**options).enqueue(ship, "second"))
        await waiting()
        assert not second.done()
        await (one.commit() if commits else one.rollback())
        receipt = await second
        assert receipt.created is not commits
        assert (receipt.job_id == first.job_id) is (commits or "job_id" in options)
        await other.commit()
        await scheduler.wait(receipt)
    assert ran == ["first" if commits else "second"]


async def test_where_the_second_may_not_see_what_the_first_did_the_database_refuses_it(
    database, make_scheduler, waiting
):
    """Errors of the driver are left as they are: applications try such transactions again."""
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn) as one, connected(database.dsn) as other:
        await other.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        await scheduler.using(one).options(job_id="a").enqueue(ship, "first")
        second = asyncio.ensure_future(scheduler.using(other).options(job_id="a").enqueue(ship, "second"))
        await waiting()
        await one.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            await second


async def test_a_job_that_was_enqueued_elsewhere_meanwhile_stands(database, make_scheduler, recorder, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn) as connection:
        await scheduler.pause()
        using = scheduler.using(connection)
        await using.options(job_id="same").enqueue(ship, "ours, with the same id")
        ours = await using.options(unique="u").enqueue(ship, "ours, with the same key")
        await scheduler.options(job_id="same").enqueue(ship, "theirs")
        await scheduler.options(job_id="theirs", unique="u").enqueue(ship, "theirs")
        await connection.commit()
        job = await scheduler.job(ours.job_id)
        assert job.state is JobState.DROPPED
        assert job.error == "job theirs with the same unique key was there first"
        await scheduler.resume()
        await scheduler.drain(timeout=60)
    assert ran == ["theirs", "theirs"]
    assert [event.job_id for event in recorder.of(events.JobDropped)] == [ours.job_id]


async def test_many_transactions_at_once_lose_nothing_and_double_nothing(database, make_scheduler, ran):
    scheduler, ship = make_scheduler(concurrency=10)
    helper, _ = make_scheduler(concurrency=10)
    committed = []

    async def traffic(number: int) -> None:
        async with connected(database.dsn) as connection:
            for turn in range(10):
                name = f"{number}-{turn}"
                await scheduler.using(connection).options(job_id=name).enqueue(ship, name)
                if (number + turn) % 3:
                    await connection.commit()
                    committed.append(name)
                else:
                    await connection.rollback()

    async with scheduler, helper:
        await asyncio.gather(*map(traffic, range(8)))
        assert await scheduler.drain(timeout=60)
        assert (await scheduler.status()).succeeded == len(committed)
    assert sorted(ran) == sorted(committed)


async def test_what_is_rolled_back_to_a_savepoint_never_was(database, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn) as connection:
        await scheduler.using(connection).enqueue(ship, "kept")
        with pytest.raises(ZeroDivisionError):
            async with connection.transaction():
                await scheduler.using(connection).enqueue(ship, "lost")
                raise ZeroDivisionError
        await connection.commit()
        await scheduler.drain(timeout=60)
    assert ran == ["kept"]


@pytest.mark.parametrize("level", list(psycopg.IsolationLevel), ids=lambda level: level.name)
async def test_a_transaction_may_have_any_isolation(database, make_scheduler, ran, level):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn) as connection:
        await connection.set_isolation_level(level)
        await scheduler.using(connection).enqueue(ship, "first")
        await scheduler.wait(await scheduler.enqueue(ship, "in between"))
        receipt = await scheduler.using(connection).enqueue(ship, "second")
        await connection.commit()
        await scheduler.wait(receipt)
    assert ran == ["in between", "first", "second"]


async def test_a_commit_whose_answer_is_lost_takes_a_job_in_once(database, make_scheduler, monkeypatch, recorder, ran):
    write, lost = PostgresBackend.write, []

    def write_and_lose_the_answer(self, writing):
        done = write(self, writing)
        if writing.unstage and not lost:
            lost.append(writing)
            raise StoreUnavailableError("the answer was lost")
        return done

    monkeypatch.setattr(PostgresBackend, "write", write_and_lose_the_answer)
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn) as connection:
        receipt = await scheduler.using(connection).enqueue(ship, "chair")
        await connection.commit()
        await scheduler.wait(receipt)
        await scheduler.drain(timeout=60)
    assert len(lost) == 1
    assert ran == ["chair"]
    assert [event.job_id for event in recorder.of(events.JobEnqueued)] == [receipt.job_id]


# -- heard of ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_heartbeat(monkeypatch):
    """Nobody looks at the queue unless there is a reason to."""
    monkeypatch.setattr("pacer.stores._ledger._LONGEST_HEARTBEAT", 3600.0)


@pytest.mark.usefixtures("no_heartbeat")
async def test_a_commit_wakes_workers_that_look_once_an_hour(database, make_scheduler):
    store = {"poll": 3600, "lease": 4 * 3600}
    producer, ship = make_scheduler(store=store, worker_concurrency=0)
    worker, _ = make_scheduler(store=store)
    ran = anyio.Event()

    async def tell() -> None:
        ran.set()

    for one in producer, worker:
        one.task(tell)
    async with producer, worker, connected(database.dsn) as connection:
        # A worker that is alone for a while is no longer looking at what others do before it commits.
        for _ in range(10):
            await worker.wait(await worker.enqueue(ship, "chair"))
        await producer.using(connection).enqueue(tell)
        await connection.commit()
        with anyio.fail_after(60):
            await ran.wait()


async def test_behind_a_pooler_committed_jobs_are_found_too(database, make_scheduler, ran):
    scheduler, ship = make_scheduler(store={"pooled": True})
    async with scheduler, connected(database.dsn) as connection:
        await scheduler.wait(await scheduler.enqueue(ship, "before"))
        receipt = await scheduler.using(connection).enqueue(ship, "chair")
        await connection.commit()
        await scheduler.wait(receipt)
    assert ran == ["before", "chair"]


# -- connections -------------------------------------------------------------------------------------------------------


async def test_a_connection_that_commits_each_statement_is_refused_outside_a_transaction(database, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn, autocommit=True) as connection:
        with pytest.raises(StoreError, match=r"in no transaction.*connection\.transaction\(\)"):
            await scheduler.using(connection).enqueue(ship, "never")
        async with connection.transaction():
            receipt = await scheduler.using(connection).enqueue(ship, "chair")
        await scheduler.wait(receipt)
    assert ran == ["chair"]


async def test_asyncpgs_connections_are_refused_outside_a_transaction(database, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, asyncpg.create_pool(database.dsn, min_size=1) as pool:
        async with pool.acquire() as connection:
            with pytest.raises(StoreError, match="in no transaction"):
                await scheduler.using(connection).enqueue(ship, "never")
            async with connection.transaction():
                receipt = await scheduler.using(connection).enqueue(ship, "chair")
            await scheduler.wait(receipt)
        with pytest.raises(StoreError, match="it is closed"):
            await scheduler.using(connection).enqueue(ship, "given back to the pool")
    assert ran == ["chair"]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_sqlalchemys_autocommit_is_refused(database, make_scheduler, driver):
    scheduler, ship = make_scheduler()
    url = database.dsn.replace("postgresql:", f"postgresql+{driver}:")
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with scheduler, engine.connect() as connection:
        with pytest.raises(StoreError, match="in no transaction"):
            await scheduler.using(connection).enqueue(ship, "never")
    await engine.dispose()


async def test_a_connection_to_another_database_is_refused(database, make_scheduler):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(other_database(database, "postgres")) as connection:
        with pytest.raises(
            StoreError,
            match=r"does not see the queue 'default'.*connect to the same database.*has failed.*roll it back",
        ) as refused:
            await scheduler.using(connection).enqueue(ship, "never")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await connection.execute("SELECT 1")
    assert "never-to-be-shown" not in str(refused.value)


async def test_a_database_with_a_queue_of_the_same_name_is_another_one(database, make_scheduler):
    scheduler, ship = make_scheduler()
    async with connected(database.dsn, autocommit=True) as admin:
        await admin.execute("CREATE DATABASE twin")
    elsewhere = other_database(database, "twin")
    twin = Postgres(elsewhere, database.schema, database.table)
    other, _ = make_scheduler()
    other.store = twin.store()
    async with scheduler, other, connected(elsewhere) as connection:
        with pytest.raises(StoreError, match=r"after the scheduler has started\.$"):
            await scheduler.using(connection).enqueue(ship, "never")


async def test_rows_may_come_in_whatever_form_the_application_likes(database, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn, row_factory=dict_row) as connection:
        receipt = await scheduler.using(connection).enqueue(ship, "chair")
        await connection.commit()
        await scheduler.wait(receipt)
    assert ran == ["chair"]


async def test_text_that_postgresql_cannot_hold_is_refused_before_it_is_sent(database, make_scheduler):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn) as connection:
        with pytest.raises(NotEncodableError, match="has a NUL"):
            await scheduler.using(connection).options(key="a\0b").enqueue(ship, "never")
        receipt = await scheduler.using(connection).enqueue(ship, "the transaction goes on")
        await connection.commit()
        await scheduler.wait(receipt)


async def test_a_transaction_that_has_failed_is_its_owners_to_end(database, make_scheduler):
    scheduler, ship = make_scheduler()
    async with scheduler, connected(database.dsn) as connection:
        with contextlib.suppress(psycopg.errors.DivisionByZero):
            await connection.execute("SELECT 1 / 0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            await scheduler.using(connection).enqueue(ship, "never")


# -- rights ------------------------------------------------------------------------------------------------------------

GRANTS = """
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON {schema}.pacer_queues, {schema}.pacer_jobs, {schema}.pacer_workers TO {role};
GRANT SELECT, INSERT ON {schema}.pacer_stage TO {role};
"""


async def test_an_application_needs_few_rights(database, make_scheduler, ran):
    scheduler, ship = make_scheduler()
    role = f"app_{database.table}"
    schema = '"' + database.schema.replace('"', '""') + '"'
    async with scheduler, connected(database.dsn, autocommit=True) as admin:
        await admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        dsn = database.dsn.replace("pacer:never-to-be-shown", f"{role}:secret")
        async with connected(dsn) as connection:
            with pytest.raises(
                StoreError,
                match=r"may not enqueue: permission denied.*SELECT and INSERT on pacer_stage.*has failed.*roll it back",
            ):
                await scheduler.using(connection).enqueue(ship, "never")
            await connection.rollback()
            await admin.execute(GRANTS.format(schema=schema, role=role))
            receipt = await scheduler.using(connection).enqueue(ship, "chair")
            with pytest.raises(UnknownJobError):
                await scheduler.job(receipt.job_id)
            await connection.commit()
            await scheduler.wait(receipt)
    assert ran == ["chair"]
