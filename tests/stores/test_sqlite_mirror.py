"""The application's own table is kept up to date in the transactions that change its jobs."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3

import attrs
import pytest

from pacer._errors import StoreError
from pacer._job import JobState, Outcome, OutcomeKind, Retry
from pacer.backoff import ConstantBackoff
from pacer.queues._bounded import BoundedQueue
from pacer.stores._sqlite_mirror import quoted
from pacer.stores.sqlite import StatusMirror

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED, result="1")
FAILED = Outcome(OutcomeKind.FAILED, error="ValueError: no")
THROTTLED = Outcome(OutcomeKind.THROTTLED, retry_after=1.0)
MIRROR = StatusMirror(table="jobs", id="id", status="status", updated_at="updated_at")


@pytest.fixture
def app(file):
    """The application's connection, with a table as the reference application has it."""
    with contextlib.closing(sqlite3.connect(file.path, isolation_level=None)) as connection:
        connection.execute(
            "CREATE TABLE jobs (id TEXT PRIMARY KEY, status TEXT, created_at TEXT DEFAULT CURRENT_TIMESTAMP, "
            "updated_at TEXT DEFAULT '2000-01-01 00:00:00')"
        )
        yield connection


def insert(app, *job_ids: str, status: str = "new") -> None:
    app.executemany("INSERT INTO jobs (id, status) VALUES (?, ?)", [(job_id, status) for job_id in job_ids])


def statuses(app) -> dict[str, str]:
    return dict(app.execute("SELECT id, status FROM jobs ORDER BY id"))


async def test_every_change_of_state_is_written(file, app, make_job):
    insert(app, "j1", "j2", "j3", "j4", "j5")
    seen = []
    async with file.open(mirror=MIRROR) as ledger:
        await ledger.add([make_job("j1"), make_job("j2"), make_job("j3"), make_job("j4")])
        seen.append(statuses(app))
        jobs = (await ledger.claim(TASKS, 3)).jobs
        seen.append(statuses(app))
        await ledger.settle(jobs[0], SUCCEEDED, None)
        await ledger.settle(jobs[1], FAILED, None)
        await ledger.release(jobs[2:])
        await ledger.cancel("j4")
        seen.append(statuses(app))
    assert [list(one.values()) for one in seen] == [
        ["queued", "queued", "queued", "queued", "new"],
        ["running", "running", "running", "queued", "new"],
        ["succeeded", "failed", "queued", "cancelled", "new"],
    ]


async def test_retries_and_throttles_are_queued_again(file, app, make_job):
    insert(app, "j1", "j2")
    async with file.open(mirror=MIRROR) as ledger:
        await ledger.add([make_job("j1"), make_job("j2")])
        first, second = (await ledger.claim(TASKS, 2)).jobs
        await ledger.settle(first, FAILED, Retry(2, ConstantBackoff(5)))
        await ledger.settle(second, THROTTLED, None)
        assert statuses(app) == {"j1": "queued", "j2": "queued"}


async def test_dropped_recovered_and_dead_jobs_are_written(file, app, rules, make_job):
    insert(app, "j1", "j2", "j3", "home")
    file.rules = rules(queue=BoundedQueue(3, "drop-oldest"), max_recoveries=1)
    async with file.open("w1", mirror=MIRROR) as ledger:
        await ledger.add([make_job("j1"), make_job("home", home="gone"), make_job("j2")])
        await ledger.add([make_job("j3")])
        assert statuses(app)["j1"] == "dropped"
        await ledger.recover(TASKS)
        assert statuses(app)["home"] == "stale"
        for expected in ("queued", "dead"):
            async with file.open("vanishes", mirror=MIRROR) as other:
                assert [job.id for job in (await other.claim(TASKS, 1)).jobs] == ["j2"]
            file.clock.advance(31)
            await ledger.recover(TASKS)
            assert statuses(app)["j2"] == expected


async def test_the_time_of_the_change_is_written_in_utc(file, app, make_job):
    insert(app, "j1", "j2")
    (before,) = app.execute("SELECT datetime('now')").fetchone()
    async with file.open(mirror=MIRROR) as ledger:
        await ledger.add([make_job("j1")])
    (after,) = app.execute("SELECT datetime('now')").fetchone()
    times = dict(app.execute("SELECT id, updated_at FROM jobs"))
    assert before <= times["j1"] <= after
    assert times["j2"] == "2000-01-01 00:00:00", "rows of others are left alone"


async def test_jobs_without_a_row_change_nothing(file, app, make_job):
    insert(app, "j1")
    async with file.open(mirror=MIRROR) as ledger:
        await ledger.add([make_job("elsewhere")])
        assert statuses(app) == {"j1": "new"}


async def test_rows_left_queued_without_a_job_become_stale_at_the_start(file, app, make_job):
    async with file.open(mirror=MIRROR) as ledger:
        insert(app, "waits", "runs", "done", "lost", status="queued")
        insert(app, "other", status="draft")
        await ledger.add([make_job("runs"), make_job("done"), make_job("waits")])
        _, done = (await ledger.claim(TASKS, 2)).jobs
        await ledger.settle(done, SUCCEEDED, None)
        # The application's row of a finished job was put back by hand.
        app.execute("UPDATE jobs SET status = 'queued' WHERE id IN ('done', 'runs')")
        async with file.open("w2", queue="another queue", mirror=MIRROR):
            assert statuses(app) == {
                "waits": "queued",
                "runs": "queued",
                "done": "stale",
                "lost": "stale",
                "other": "draft",
            }


async def test_a_job_added_after_that_is_queued_again(file, app, make_job):
    insert(app, "j1", status="queued")
    async with file.open(mirror=MIRROR) as ledger:
        assert statuses(app) == {"j1": "stale"}
        await ledger.add([make_job("j1")])
        assert statuses(app) == {"j1": "queued"}


async def test_the_applications_own_words_are_used(file, app, make_job):
    names = {JobState.QUEUED: "wartet", "running": "läuft", JobState.STALE: "verwaist"}
    insert(app, "j1", "j2")
    insert(app, "lost", status="wartet")
    async with file.open(mirror=attrs.evolve(MIRROR, names=names)) as ledger:
        assert statuses(app)["lost"] == "verwaist"
        await ledger.add([make_job("j1"), make_job("j2")])
        (job,) = (await ledger.claim(TASKS, 1)).jobs
        assert statuses(app) == {"j1": "läuft", "j2": "wartet", "lost": "verwaist"}
        await ledger.settle(job, SUCCEEDED, None)
        assert statuses(app)["j1"] == "succeeded"


async def test_numeric_ids_are_found(file, make_job):
    with contextlib.closing(sqlite3.connect(file.path, isolation_level=None)) as app:
        app.execute("CREATE TABLE jobs (id INTEGER PRIMARY KEY, status TEXT)")
        app.executemany("INSERT INTO jobs VALUES (?, 'queued')", [(7,), (8,)])
        mirror = StatusMirror(table="jobs", id="id", status="status")
        for _ in range(2):
            async with file.open(mirror=mirror) as ledger:
                await ledger.add([make_job("7")])
                assert dict(app.execute("SELECT * FROM jobs")) == {7: "queued", 8: "stale"}


HOSTILE = 'jobs"; DROP TABLE users; --'


async def test_identifiers_are_quoted_whatever_is_in_them(file, make_job):
    with contextlib.closing(sqlite3.connect(file.path, isolation_level=None)) as app:
        app.execute("CREATE TABLE users (name TEXT)")
        names = {name: quoted(name) for name in (HOSTILE, 'the "id"', "select", "ä b")}
        table = names[HOSTILE]
        app.execute(f"CREATE TABLE {', '.join(names.values()).replace(',', ' (', 1)})")
        app.execute(f"INSERT INTO {table} VALUES ('j1', 'new', '')")
        mirror = StatusMirror(table=HOSTILE, id='the "id"', status="select", updated_at="ä b")
        async with file.open(mirror=mirror) as ledger:
            await ledger.add([make_job("j1")])
            (row,) = app.execute(f'SELECT "select", "ä b" FROM {table}').fetchall()
            assert row[0] == "queued"
            assert row[1].startswith("20")
        assert quoted('a"b') == '"a""b"'
        assert app.execute("SELECT count(*) FROM users").fetchone() == (0,)


@pytest.mark.parametrize("name", ["", "a\0b", None, 7])
def test_a_name_that_cannot_be_one_is_refused(name):
    with pytest.raises(ValueError, match="StatusMirror: table must be the name of a table or column"):
        StatusMirror(table=name, id="id", status="status")


def test_a_word_for_an_unknown_state_is_refused():
    with pytest.raises(ValueError, match="sleeping"):
        StatusMirror(table="jobs", id="id", status="status", names={"sleeping": "zzz"})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"table": "job"}, "the table 'job', which does not exist. Tables there: jobs"),
        ({"id": "job_id"}, "the column 'job_id'"),
        ({"status": "state"}, "Its columns: id, status, created_at, updated_at"),
        ({"updated_at": "changed_at"}, "the column 'changed_at'"),
        ({"table": "pacer_jobs"}, "does not exist"),
    ],
)
async def test_what_is_not_there_is_named_when_the_store_is_opened_and_nothing_is_changed(file, app, settings, said):
    insert(app, "j1", status="queued")
    before = file.path.read_bytes()
    with pytest.raises(StoreError) as caught:
        async with file.open(mirror=attrs.evolve(MIRROR, **settings)):
            pytest.fail("opened")
    assert said in str(caught.value)
    assert file.path.read_bytes() == before
    assert statuses(app) == {"j1": "queued"}


async def test_without_a_database_there_is_no_table_to_mirror_to(file):
    with pytest.raises(StoreError, match="Make the application's table first"):
        async with file.open(mirror=MIRROR):
            pytest.fail("opened")
    assert not file.path.exists()


async def test_job_and_row_change_together_or_not_at_all(file, app, make_job):
    """The application refuses a status: the job keeps the state that its row says."""
    app.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON jobs WHEN NEW.status = 'succeeded' BEGIN SELECT RAISE(ABORT, 'not "
        "today'); END"
    )
    insert(app, "j1", "j2")
    async with file.open(mirror=MIRROR) as ledger:
        await ledger.add([make_job("j1"), make_job("j2")])
        first, second = (await ledger.claim(TASKS, 2)).jobs
        refused, settled = await asyncio.gather(
            ledger.settle(first, SUCCEEDED, None), ledger.settle(second, FAILED, None), return_exceptions=True
        )
        assert isinstance(refused, StoreError)
        assert "not today" in str(refused)
        assert settled.record.state is JobState.FAILED
        assert statuses(app) == {"j1": "running", "j2": "failed"}
        assert (await ledger.job("j1")).state is JobState.RUNNING
        app.execute("DROP TRIGGER refuse")
        await ledger.settle(first, SUCCEEDED, None)
        assert statuses(app)["j1"] == "succeeded"


async def test_the_application_works_on_its_table_at_the_same_time(file, app, make_job):
    async with file.open(mirror=MIRROR) as ledger:
        for number in range(50):
            app.execute("BEGIN IMMEDIATE")
            insert(app, f"j{number}")
            adding = asyncio.ensure_future(ledger.add([make_job(f"j{number}")]))
            await asyncio.sleep(0)
            app.execute("COMMIT")
            await adding
        assert set(statuses(app).values()) == {"queued"}
        assert len(statuses(app)) == 50


async def test_a_job_that_expires_says_so_in_the_application_s_words(file, app, make_job):
    insert(app, "j1", "j2")
    names = StatusMirror(table="jobs", id="id", status="status", names={"expired": "too late"})
    async with file.open(mirror=names) as ledger:
        await ledger.add([make_job("j1", expires=5.0), make_job("j2", expires=60.0)])
        file.clock.advance(5)
        await ledger.position("j2")
        assert statuses(app) == {"j1": "too late", "j2": "queued"}, "whoever looks takes it out"
