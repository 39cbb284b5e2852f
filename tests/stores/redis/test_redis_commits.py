"""A commit is made if nobody else has made one, and whole."""

from __future__ import annotations

import threading
import time

import pytest
from backends import backend, came, client, commit, ended, ids, job, started, writing

from pacer._errors import StoreUnavailableError
from pacer.stores._redis import _backend
from pacer.stores._server._backend import FRONT, JobExistsError, Place


@pytest.fixture
def soon(monkeypatch):
    """Whether nobody has waited for a lock to run out, which takes a minute here."""
    monkeypatch.setattr(_backend, "_LOCK_LIFE", 60.0)
    began = time.monotonic()
    return lambda: time.monotonic() - began < 55.0


def test_a_commit_on_what_is_not_true_any_more_is_refused(worker, other):
    head = worker.load(None, lock=False).head
    assert commit(other, came(job(1)))
    assert not worker.write(writing(head, [came(job(2))]))
    assert ids(worker.in_order((0.0, 0), 10)) == ["j1"]


def test_a_queue_that_nobody_has_changed_is_not_read_again(worker):
    assert commit(worker, came(job(1)), commit=7)
    again = worker.load(1, lock=False)
    assert (again.content, again.head.version, again.head.ready, again.commit) == (None, 1, 1, 7)


def test_a_server_that_lost_the_last_moments_and_came_to_the_same_version_again_is_found_out(
    redis, redis_prefix, worker, other
):
    assert commit(worker, came(job(1)))
    with client(redis.url) as server:
        saved = {key: server.dump(key) for key in server.keys(f"{redis_prefix}:*")}
        assert commit(worker, came(job(2)))
        known = worker.load(2, lock=False).head
        server.delete(*server.keys(f"{redis_prefix}:*"))
        for key, text in saved.items():
            server.restore(key, 0, text)
    assert commit(other, came(job(3)))
    assert not worker.write(writing(known, [came(job(4))]))
    content = worker.load(known.version, lock=False).content
    assert content is not None
    assert ids(content.front) == ["j1", "j3"]


@pytest.mark.parametrize(("wrong", "made"), [(-0.2, True), (0.2, True), (-0.3, False), (0.3, False), (3600.0, False)])
def test_a_commit_by_a_wrong_clock_is_refused(worker, wrong, made):
    loaded = worker.load(None, lock=False)
    assert worker.write(writing(loaded.head, [came(job(1))], time=loaded.time + wrong)) is made
    assert len(worker.in_order((0.0, 0), 10)) == made


@pytest.mark.parametrize(
    "same", [{"id": "j1", "unique": None}, {"id": "other", "unique": "u"}], ids=["its id", "its unique key"]
)
def test_a_job_that_is_not_new_is_refused_with_all_that_was_to_be_written(worker, same):
    assert commit(worker, came(job(1, unique="u")))
    with pytest.raises(JobExistsError):
        commit(worker, came(job(2)), came(job(3, **same)))
    assert ids(worker.in_order((0.0, 0), 10)) == ["j1"]
    assert worker.load(None, lock=False).head.version == 1


def test_a_unique_key_is_free_once_its_job_has_ended_even_in_the_same_commit(worker):
    first, second, third = (job(seq, unique="u") for seq in (1, 2, 3))
    assert commit(worker, came(first))
    assert commit(worker, ended(first), came(second))
    assert ids(worker.find([], ["u"])) == ["j2"]
    assert commit(worker, ended(second))
    assert commit(worker, came(third))
    assert ids(worker.find([], ["u"])) == ["j3"]


def test_a_commit_survives_that_the_server_forgets_its_scripts(redis, worker):
    assert commit(worker, came(job(1)))
    with client(redis.url) as server:
        server.script_flush()
    assert commit(worker, came(job(2)))
    assert ids(worker.oldest(5)) == ["j1", "j2"]


def test_many_jobs_make_one_commit(worker):
    jobs = [job(seq, batch_id="b", expires_at=float(seq)) for seq in range(1, 5001)]
    assert commit(worker, *map(came, jobs))
    assert (worker.load(None, lock=False).head.ready, worker.batch("b")) == (5000, {"queued": 5000})
    assert commit(worker, *map(ended, jobs))
    content = worker.load(None, lock=False).content
    assert content is not None
    assert (content.front, content.last, content.next_expiry) == ([], None, None)
    assert (worker.kinds(), worker.batch("b")) == ([], {"succeeded": 5000})


def test_what_was_written_is_what_the_queue_holds(worker):
    ready, delayed, running = job(1), job(2, ready_at=9.0), job(3)
    assert commit(worker, came(ready), came(delayed, Place.DELAYED), came(running), workers={"a": (5.0, '["work"]')})
    assert commit(worker, started(running))
    loaded = worker.load(None, lock=False)
    assert (loaded.head.ready, loaded.head.delayed) == (1, 1)
    content = loaded.content
    assert content is not None
    assert (ids(content.front), ids(content.running)) == (["j1"], ["j3"])
    assert (content.last, content.next_due, content.people) == ((1.0, 1), 9.0, 1)
    assert worker.workers() == [("a", 5.0, '["work"]')]


def test_no_more_than_the_first_ready_jobs_are_read_with_the_queue(worker):
    assert commit(worker, *(came(job(seq)) for seq in range(1, FRONT + 10)))
    content = worker.load(None, lock=False).content
    assert content is not None
    assert ids(content.front) == [f"j{seq}" for seq in range(1, FRONT + 1)]
    assert content.last == (FRONT + 9.0, FRONT + 9)


def test_those_who_ask_for_the_lock_wait_for_the_commit_of_its_holder(worker, other, soon):
    head = worker.load(None, lock=True).head
    seen = []
    waiting = threading.Thread(target=lambda: seen.append(other.load(None, lock=True)))
    waiting.start()
    assert worker.write(writing(head, [came(job(1))]))
    waiting.join()
    assert seen[0].head.version == 1
    other.unlock()
    worker.load(None, lock=True)
    worker.load(None, lock=True)
    assert soon(), "the lock was given up, and whoever has it may ask for it again"


def test_a_lock_whose_holder_is_gone_is_no_obstacle_for_long(worker, other):
    worker.load(None, lock=True)
    worker.close()
    began = time.monotonic()
    loaded = other.load(None, lock=True)
    assert 0.5 < time.monotonic() - began < 30.0
    assert other.write(writing(loaded.head, [came(job(1))]))


def test_a_refused_commit_gives_up_the_lock(worker, other, soon):
    head = worker.load(None, lock=True).head
    assert not worker.write(writing(head, [came(job(2))], time=1.0))
    other.load(None, lock=True)
    assert soon()


def test_whoever_has_the_lock_is_not_forestalled_by_others_who_do_not_ask_for_it(worker, other):
    """Otherwise a busy worker, which does not look before it commits, would leave others no chance."""
    head = worker.load(None, lock=True).head
    known = other.load(None, lock=False).head
    assert not other.write(writing(known, [came(job(1))]))
    assert worker.write(writing(head, [came(job(2))]))
    assert commit(other, came(job(3)))


def test_the_lock_is_given_up_with_the_commit_also_after_another_look(worker, other, soon):
    """As when delayed jobs have become ready meanwhile."""
    worker.load(None, lock=True)
    head = worker.load(None, lock=False).head
    assert worker.write(writing(head, [came(job(1))]))
    other.load(None, lock=True)
    assert soon()


def test_an_emptied_server_says_so(redis, redis_prefix, worker):
    assert commit(worker, came(job(1)))
    known = worker.load(None, lock=False).head
    with client(redis.url) as server:
        server.delete(*server.keys(f"{redis_prefix}:*"))
    assert not worker.write(writing(known, [came(job(2))]))
    with pytest.raises(StoreUnavailableError, match="the queue is gone"):
        worker.load(None, lock=False)


def test_a_queue_is_made_once(redis, redis_prefix, worker):
    assert commit(worker, came(job(1)))
    late = backend(redis.url, redis_prefix, "c")
    assert late.load(None, lock=False).head.version == 1
    late.close()


def test_the_number_of_a_commit_is_known_while_its_worker_may_come_back(redis, redis_prefix, worker):
    assert commit(worker, came(job(1)), commit=5, workers={"a": (9.0, "[]")})
    assert commit(worker, commit=6, workers={"a": None})
    worker.prune(0.0, 1)
    assert worker.load(None, lock=False).commit == 6
    with client(redis.url) as server:
        server.hset(f"{redis_prefix}:{{default}}:commits", "a", f"6 {server.time()[0] - 100_000}")
    worker.prune(0.0, 1)
    assert worker.load(None, lock=False).commit == 0
