"""Jobs that ended without success are kept with their arguments, come back, and leave nothing behind."""

from __future__ import annotations

import attrs
import pytest
from backends import back, backend, came, client, commit, ended, ids, job, keys_of, started, writing
from servers import RedisServer

from pacer._errors import StoreUnavailableError
from pacer._job import JobState
from pacer.stores._redis._keys import UNSUCCESSFUL
from pacer.stores._redis._rows import LARGE
from pacer.stores._rows import decode
from pacer.stores._server._backend import Change, JobExistsError, Place

FAILED = JobState.FAILED


@pytest.mark.parametrize("size", [3, LARGE + 1])
def test_arguments_stay_until_the_job_has_succeeded(worker, size):
    one = job(1, payload="x" * size)
    assert commit(worker, came(one))
    assert commit(worker, started(one))
    assert commit(worker, ended(one, Place.RUNNING, state=FAILED))
    (row,) = worker.find(["j1"], [])
    assert (decode(row).payload, decode(row).result) == ("x" * size, None)
    assert commit(worker, back(one))
    (row,) = worker.find(["j1"], [])
    assert (decode(row).payload, decode(row).state) == ("x" * size, JobState.QUEUED)
    assert commit(worker, started(one))
    assert commit(worker, ended(one, Place.RUNNING, result="1"))
    (row,) = worker.find(["j1"], [])
    assert (decode(row).payload, decode(row).result) == (None, "1")


@pytest.mark.parametrize("state", [JobState(state) for state in UNSUCCESSFUL], ids=str)
def test_a_job_that_comes_back_stands_where_waiting_jobs_do_and_nowhere_else(worker, other, state):
    one = job(1, unique="u", batch_id="b", expires_at=50.0, sort_key=0.5)
    assert commit(worker, came(job(2)), came(one))
    assert commit(worker, ended(one, state=state))
    assert (worker.tally(9), worker.batch("b"), worker.find([], ["u"])) == ({state.value: 1}, {state.value: 1}, [])
    assert commit(worker, back(attrs.evolve(one, expires_at=60.0), state))
    assert (worker.tally(9), worker.batch("b"), worker.ended(state.value, None, 5)) == ({}, {"queued": 1}, [])
    assert ids(worker.find([], ["u"])) == ["j1"]
    content = other.load(None, lock=False).content
    assert content is not None
    assert ids(content.front) == ["j1", "j2"]
    assert content.next_expiry == 60.0
    assert ids(other.oldest(5)) == ["j2", "j1"], "by its new arrival"
    assert ids(other.of_kind("work", None, 5)) == ["j2", "j1"]
    assert worker.prune(1e9, 10) == 0


def test_a_job_whose_unique_key_another_has_does_not_come_back(worker):
    one = job(1, unique="u")
    assert commit(worker, came(one))
    assert commit(worker, ended(one, state=FAILED))
    assert commit(worker, came(job(2, unique="u")))
    with pytest.raises(JobExistsError):
        commit(worker, back(one))
    assert worker.tally(9) == {"failed": 1}
    assert ids(worker.find([], ["u"])) == ["j2"]


def test_a_job_that_comes_back_and_ends_in_the_same_commit_is_in_one_list(worker):
    """As when a full queue drops it for the next one."""
    one = job(1, unique="u", batch_id="b")
    assert commit(worker, came(one))
    assert commit(worker, ended(one, at=3.0, state=FAILED))
    dropped = attrs.evolve(ended(one, at=4.0, state=JobState.DROPPED), was=Place.ENDED, was_state="failed")
    assert commit(worker, dropped)
    assert (worker.tally(9), worker.batch("b")) == ({"dropped": 1}, {"dropped": 1})
    again = attrs.evolve(ended(one, at=5.0, state=JobState.DROPPED), was=Place.ENDED, was_state="dropped")
    assert commit(worker, again)
    assert worker.tally(9) == {"dropped": 1}
    assert worker.prune(5.0, 9) == 0
    assert worker.prune(5.5, 9) == 1


def test_a_job_that_comes_back_and_starts_in_the_same_commit_is_only_running(worker):
    one = job(1, unique="u")
    assert commit(worker, came(one))
    assert commit(worker, ended(one, state=FAILED))
    running = attrs.evolve(one, state=JobState.RUNNING, worker="a", started_at=2.0)
    assert commit(worker, Change(running, Place.ENDED, Place.RUNNING, None, None, "failed"))
    content = worker.load(None, lock=False).content
    assert content is not None
    assert (ids(content.running), worker.tally(9), worker.kinds()) == (["j1"], {}, [])
    assert ids(worker.find([], ["u"])) == ["j1"]


def test_the_oldest_are_removed_first_however_they_ended(worker):
    jobs = [job(seq) for seq in range(1, 9)]
    states = [JobState.SUCCEEDED, *map(JobState, UNSUCCESSFUL), JobState.SUCCEEDED]
    assert commit(worker, *map(came, jobs))
    assert commit(worker, *(ended(one, at=10.0 - one.seq, state=how) for one, how in zip(jobs, states, strict=True)))
    for left in range(7, 2, -1):
        assert worker.prune(6.5, 1) == 1
        assert ids(worker.find([one.id for one in jobs], [])) == [f"j{seq}" for seq in range(1, left + 1)]
    assert worker.prune(6.5, 5) == 0, "the others ended later"


@pytest.mark.parametrize("state", ["succeeded", *UNSUCCESSFUL])
def test_nothing_is_left_of_jobs_that_were_removed(redis, redis_prefix, worker, state):
    jobs = [job(seq, unique=f"u{seq}", batch_id="b", payload="x" * (seq * 3000)) for seq in range(1, 4)]
    assert commit(worker, *map(came, jobs))
    assert commit(worker, *map(started, jobs))
    assert commit(worker, *(ended(one, Place.RUNNING, state=JobState.STALE) for one in jobs))
    assert commit(worker, *(back(one, JobState.STALE, 10 + one.seq) for one in jobs))
    assert commit(worker, *(ended(one, state=JobState(state)) for one in jobs))
    assert worker.prune(10.0, 10) == 3
    assert keys_of(redis.url, redis_prefix) == {"head", "commits"}


def test_a_server_whose_memory_is_full_lets_no_job_come_back_but_running_ones_fail():
    with RedisServer({"maxmemory": "16mb"}) as server:
        made = backend(server.url, "pacer")
        one, two = job(1), job(2)
        assert commit(made, came(one), came(two))
        assert commit(made, ended(one, state=FAILED))
        with client(server.url) as admin:
            admin.config_set("maxmemory", 1024 * 100)
        with pytest.raises(StoreUnavailableError, match="memory is full"):
            commit(made, back(one))
        assert made.tally(9) == {"failed": 1}
        assert commit(made, ended(two, state=FAILED))
        assert made.tally(9) == {"failed": 2}
        made.close()


def test_a_job_that_was_removed_before_it_comes_back_does_not_and_nothing_is_written(worker, other):
    """Removing what ended long ago changes no version, so that whoever asked for it again cannot tell by that."""
    gone, there = job(1, batch_id="b"), job(2)
    assert commit(worker, came(gone), came(there))
    assert commit(worker, ended(gone, at=3.0, state=FAILED), ended(there, at=9.0, state=FAILED))
    for lock in (False, True):
        head = worker.load(None, lock=lock).head
        other.prune(5.0, 9)
        assert not worker.write(writing(head, [back(there), back(gone), came(job(5))]))
    content = other.load(None, lock=True).content
    assert content is not None
    assert (content.front, other.tally(9), other.batch("b")) == ([], {"failed": 1}, {})
    other.unlock()
    assert commit(worker, back(there))
    assert ids(other.in_order((-1.0, 0), 9)) == ["j2"]
