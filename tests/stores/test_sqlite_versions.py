"""A file that an earlier version wrote is brought up to date when it is opened, with all that is in it."""

from __future__ import annotations

import contextlib
import sqlite3

import pytest

from pacer._job import JobState, Outcome, OutcomeKind, Retry
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause
from pacer.queues import FairShare
from pacer.queues._bounded import BoundedQueue
from pacer.stores._sqlite_schema import MIGRATIONS, VERSION

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED, result='"done"')
BEGAN = 1_700_000_000.0

# What version 1 wrote, with FixedPause(10), MovingAverage() and a file on a manual clock: one job that is done, one
# whose worker vanished while it ran, one that waits and one that is delayed, in a paused queue.
QUEUE = (
    *(1, "default"),
    (
        '{"pacing":1700000020.0,"estimator":{"mean":52.0,"variance":3136.0,"count":1},"failures":0,"first_failed_at":0.0,'
        '"last_failed_at":null,"last_delay":0.0,"hold_until":0.0,"hold_reason":"","paused":true,"succeeded":1,"failed":0,'
        '"throttled":0}'
    ),
    '{"pacing": "pacer.pacing._fixed_pause.FixedPause", "estimator": "pacer.estimators._moving_average.MovingAverage"}',
    *(0.0, BEGAN + 40, 1, 1, 4, 4, 3),
)
JOBS = [
    {
        "seq": 1,
        "id": "done",
        "state": "succeeded",
        "created_at": BEGAN,
        "ready_at": BEGAN,
        "started_at": BEGAN,
        "ended_at": BEGAN + 20,
        "fence": 1,
        "lease_until": BEGAN + 30,
        "result": '{"pages":7}',
    },
    {
        "seq": 2,
        "id": "running",
        "state": "running",
        "created_at": BEGAN + 40,
        "ready_at": BEGAN + 40,
        "started_at": BEGAN + 40,
        "worker": "w1",
        "fence": 1,
        "lease_until": BEGAN + 70,
        "key": "tenant",
        "batch_id": "x",
        "payload": '[["r"],{}]',
    },
    {
        "seq": 3,
        "id": "waiting",
        "state": "queued",
        "arrival": 3,
        "place": 3,
        "created_at": BEGAN + 40,
        "ready_at": BEGAN + 40,
        "priority": 3,
        "cost": '{"requests": 2.0}',
        "batch_id": "x",
        "payload": '[["w"],{}]',
    },
    {
        "seq": 4,
        "id": "delayed",
        "state": "queued",
        "arrival": 4,
        "due": BEGAN + 540,
        "created_at": BEGAN + 40,
        "ready_at": BEGAN + 540,
        "delay": 500.0,
        "unique_key": "u",
        "payload": '[["d"],{}]',
        "retry": '{"attempts": 3, "backoff": {"NoBackoff": {}}}',
    },
]


@pytest.fixture
def old(file):
    """The file as version 1 left it, 40 s after it began."""
    with contextlib.closing(sqlite3.connect(file.path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE pacer_schema (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO pacer_schema VALUES (1)")
        for statement in MIGRATIONS[0]:
            connection.execute(statement)
        connection.execute(f"INSERT INTO pacer_queues VALUES ({', '.join('?' * len(QUEUE))})", QUEUE)
        for fields in JOBS:
            row = {"queue": 1, "task": "work", "sort_key": 0.0, **fields}
            connection.execute(
                f"INSERT INTO pacer_jobs ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
            )
        connection.commit()
    file.clock.now = BEGAN + 40
    return file


def parts(rules, **changed):
    usual = {"queue": BoundedQueue(50), "pacing": FixedPause(10), "estimator": MovingAverage(), "concurrency": 1}
    return rules(**{**usual, **changed})


async def test_all_jobs_are_there_and_go_on_where_they_were(old, rules):
    async with old.open("w2", rules=parts(rules)) as ledger:
        done = await ledger.job("done")
        assert (done.state, done.result, done.ended_at) == (JobState.SUCCEEDED, '{"pages":7}', BEGAN + 20)
        waiting, delayed = await ledger.job("waiting"), await ledger.job("delayed")
        assert (waiting.priority, waiting.cost, waiting.expires_at) == (3, {"requests": 2.0}, None)
        assert (delayed.retry, delayed.unique, delayed.ready_at) == (Retry(3, NoBackoff()), "u", BEGAN + 540)
        assert [await ledger.position(job_id) for job_id in ("waiting", "delayed")] == [1, 2]
        old.clock.advance(60)
        (recovered,) = await ledger.recover(TASKS)
        assert (recovered.id, recovered.recoveries, recovered.first_failed_at) == ("running", 1, None)
        assert (await ledger.claim(TASKS, 1)).next.reason == "paused by hand"
        await ledger.set_paused(False)
        for job_id in ("running", "waiting", "delayed"):
            old.clock.advance(600)
            (job,) = (await ledger.claim(TASKS, 1)).jobs
            await ledger.settle(job, SUCCEEDED, None)
            assert job.id == job_id
        assert (await ledger.batch("x")).counts == {JobState.SUCCEEDED: 2}


async def test_what_the_queue_has_learned_is_kept_as_far_as_it_is_understood(old, rules):
    rules = parts(rules, queue=BoundedQueue(50, order=FairShare()))
    async with old.open("w2", rules=rules) as ledger:
        queue = (await ledger.snapshot()).queue
    assert (queue.pacing, queue.paused, queue.succeeded) == (BEGAN + 20, True, 1)
    assert queue.order == FairShare().initial_state(), "version 1 had no state of an order"
    assert (queue.recent_successes, queue.recent_retries) == (0, 0)
    # The average has come to keep more: it begins anew, and somebody is told.
    assert queue.estimator == MovingAverage().initial_state()
    assert {fault.problem for fault in rules.guard.take_faults()} == {"stored estimator cannot be used; learnt anew"}


async def test_new_jobs_expire_in_an_old_file(old, rules, make_job):
    async with old.open("w2", rules=parts(rules)) as ledger:
        await ledger.add([make_job("brief", expires=5.0)])
        assert (await ledger.expire()).next == BEGAN + 45
        old.clock.advance(5)
        assert [job.id for job in (await ledger.expire()).jobs] == ["brief"]


def schema(path):
    """Tables with their columns, and indexes, in whatever order they were made."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        columns = {
            name: sorted(row[1:] for row in connection.execute(f"PRAGMA table_info({name})")) for (name,) in names
        }
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name"
        ).fetchall()
        (version,) = connection.execute("SELECT version FROM pacer_schema").fetchone()
    return columns, indexes, version


async def test_afterwards_the_file_is_as_a_new_one(old, rules, tmp_path):
    async with old.open("w2", rules=parts(rules)):
        pass
    (tmp_path / "new").mkdir()
    new = type(old)(tmp_path / "new" / "jobs.db")
    async with new.open("w2", rules=parts(rules)):
        pass
    assert schema(old.path) == schema(new.path)
    assert schema(old.path)[2] == VERSION
