"""Jobs are found in their order, wherever they stand, as they were given."""

from __future__ import annotations

import itertools
import math

import pytest
from backends import backend, came, client, commit, ended, ids, job, started
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pacer._job import Retry
from pacer.backoff import ConstantBackoff
from pacer.stores._redis._rows import LARGE
from pacer.stores._rows import decode
from pacer.stores._server._backend import Place

_numbers = itertools.count()
KEYS = st.sampled_from([-math.inf, -1.5, 0.0, 0.1 + 0.2, 0.3, 1.0, 2.0**53, 1e300, math.inf])


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {
            "id": "ä {x} \n",
            "task": "tâche",
            "key": "k",
            "home": "h",
            "unique": "ü",
            "batch_id": "b",
            "payload": None,
        },
        {"payload": b"\x00\xff", "priority": -(10**30), "cost": {"tokens": 0.1}, "delay": 1e-9, "timeout": 1.5},
        {"retry": Retry(3, ConstantBackoff(4.0)), "sort_key": math.inf, "created_at": 1795524724.434996},
        {"sort_key": -math.inf, "expires": 3.0, "expires_at": 1e18 + 0.1, "promised_low": 1.0, "promised_high": 2.0},
        {"failures": 2, "first_failed_at": 1.25, "retry_delay": 0.1, "throttles": 3, "recoveries": 4, "fence": 5},
        {"progress": 0.1, "message": "50 \u2713", "error": "é" * 5000, "cancel_requested": True, "lease_until": 7.5},
    ],
)
def test_a_job_is_kept_as_it_is(worker, fields):
    record = job(1, **fields)
    assert commit(worker, came(record))
    (row,) = worker.find([record.id], [])
    found = decode(row)
    for name in record.__slots__:
        if name not in ("expires", "__weakref__"):  # of a job that is there, only when it expires is kept
            assert getattr(found, name) == getattr(record, name), name


def test_text_that_is_no_unicode_is_spelled_out(worker):
    assert commit(worker, came(job(1, error="\ud800", message="\udfff", progress=0.5)))
    (row,) = worker.find(["j1"], [])
    assert (decode(row).error, decode(row).message) == ("\\ud800", "\\udfff")
    assert worker.find(["\ud800"], []) == []


@given(st.lists(KEYS, max_size=30), KEYS, st.integers(0, 40))
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_ready_jobs_stand_by_key_and_then_by_number(redis, redis_prefix, keys, key, number):
    worker = backend(redis.url, f"{redis_prefix}-{next(_numbers)}")
    assert commit(worker, *(came(job(seq, sort_key=one)) for seq, one in enumerate(keys, 1)))
    order = sorted((one, seq) for seq, one in enumerate(keys, 1))
    place = (key, number)
    assert worker.ahead_of(place) == sum(one < place for one in order)
    assert ids(worker.in_order(place, 7)) == [f"j{seq}" for one, seq in order if (one, seq) > place][:7]
    assert ids(worker.named(9)) == [f"j{seq}" for _, seq in order][:9]
    worker.close()


@given(st.lists(st.sampled_from([1.0, 2.5, 2.5000001, 1e18]), max_size=20), st.integers(0, 25))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_delayed_jobs_stand_by_time_and_then_by_number(redis, redis_prefix, times, number):
    worker = backend(redis.url, f"{redis_prefix}-{next(_numbers)}")
    changes = (came(job(seq, ready_at=at), Place.DELAYED) for seq, at in enumerate(times, 1))
    assert commit(worker, *changes)
    for at in (0.5, 2.5, 3.0):
        before = sum((one, seq) < (at, number) for seq, one in enumerate(times, 1))
        assert worker.delayed_before(at, number) == before
    worker.close()


def test_delayed_jobs_that_are_due_become_ready_where_they_belong(worker):
    jobs = [job(seq, ready_at=float(seq), sort_key=-float(seq) / 3) for seq in range(1, 2502)]
    assert commit(worker, *(came(one, Place.DELAYED) for one in jobs))
    worker.promote(2500.0)
    loaded = worker.load(None, lock=False)
    assert (loaded.head.ready, loaded.head.delayed) == (2500, 1)
    assert loaded.head.version > 1
    assert loaded.head.at == 2500.0
    assert loaded.content is not None
    assert loaded.content.next_due == 2501.0
    assert [row[15] for row in loaded.content.front] == [-seq / 3 for seq in range(2500, 2500 - 32, -1)]


def test_a_promotion_of_none_changes_nothing(worker):
    assert commit(worker, came(job(1, ready_at=5.0), Place.DELAYED))
    worker.promote(4.0)
    assert worker.load(1, lock=False).content is None


def test_the_oldest_are_found_among_all_kinds(worker):
    kinds = [("a", None), ("b", None), ("b", "here"), ('"', "\ud7ff")]
    jobs = [job(seq, task=kinds[seq % 4][0], home=kinds[seq % 4][1]) for seq in range(1, 13)]
    assert commit(worker, *map(came, jobs))
    assert ids(worker.oldest(5)) == ["j1", "j2", "j3", "j4", "j5"]
    assert set(worker.kinds()) == set(kinds)
    assert ids(worker.of_kind("b", "here", 5000)) == ["j2", "j6", "j10"]
    assert commit(worker, *(ended(one) for one in jobs if one.home == "here"))
    assert set(worker.kinds()) == set(kinds) - {("b", "here")}
    assert worker.of_kind("b", "here", 5000) == []
    assert ids(worker.oldest(2)) == ["j1", "j3"]


def test_a_queue_with_nothing_in_it_answers_with_nothing(worker):
    assert (worker.oldest(3), worker.kinds(), worker.of_kind("a", None, 5), worker.expired(1e9, 5)) == ([], [], [], [])
    assert (worker.find(["x"], ["y"]), worker.find([], []), worker.batch("b"), worker.workers()) == ([], [], {}, [])
    assert (worker.in_order((0.0, 0), 5), worker.named(5), worker.ahead_of((1.0, 1))) == ([], [], 0)
    assert (worker.delayed_before(1.0, 1), worker.prune(1e9, 10), worker.staged(5)) == (0, 0, ())


def test_jobs_that_expire_are_found_all(worker):
    jobs = [job(seq, expires_at=float(seq)) for seq in range(1, 2101)]
    assert commit(worker, *map(came, jobs))
    assert ids(worker.expired(2000.0, 5000)) == [f"j{seq}" for seq in range(1, 2001)]
    assert commit(worker, started(jobs[0]), ended(jobs[1]))
    assert ids(worker.expired(3.0, 5000)) == ["j3"]


def test_jobs_of_a_kind_are_found_all(worker):
    assert commit(worker, *(came(job(seq)) for seq in range(1, 2101)))
    assert len(worker.of_kind("work", None, 5000)) == 2100


def test_large_arguments_are_read_only_of_a_job_that_is_asked_for(worker):
    large, small = job(1, payload="ö" * (LARGE + 1)), job(2)
    assert commit(worker, came(large), came(small))
    content = worker.load(None, lock=False).content
    assert content is not None
    assert [row[2] for row in content.front] == [None, "[2]"]
    assert [row[2] for row in worker.find(["j1", "j2"], [])] == [large.payload, "[2]"]
    assert commit(worker, started(large))
    assert commit(worker, ended(large, Place.RUNNING, result=b"r" * 2 * LARGE))
    (row,) = worker.find(["j1"], [])
    assert (row[2], row[35]) == (None, b"r" * 2 * LARGE)


def test_jobs_that_ended_are_removed_and_nothing_of_them_is_left(redis, redis_prefix, worker):
    jobs = [job(seq, unique=f"u{seq}", batch_id="b", payload="x" * (seq * 3000)) for seq in range(1, 4)]
    late = job(4, batch_id="b")
    assert commit(worker, *map(came, [*jobs, late]))
    assert commit(worker, *(ended(one, at=one.seq * 10.0, result="1") for one in jobs), ended(late, at=99.0))
    assert worker.prune(30.0, 1) == 1
    assert worker.prune(30.0, 10) == 1, "those that ended just then stay"
    assert worker.prune(31.0, 10) == 1
    assert worker.batch("b") == {"succeeded": 1}
    assert ids(worker.find(["j1", "j2", "j3", "j4"], [])) == ["j4"]
    assert worker.prune(100.0, 10) == 1
    with client(redis.url) as server:
        left = {key.decode().rpartition(":")[2] for key in server.keys(f"{redis_prefix}:*")}
    assert left == {"head", "commits"}


def test_two_workers_that_remove_the_same_jobs_count_each_once(worker, other):
    jobs = [job(seq, batch_id="b") for seq in range(1, 101)]
    assert commit(worker, *map(came, jobs))
    assert commit(worker, *map(ended, jobs))
    assert worker.prune(10.0, 60) + other.prune(10.0, 60) == 100
    assert worker.batch("b") == {}
