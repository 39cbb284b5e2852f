"""What is particular to transactions on a SQLite file."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys

import aiosqlite
import pytest
from databases import Sqlite
from sqlalchemy.ext.asyncio import create_async_engine

from pacer import BoundedQueue, JobState, QueueFullError, StoreError, events
from pacer._job import JobRecord
from pacer.stores._sqlite_stage import SqliteStage, SqliteTransaction
from pacer.stores.sqlite import StatusMirror

DATABASES = ["sqlite"]
pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


AUTOCOMMIT = {
    "without isolation level": {"isolation_level": None},
    **({"autocommit": {"autocommit": True}} if sys.version_info >= (3, 12) else {}),
}


@pytest.mark.parametrize("settings", AUTOCOMMIT.values(), ids=AUTOCOMMIT.keys())
async def test_a_connection_that_commits_each_statement_is_refused_until_it_has_begun(
    database, make_scheduler, settings, ran
):
    scheduler, ship = make_scheduler()
    async with scheduler, aiosqlite.connect(database.path, **settings) as threaded:
        with contextlib.closing(sqlite3.connect(database.path, **settings)) as plain:
            for connection in plain, threaded:
                with pytest.raises(StoreError, match=r"commits each statement by itself.*Execute BEGIN first"):
                    await scheduler.using(connection).enqueue(ship, "never")
            plain.execute("BEGIN")
            await scheduler.using(plain).enqueue(ship, "rolled back")
            plain.execute("ROLLBACK")
            await threaded.execute("BEGIN")
            receipt = await scheduler.using(threaded).enqueue(ship, "committed")
            await threaded.execute("COMMIT")
            await scheduler.wait(receipt)
    assert ran == ["committed"]


async def test_sqlalchemys_autocommit_is_refused(database, make_scheduler):
    scheduler, ship = make_scheduler()
    engine = create_async_engine(f"sqlite+aiosqlite:///{database.path}", isolation_level="AUTOCOMMIT")
    async with scheduler, engine.connect() as connection:
        with pytest.raises(StoreError, match="commits each statement by itself"):
            await scheduler.using(connection).enqueue(ship, "never")
    await engine.dispose()


async def test_a_connection_to_another_file_is_refused(database, make_scheduler, tmp_path):
    scheduler, ship = make_scheduler()
    other, _ = make_scheduler(store={"share": True})
    elsewhere = Sqlite.make(tmp_path / "elsewhere.db")
    also_pacers = Sqlite.make(tmp_path / "also.db")
    other.store = also_pacers.store()
    async with scheduler, other:
        for path in elsewhere.path, also_pacers.path, ":memory:":
            with contextlib.closing(sqlite3.connect(path)) as connection:
                with pytest.raises(StoreError, match=f"the queue is in {database.path}"):
                    await scheduler.using(connection).enqueue(ship, "never")
                assert not connection.in_transaction


async def test_a_connection_may_reach_the_file_by_another_path(database, make_scheduler, tmp_path, ran):
    scheduler, ship = make_scheduler()
    link = tmp_path / "link.db"
    link.symlink_to(database.path)
    async with scheduler, aiosqlite.connect(link) as connection:
        receipt = await scheduler.using(connection).enqueue(ship, "chair")
        await connection.commit()
        await scheduler.wait(receipt)
    assert ran == ["chair"]


async def test_rows_may_come_in_whatever_form_the_application_likes(database, make_scheduler, ran):
    scheduler, ship = make_scheduler()

    def as_dict(cursor, row):
        return {name: value for (name, *_), value in zip(cursor.description, row, strict=True)}

    async with scheduler, aiosqlite.connect(database.path) as threaded:
        with contextlib.closing(sqlite3.connect(database.path)) as plain:
            for factory in sqlite3.Row, as_dict:
                plain.row_factory = threaded.row_factory = factory
                await scheduler.using(plain).enqueue(ship, "plain")
                plain.commit()
                await scheduler.using(threaded).enqueue(ship, "threaded")
                await threaded.commit()
            await scheduler.drain(timeout=60)
    assert ran == ["plain", "threaded"] * 2


async def test_a_refusal_begins_no_transaction(database, make_scheduler):
    scheduler, ship = make_scheduler(queue=BoundedQueue(1))
    async with scheduler, aiosqlite.connect(database.path) as connection:
        await scheduler.pause()
        await scheduler.enqueue(ship, "waits")
        with pytest.raises(QueueFullError):
            await scheduler.using(connection).enqueue(ship, "one too many")
        assert not connection.in_transaction, "it would keep all others from writing"


async def test_a_job_that_was_enqueued_between_looking_and_writing_stands(
    database, make_scheduler, monkeypatch, recorder, ran
):
    scheduler, ship = make_scheduler()
    look, theirs = SqliteTransaction.look, []

    async def look_and_be_late(self, records):
        found = await look(self, records)
        while theirs:
            await scheduler.options(**theirs.pop()).enqueue(ship, "theirs")
        return found

    monkeypatch.setattr(SqliteTransaction, "look", look_and_be_late)
    async with scheduler, aiosqlite.connect(database.path) as connection:
        await scheduler.pause()
        theirs.append({"job_id": "same"})
        await scheduler.using(connection).options(job_id="same").enqueue(ship, "ours, with the same id")
        await connection.commit()
        theirs.append({"job_id": "theirs", "unique": "u"})
        ours = await scheduler.using(connection).options(unique="u").enqueue(ship, "ours, with the same key")
        await connection.commit()
        job = await scheduler.job(ours.job_id)
        assert job.state is JobState.DROPPED
        assert job.error == "job theirs with the same unique key was there first"
        await scheduler.resume()
        await scheduler.drain(timeout=60)
    assert ran == ["theirs", "theirs"]
    assert [event.job_id for event in recorder.of(events.JobDropped)] == [ours.job_id]


async def test_a_job_that_others_have_staged_between_looking_and_writing_stands(database, make_scheduler, monkeypatch):
    scheduler, ship = make_scheduler()
    look, late = SqliteTransaction.look, []

    async def look_and_be_late(self, records):
        found = await look(self, records)
        if late:
            with contextlib.closing(sqlite3.connect(database.path)) as other:
                await scheduler.using(other).options(**late.pop()).enqueue(ship, "theirs")
                other.commit()
        return found

    monkeypatch.setattr(SqliteTransaction, "look", look_and_be_late)
    # Nobody takes anything in meanwhile: the queue is not worked on, and polled once an hour.
    scheduler, ship = make_scheduler(store={"poll": 3600, "lease": 3600}, worker_concurrency=0)
    async with scheduler, aiosqlite.connect(database.path) as connection:
        for options in {"job_id": "same"}, {"job_id": "theirs", "unique": "u"}:
            late.append(options)
            ours = scheduler.using(connection).options(**{**options, "job_id": options.get("unique", "same")})
            receipt = await ours.enqueue(ship, "ours")
            await connection.commit()
            assert (receipt.created, receipt.job_id) == (False, options["job_id"])
        assert (await scheduler.status()).pending == 2


async def test_rows_that_wait_for_a_staged_job_are_not_stale(database, make_scheduler):
    mirror = StatusMirror(table="papers", id="id", status="status")
    with contextlib.closing(sqlite3.connect(database.path)) as app:
        app.execute("CREATE TABLE papers (id TEXT PRIMARY KEY, status TEXT)")
        scheduler, _ = make_scheduler()
        async with scheduler:
            pass
        async with scheduler.store.open("default", scheduler._rules(), "w") as ledger:
            app.execute("INSERT INTO papers VALUES ('staged', 'queued'), ('lost', 'queued')")
            await ledger.stage(app, [JobRecord("staged", "ship", '[["x"],{}]')])
            app.commit()
            watched, _ = make_scheduler(store={"mirror": mirror})
            first_look = SqliteStage.waits
            seen = []

            def waits(self):
                with contextlib.closing(sqlite3.connect(database.path)) as other:
                    seen.append(dict(other.execute("SELECT id, status FROM papers")))
                return first_look(self)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(SqliteStage, "waits", waits)
                async with watched.store.open("default", watched._rules(), "x"):
                    pass
        assert seen[0] == {"staged": "queued", "lost": "stale"}
        assert dict(app.execute("SELECT id, status FROM papers")) == {"staged": "queued", "lost": "stale"}


async def test_a_transaction_that_fails_while_jobs_are_taken_in_leaves_them_where_they_were(
    database, make_scheduler, monkeypatch
):
    scheduler, ship = make_scheduler(store={"poll": 3600, "lease": 3600}, worker_concurrency=0)
    async with scheduler, aiosqlite.connect(database.path) as connection:
        receipt = await scheduler.using(connection).enqueue(ship, "chair")
        await connection.commit()
        with monkeypatch.context() as patch:

            def fail(*_):
                raise sqlite3.OperationalError("disk I/O error")

            patch.setattr(SqliteStage, "remove", fail)
            with pytest.raises(StoreError, match="disk I/O error"):
                await scheduler.job(receipt.job_id)
        assert (await scheduler.job(receipt.job_id)).position == 1
        assert (await scheduler.status()).pending == 1


async def test_all_wait_for_a_writer_that_takes_its_time(database, make_scheduler, ran):
    """SQLite has one writer at a time: others wait for the application's transaction, and then go on."""
    scheduler, ship = make_scheduler()
    async with scheduler, aiosqlite.connect(database.path) as connection:
        receipt = await scheduler.using(connection).enqueue(ship, "first")
        other = asyncio.ensure_future(scheduler.enqueue(ship, "second"))
        assert (await scheduler.using(connection).enqueue(ship, "third")).position == 2
        assert not other.done()
        await connection.commit()
        await other
        await scheduler.drain(timeout=60)
        await scheduler.wait(receipt)
    assert ran == ["first", "third", "second"]
