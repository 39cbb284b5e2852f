"""A queue that the version before has made is taken over as it is, also while workers of that version still run.

That version had all jobs that had ended in one set, with no arguments of theirs, and did not count sorting commits.
"""

from __future__ import annotations

import json

import attrs
import pytest
from backends import EMPTY, back, backend, came, client, commit, ended, ids, job, started, writing

from pacer._errors import NewerSchemaError, OlderSchemaError, UnknownQueueError
from pacer._job import JobRecord, JobState
from pacer.stores._redis import _layout
from pacer.stores._redis._backend import RedisBackend
from pacer.stores._redis._keys import Keys, number_text
from pacer.stores._redis._wire import Wire
from pacer.stores._rows import decode
from pacer.stores._server._backend import Place

FAILED = JobState.FAILED


def as_before(url: str, prefix: str, *, since: float | None = None) -> None:
    """What is there becomes what the version before would have made of it; or only the last commit, of this time."""
    with client(url) as server:
        stem = f"{prefix}:{{default}}"
        for key in server.keys(f"{stem}:ended:*"):
            for number, at in server.zrange(key, 0, -1, withscores=True):
                if since is None or at >= since:
                    server.zrem(key, number)
                    server.zadd(f"{stem}:ended", {number: at})
                    server.hdel(f"{stem}:data", number, number + b"+")
        if since is not None:
            server.hincrby(f"{stem}:head", "sorted", -1)
        else:
            server.hset(f"{stem}:head", "layout", "1")
            server.hdel(f"{stem}:head", "sorted", "swept", "swept_to")


def fail(worker: RedisBackend, *jobs: JobRecord, at: float) -> None:
    """These jobs fail, and the clock shows this time."""
    head = attrs.evolve(worker.load(None, lock=False).head, at=at)
    assert worker.write(writing(head, [ended(one, at=at, state=FAILED) for one in jobs]))


def test_ended_jobs_are_put_in_order_by_the_first_worker_that_comes(redis, redis_prefix, worker):
    jobs = [job(seq, unique=f"u{seq}", batch_id="b") for seq in range(1, 2102)]
    assert commit(worker, *map(came, jobs))
    states = [JobState.SUCCEEDED, FAILED, JobState.DEAD]
    assert commit(worker, *(ended(one, at=float(one.seq // 10), state=states[one.seq % 3]) for one in jobs))
    as_before(redis.url, redis_prefix)
    late = backend(redis.url, redis_prefix, "c")
    assert late.tally(10_000) == {"succeeded": 700, "failed": 701, "dead": 700}
    assert ids(late.ended("dead", None, 2)) == ["j2099", "j2096"]
    assert ids(late.ended("succeeded", None, 2)) == ["j2100", "j2097"]
    assert all(row[2] is None for row in late.find(["j1", "j2"], [])), "their arguments have not been kept"
    assert late.prune(1e9, 500) == 500
    with client(redis.url) as server:
        assert server.hget(f"{redis_prefix}:{{default}}:head", "layout") == str(_layout.LAYOUT).encode()
    late.close()


def test_what_a_worker_of_the_version_before_has_ended_is_found_with_the_next_pruning(redis, redis_prefix, worker):
    jobs = [job(seq) for seq in range(1, 5)]
    assert commit(worker, *map(came, jobs))
    fail(worker, *jobs[:2], at=3.0)
    as_before(redis.url, redis_prefix, since=3.0)
    assert worker.tally(9) == {"succeeded": 2}, "they are in the wrong set"
    assert worker.ended("succeeded", None, 5) == [], "but not shown there"
    assert worker.prune(0.0, 5) == 0
    assert ids(worker.ended("failed", None, 5)) == ["j2", "j1"]
    fail(worker, jobs[2], at=3.0)
    as_before(redis.url, redis_prefix, since=3.0)
    fail(worker, jobs[3], at=4.0)
    assert worker.tally(9) == {"succeeded": 3, "failed": 1}
    assert worker.prune(0.0, 5) == 0
    assert worker.tally(9) == {"failed": 4}
    assert ids(worker.ended("failed", None, 5)) == ["j4", "j3", "j2", "j1"]


def test_jobs_are_looked_through_once(redis, redis_prefix, worker):
    """Rows that are missing cannot be sorted; nobody looks for them unless the version before may have been at work."""
    jobs = [job(1), job(2), job(3)]
    assert commit(worker, *map(came, jobs))
    fail(worker, *jobs[:2], at=3.0)
    as_before(redis.url, redis_prefix)
    stem = f"{redis_prefix}:{{default}}"
    with client(redis.url) as server:
        row = server.hget(f"{stem}:jobs", number_text(2))
        server.hset(f"{stem}:jobs", number_text(2), "cut o")
        late = backend(redis.url, redis_prefix, "c")
        assert late.tally(9) == {"succeeded": 1, "failed": 1}, "what cannot be read stays where it is"
        server.hset(f"{stem}:jobs", number_text(2), row)
    late.prune(0.0, 5)
    assert late.tally(9) == {"succeeded": 1, "failed": 1}
    fail(late, jobs[2], at=3.5)
    late.prune(0.0, 5)
    assert late.tally(9) == {"succeeded": 1, "failed": 2}
    late.close()


def test_delayed_jobs_that_become_ready_are_no_work_of_the_version_before(redis, redis_prefix, worker):
    assert commit(worker, came(job(1, ready_at=5.0), Place.DELAYED))
    worker.promote(6.0)
    with client(redis.url) as server:
        found = server.hgetall(f"{redis_prefix}:{{default}}:head")
    assert found[b"version"] == found[b"sorted"] == b"2"


def test_rows_of_the_version_before_are_read(redis, redis_prefix, worker):
    assert commit(worker, came(job(1)), came(job(2, headers={"a": "ü"})))
    with client(redis.url) as server:
        rows = f"{redis_prefix}:{{default}}:jobs"
        short, own = (json.loads(server.hget(rows, number_text(seq))) for seq in (1, 2))
        assert (len(short), len(own), short[12], json.loads(own[12])) == (18, 18, None, {"a": "ü"}), (
            "where that version had nothing there are headers, which it does not look at"
        )
        whole = [*short, None, None, None, 0, None, 0.0, None, None, 0, 0, None, 0, 0.0, 0, None, "", "", None]
        server.hset(rows, number_text(1), json.dumps(whole))
    found = [decode(row) for row in worker.find(["j1", "j2"], [])]
    assert [one.headers for one in found] == [None, {"a": "ü"}]
    assert [one.payload for one in found] == ["[1]", "[2]"]


def test_headers_stay_with_a_job_through_all_that_becomes_of_it(worker):
    one = job(1, headers={"traceparent": "00-1"})
    assert commit(worker, came(one))
    for change in (started(one), ended(one, Place.RUNNING, state=FAILED), back(one), started(one)):
        assert commit(worker, change)
        (row,) = worker.find(["j1"], [])
        assert decode(row).headers == {"traceparent": "00-1"}


def test_a_guest_waits_for_a_worker_of_this_version(redis, redis_prefix, worker):
    as_before(redis.url, redis_prefix)
    guest = RedisBackend(Wire(redis.url, 5.0), Keys(redis_prefix, "default"), "g")
    guest.connect()
    with pytest.raises(OlderSchemaError, match="version 1, and this pacer needs 2") as caught:
        guest.create(None)
    assert (caught.value.found, caught.value.needed) == (1, 2)
    backend(redis.url, redis_prefix, "c").close()
    guest.connect()
    guest.create(None)
    assert guest.load(None, lock=False).head == EMPTY
    guest.close()


def test_a_worker_of_the_version_before_does_not_come_in_any_more(redis, redis_prefix, worker, monkeypatch):
    monkeypatch.setattr(_layout, "LAYOUT", 1)
    with pytest.raises(NewerSchemaError, match="Upgrade pacer-scheduler"):
        RedisBackend(Wire(redis.url, 5.0), Keys(redis_prefix, "default"), "b").connect()


def test_a_queue_that_is_not_there_is_not_made_by_a_guest(redis, redis_prefix, worker):
    guest = RedisBackend(Wire(redis.url, 5.0), Keys(redis_prefix, "other"), "g")
    guest.connect()
    with pytest.raises(UnknownQueueError, match="holds no queue 'other'; it holds 'default'"):
        guest.create(None)
    guest.close()
    with client(redis.url) as server:
        assert server.keys(f"{redis_prefix}:{{other}}*") == []
