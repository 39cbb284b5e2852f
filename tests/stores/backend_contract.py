"""What every backend keeps: each check is given a way to make backends of one new queue, by the worker's name.

`parametrize` makes a test of each. A backend that is made has neither connected nor made the queue.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import pytest

from pacer._errors import StoreUnavailableError, UnknownQueueError
from pacer._job import ONE_REQUEST, JobRecord, JobState, Retry
from pacer._minutes import KEPT
from pacer._overview import Mark
from pacer._reruns import enqueued_again
from pacer.backoff import ConstantBackoff
from pacer.stores._rows import PLAIN, decode, encode, row_of
from pacer.stores._server._backend import FRONT, Backend, Change, Content, Head, JobExistsError, Place, Writing

Make = Callable[[str], Backend]
Check = Callable[[Make], None]

CHECKS: list[Check] = []
EMPTY = Head(version=0, state='{"learned": 1}', parts="{}")
BEFORE_ALL = (-math.inf, 0)
WAITING = (Place.READY, Place.DELAYED)
WITHIN = 30.0

_commits = itertools.count(1)


def check(function: Check) -> Check:
    CHECKS.append(function)
    return function


def parametrize(function: Callable[..., Any]) -> Any:
    return pytest.mark.parametrize("check", CHECKS, ids=lambda one: one.__name__)(function)


def opened(make: Make, *workers: str) -> list[Backend]:
    """Backends that have connected, and their queue."""
    made = [make(worker) for worker in workers]
    for backend in made:
        backend.connect()
        backend.create(EMPTY)
    return made


# -- jobs and commits ------------------------------------------------------------------------------------------------


def job(seq: int, **fields: Any) -> JobRecord:
    given: dict[str, Any] = {"task": "work", "payload": f"[{seq}]", "created_at": 1.0, "ready_at": 1.0, **fields}
    return JobRecord(**{"id": f"j{seq}", "seq": seq, "sort_key": float(seq), **given})


def came(record: JobRecord, place: Place = Place.READY) -> Change:
    return Change(record, Place.NOWHERE, place, record.seq if place in WAITING else None, encode(record), None)


def became(record: JobRecord, was: Place, place: Place, arrival: int | None = None, **fields: Any) -> Change:
    """A job that was there, with these fields changed."""
    states = {Place.RUNNING: JobState.RUNNING, Place.ENDED: JobState.SUCCEEDED}
    new = attrs.evolve(record, **{"state": states.get(place, JobState.QUEUED), **fields})
    return Change(new, was, place, arrival, None, "running" if was is Place.RUNNING else "queued")


def started(record: JobRecord, **fields: Any) -> Change:
    given = {"worker": "a", "started_at": 2.0, "fence": 1, "lease_until": 32.0, **fields}
    return became(record, Place.READY, Place.RUNNING, **given)


def ended(record: JobRecord, was: Place = Place.READY, at: float = 3.0, **fields: Any) -> Change:
    return became(record, was, Place.ENDED, **{"ended_at": at, "payload": None, "worker": None, **fields})


def failed(record: JobRecord, was: Place = Place.READY, at: float = 3.0, **fields: Any) -> Change:
    given = {"state": JobState.FAILED, "error": "broken", "payload": record.payload, **fields}
    return ended(record, was, at, **given)


def back(record: JobRecord, arrival: int, was: Place = Place.ENDED, now: float = 50.0) -> Change:
    """A job that is enqueued again."""
    new = record.copy()
    enqueued_again(new, now)
    return Change(new, was, Place.READY, arrival, None, record.state.value, anew=True)


def writing(head: Head, changes: Sequence[Change] = (), **fields: Any) -> Writing:
    """A commit on this head, with its numbers kept right."""
    ready, delayed = head.ready, head.delayed
    for one in changes:
        ready += (one.place is Place.READY) - (one.was is Place.READY)
        delayed += (one.place is Place.DELAYED) - (one.was is Place.DELAYED)
    new = attrs.evolve(head, version=head.version + 1, ready=ready, delayed=delayed)
    given: dict[str, Any] = {"time": None, "worker": "a", "commit": next(_commits), "workers": {}, **fields}
    return Writing(head=new, changes=changes, **given)


def commit(backend: Backend, *changes: Change, **fields: Any) -> None:
    """Read, and write on top of it."""
    assert backend.write(writing(backend.load(None, lock=False).head, changes, **fields))


def content(backend: Backend) -> Content:
    found = backend.load(None, lock=False).content
    assert found is not None
    return found


def ids(rows: Sequence[Sequence[Any]]) -> list[str]:
    return [row[0] for row in rows]


def found(backend: Backend, job_id: str) -> JobRecord:
    (row,) = backend.find([job_id], [])
    return decode(tuple(row))


# -- the head --------------------------------------------------------------------------------------------------------


@check
def a_queue_is_made_once(make: Make) -> None:
    a, b = opened(make, "a", "b")
    commit(a)
    b.create(attrs.evolve(EMPTY, state="another"))
    assert b.load(None, lock=False).head == attrs.evolve(EMPTY, version=1)


@check
def a_guest_makes_no_queue(make: Make) -> None:
    (a,) = [make("a")]
    a.connect()
    with pytest.raises(UnknownQueueError):
        a.create(None)
    a.create(EMPTY)
    a.create(None)
    assert a.load(None, lock=False).head == EMPTY


@check
def all_of_the_head_is_kept(make: Make) -> None:
    a, b = opened(make, "a", "b")
    a.load(None, lock=False)
    head = Head(
        version=1, state='{"a":"ü\\u0000"}', parts='"p\'\\\\"', offset=-3600.25, at=1e9 + 1 / 3,
        ready=0, delayed=0, seq=2**53 + 1, arrivals=7, roster=8,
    )  # fmt: skip
    assert a.write(Writing(head=head, time=None, worker="a", commit=1, changes=(), workers={}))
    assert b.load(None, lock=False).head == head


@check
def a_commit_on_what_is_not_true_any_more_is_refused_whole(make: Make) -> None:
    a, b = opened(make, "a", "b")
    head = a.load(None, lock=False).head
    commit(b, came(job(1)), worker="b", workers={"b": (1.0, "[]")})
    stale = writing(head, [came(job(2)), ended(job(1))], workers={"a": (9.0, "[]"), "b": None})
    assert not a.write(stale)
    assert ids(a.in_order(BEFORE_ALL, 9)) == ["j1"]
    assert a.workers() == [("b", 1.0, "[]")]
    assert a.load(None, lock=False).head.version == 1


@check
def commits_follow_each_other_without_a_look_in_between(make: Make) -> None:
    (a,) = opened(make, "a")
    head = a.load(None, lock=False).head
    for seq in range(1, 4):
        now = writing(head, [came(job(seq))])
        assert a.write(now)
        head = now.head
    assert content(a).last == (3.0, 3)


@check
def a_version_that_is_known_is_not_read_again(make: Make) -> None:
    a, b = opened(make, "a", "b")
    commit(a, came(job(1)), commit=71)
    again = a.load(1, lock=False)
    assert (again.content, again.head.version, again.head.ready, again.commit) == (None, 1, 1, 71)
    commit(b, came(job(2)), worker="b")
    changed = a.load(1, lock=False)
    assert changed.content is not None
    assert ids(changed.content.front) == ["j1", "j2"]


@check
def a_commit_by_a_wrong_clock_is_refused_whole(make: Make) -> None:
    (a,) = opened(make, "a")
    made = []
    for wrong in (-3600.0, -0.3, 0.3, -0.2, 0.2):
        loaded = a.load(None, lock=False)
        now = writing(loaded.head, [came(job(loaded.head.version + 1))], time=loaded.time + wrong)
        if a.write(now):
            made.append(wrong)
    assert made == [-0.2, 0.2]
    assert ids(a.in_order(BEFORE_ALL, 9)) == ["j1", "j2"]


@check
def the_time_is_the_server_s_and_goes_on(make: Make) -> None:
    (a,) = opened(make, "a")
    first, second = (a.load(None, lock=False).time for _ in range(2))
    assert first <= second < first + WITHIN


@check
def a_worker_learns_the_number_of_its_last_commit_even_if_it_is_not_known_as_one(make: Make) -> None:
    a, b = opened(make, "a", "b")
    assert a.load(None, lock=False).commit == 0
    commit(a, commit=5)
    assert [one.load(None, lock=False).commit for one in (a, b)] == [5, 0]
    commit(a, commit=6, workers={"a": (1.0, "[]")})
    commit(a, commit=7, workers={"a": None})
    commit(b, commit=3, worker="b", workers={"a": None})
    again = make("a")
    again.connect()
    assert [one.load(None, lock=False).commit for one in (a, again, b)] == [7, 7, 3]
    assert (a.workers(), content(a).people) == ([], 0)


# -- the lock --------------------------------------------------------------------------------------------------------


def waits_for_the_lock(backend: Backend, other: Backend, give_up: Callable[[], object]) -> None:
    """Another worker that asks for it gets it when this one gives it up, and then sees what was written."""
    got: list[tuple[float, int]] = []

    def ask() -> None:
        loaded = other.load(None, lock=True)
        got.append((time.monotonic(), loaded.head.version))
        other.unlock()

    asking = threading.Thread(target=ask)
    asking.start()
    asking.join(0.3)
    assert not got
    version = backend.load(None, lock=False).head.version if give_up is backend.unlock else None
    given_up_at = time.monotonic()
    give_up()
    asking.join(WITHIN)
    assert got
    assert got[0][0] >= given_up_at
    assert version is None or got[0][1] == version


@check
def the_lock_is_held_until_it_is_given_up(make: Make) -> None:
    a, b = opened(make, "a", "b")
    a.load(None, lock=True)
    waits_for_the_lock(a, b, a.unlock)


@check
def the_lock_is_held_until_something_is_written(make: Make) -> None:
    a, b = opened(make, "a", "b")
    head = a.load(None, lock=True).head
    waits_for_the_lock(a, b, lambda: a.write(writing(head, [came(job(1))])))
    assert b.load(None, lock=True).head.version == 1
    b.unlock()


@check
def what_is_refused_gives_up_the_lock(make: Make) -> None:
    a, b = opened(make, "a", "b")
    loaded = a.load(None, lock=True)
    waits_for_the_lock(a, b, lambda: a.write(writing(loaded.head, time=loaded.time + 60)))


@check
def a_worker_that_has_gone_holds_no_lock(make: Make) -> None:
    a, b = opened(make, "a", "b")
    a.load(None, lock=True)
    a.close()
    b.load(None, lock=True)
    b.unlock()


@check
def a_worker_that_is_stopped_holds_up_the_others_for_seconds_only(make: Make) -> None:
    a, b = opened(make, "a", "b")
    head = a.load(None, lock=True).head
    later = b.load(None, lock=True)
    assert b.write(writing(later.head, [came(job(2))], worker="b"))
    with contextlib.suppress(StoreUnavailableError):
        assert not a.write(writing(head, [came(job(1))]))
    assert ids(content(a).front) == ["j2"]
    commit(a, came(job(1)))


@check
def a_lock_that_nobody_holds_can_be_given_up(make: Make) -> None:
    (a,) = opened(make, "a")
    a.unlock()
    a.load(None, lock=True)
    a.unlock()
    a.unlock()


@check
def a_closed_backend_connects_again(make: Make) -> None:
    (a,) = opened(make, "a")
    commit(a, came(job(1)))
    a.close()
    a.close()
    assert ids(content(a).front) == ["j1"]


# -- jobs ------------------------------------------------------------------------------------------------------------

TRICKY = ["", "NULL", "null", "{}", '"', "\\", "'", "a,b", "{a}", '\\"', "$1 %s %(x)s", "é€😀", "line\nline\t", " x "]


@check
def a_new_job_comes_back_as_it_was(make: Make) -> None:
    (a,) = opened(make, "a")
    whole = job(
        1, home="a", key="k", priority=-5, cost={"tokens": 2.5}, delay=1.5, timeout=9.0, unique="u", batch_id="b",
        retry=Retry(3, ConstantBackoff(4.0)), expires_at=99.5, promised_low=1.25, promised_high=1e6,
        headers={"traceparent": "00-0af7-01", "é\ud800\0": ""},
    )  # fmt: skip
    texts = [
        job(
            number, task=text, payload=text, home=text, key=text, unique=f"{number}{text}", batch_id=text, id=f"{text}#"
        )
        for number, text in enumerate(TRICKY, 2)
    ]
    plain = job(99)
    commit(a, *(came(one) for one in (whole, *texts, plain)))
    assert list(a.in_order(BEFORE_ALL, 99)) == [row_of(one, encode(one)) for one in (whole, *texts, plain)]
    assert [found(a, one).cost for one in ("j1", "j99")] == [whole.cost, ONE_REQUEST]
    assert [found(a, one).headers for one in ("j1", "j99")] == [whole.headers, None]
    assert set(ids(a.find([texts[3].id], [texts[7].unique or ""]))) == {texts[3].id, texts[7].id}


@check
def arguments_and_results_are_text_or_bytes(make: Make) -> None:
    (a,) = opened(make, "a")
    values: list[str | bytes] = [*TRICKY, b"", b"\x00\xff{}", "a" * 100_000, bytes(range(256)) * 40]
    jobs = [job(number, payload=value) for number, value in enumerate(values, 1)]
    commit(a, *map(came, jobs))
    assert [found(a, one.id).payload for one in jobs] == values
    commit(a, *(ended(one, result=one.payload) for one in jobs))
    assert [(found(a, one.id).payload, found(a, one.id).result) for one in jobs] == [(None, one) for one in values]


@check
def errors_and_messages_hold_anything(make: Make) -> None:
    (a,) = opened(make, "a")
    one, error = job(1), "nul \0 lone \ud800 é"
    commit(a, came(one))
    commit(a, started(one, message=error, progress=0.5))
    record = decode(tuple(content(a).running[0]))
    assert (record.message.replace("\\x00", "\0"), record.progress) == ("nul \0 lone \\ud800 é", 0.5)
    commit(a, ended(one, Place.RUNNING, state=JobState.FAILED, error=error))
    assert found(a, "j1").error.replace("\\x00", "\0") == "nul \0 lone \\ud800 é"


@check
def a_job_is_written_at_every_step(make: Make) -> None:
    (a,) = opened(make, "a")
    one = job(1, unique="u", batch_id="b")
    commit(a, came(one))
    run = started(one)
    commit(a, run)
    facts = attrs.evolve(run.job, payload=None)
    assert list(content(a).running) == [row_of(facts, PLAIN)]
    assert not content(a).front
    kept = became(run.job, Place.RUNNING, Place.RUNNING, lease_until=60.0, progress=0.25, cancel_requested=True)
    commit(a, kept)
    assert decode(tuple(content(a).running[0])).cancel_requested is True
    back = became(
        run.job, Place.RUNNING, Place.DELAYED, 2, worker=None, started_at=None, failures=1, throttles=2, recoveries=3,
        first_failed_at=3.0, retry_delay=4.0, ready_at=50.0, error="once", message="half", cancel_requested=False,
        payload=None, promised_low=2.0, promised_high=3.0,
    )  # fmt: skip
    commit(a, back)
    assert found(a, "j1") is not None
    assert row_of(found(a, "j1"), PLAIN) == row_of(attrs.evolve(back.job, payload=one.payload), PLAIN)
    assert (content(a).next_due, content(a).front, content(a).running) == (50.0, [], [])
    end = ended(back.job, Place.DELAYED, state=JobState.EXPIRED, error="late")
    commit(a, end)
    assert row_of(found(a, "j1"), PLAIN) == row_of(attrs.evolve(end.job, payload=one.payload), PLAIN)
    assert content(a).next_due is None


@check
def many_jobs_change_in_one_commit(make: Make) -> None:
    (a,) = opened(make, "a")
    jobs = [job(number) for number in range(1, 601)]
    commit(a, *map(came, jobs))
    commit(a, *(started(one) for one in jobs[:300]), *(ended(one, result="1") for one in jobs[300:]))
    assert len(content(a).running) == 300
    assert all(row[13] == "succeeded" for row in a.find([one.id for one in jobs[300:]], []))


@check
def a_job_may_come_and_go_in_one_commit(make: Make) -> None:
    (a,) = opened(make, "a")
    one, two = job(1), job(2)
    run = attrs.evolve(one, state=JobState.RUNNING, started_at=2.0, worker="a")
    end = attrs.evolve(two, state=JobState.DROPPED, ended_at=2.0, payload=None, error="full")
    commit(
        a,
        Change(run, Place.NOWHERE, Place.RUNNING, None, encode(one), None),
        Change(end, Place.NOWHERE, Place.ENDED, None, encode(two), None),
    )
    assert ids(content(a).running) == ["j1"]
    assert (found(a, "j1").payload, found(a, "j2").error) == ("[1]", "full")


@check
def a_job_that_is_not_new_is_refused_with_all_that_was_to_be_written(make: Make) -> None:
    (a,) = opened(make, "a")
    commit(a, came(job(1, unique="u")))
    for same in (job(3, id="j1"), job(3, unique="u")):
        with pytest.raises(JobExistsError):
            commit(a, came(job(2)), came(same))
        head = a.load(None, lock=True).head
        with pytest.raises(JobExistsError):
            a.write(writing(head, [came(same)]))
    assert ids(content(a).front) == ["j1"]


@check
def a_unique_key_is_free_when_its_job_has_ended_and_in_the_same_commit(make: Make) -> None:
    (a,) = opened(make, "a")
    first, second, third = (job(number, unique="u") for number in (1, 2, 3))
    commit(a, came(first))
    commit(a, came(second), ended(first))
    commit(a, ended(second), came(third))
    assert ids(a.find([], ["u"])) == ["j3"]
    assert sorted(ids(a.find(["j1"], ["u"]))) == ["j1", "j3"]
    assert ids(a.find(["j3"], ["u"])) == ["j3"]


@check
def what_no_job_can_be_called_is_not_found(make: Make) -> None:
    (a,) = opened(make, "a")
    commit(a, came(job(1)))
    assert not a.find(["\0", "\ud800", "j", "J1"], ["\0", "\ud800", "u"])
    assert not a.batch("\0")
    assert not a.find([], [])


# -- jobs that are enqueued again ------------------------------------------------------------------------------------


@check
def what_has_not_succeeded_keeps_its_arguments(make: Make) -> None:
    (a,) = opened(make, "a")
    values: list[str | bytes] = [*TRICKY, b"", b"\x00\xff{}", "a" * 100_000]
    jobs = [job(number, payload=value, headers={"a": "b"}) for number, value in enumerate(values, 1)]
    runs = [started(one) for one in jobs[::2]]
    commit(a, *map(came, jobs))
    commit(a, *runs)
    # What is in memory of a job that has waited in front, or has run, may lack them.
    commit(
        a,
        *(failed(one.job, Place.RUNNING, payload=None) for one in runs),
        *(failed(one, payload=None) for one in jobs[1::2]),
    )
    assert [found(a, one.id).payload for one in jobs] == values
    assert all(found(a, one.id).headers == {"a": "b"} for one in jobs)


@check
def a_job_that_has_ended_waits_again(make: Make) -> None:
    (a,) = opened(make, "a")
    one = job(1, unique="u", batch_id="b", expires_at=9.0, payload=b"\0\xff", headers={"a": "b"})
    commit(a, came(one), came(job(2)))
    run = started(one, failures=2, throttles=1, recoveries=1, first_failed_at=2.0, retry_delay=3.0, progress=0.5)
    commit(a, run)
    end = failed(run.job, Place.RUNNING, payload=one.payload, message="half", promised_low=1.0, promised_high=2.0)
    commit(a, end)
    again = back(found(a, "j1"), 3)
    commit(a, again)
    text = encode(one)
    assert a.in_order(BEFORE_ALL, 9)[0] == row_of(again.job, text)
    assert row_of(found(a, "j1"), text) == row_of(again.job, text)
    now = content(a)
    assert (ids(now.front), now.running, now.next_expiry) == (["j1", "j2"], [], 58.0)
    assert ids(a.oldest(9)) == ["j2", "j1"]
    assert (ids(a.find([], ["u"])), dict(a.batch("b"))) == (["j1"], {"queued": 1})
    assert (a.prune(math.inf, 9), a.tally(9).get("failed", 0), a.ended("failed", None, 9)) == (0, 0, [])
    assert (again.job.created_at, again.job.error) == (50.0, "broken")


@check
def a_job_may_be_enqueued_again_in_the_commit_in_which_it_ends(make: Make) -> None:
    (a,) = opened(make, "a")
    one, two = job(1, expires_at=9.0), job(2, expires_at=9.0)
    commit(a, came(one), came(two))
    run = started(one)
    commit(a, run)
    commit(a, back(run.job, 3, Place.RUNNING), back(two, 4, Place.READY))
    assert [(record.created_at, record.expires_at) for record in (found(a, "j1"), found(a, "j2"))] == [(50.0, 58.0)] * 2
    assert (a.expired(57.0, 9), ids(a.expired(58.0, 9))) == ([], ["j1", "j2"])


@check
def a_job_that_was_removed_before_it_is_enqueued_again_is_not_and_nothing_is_written(make: Make) -> None:
    a, b = opened(make, "a", "b")
    commit(a, came(job(1)), came(job(2)))
    commit(a, failed(job(1)), failed(job(2), at=30.0))
    gone, there = back(failed(job(1)).job, 3), back(failed(job(2), at=30.0).job, 4)
    for lock in (False, True):
        head = a.load(None, lock=lock).head
        b.prune(20.0, 9)
        assert not a.write(writing(head, [there, gone, came(job(5))]))
    assert (content(a).front, found(a, "j2").state) == ([], JobState.FAILED)
    commit(a, there)
    assert ids(content(b).front) == ["j2"]


@check
def a_job_whose_unique_key_is_taken_is_not_enqueued_again(make: Make) -> None:
    (a,) = opened(make, "a")
    first, second = (job(number, unique="u") for number in (1, 2))
    commit(a, came(first))
    commit(a, failed(first), came(second))
    end = found(a, "j1")
    with pytest.raises(JobExistsError):
        commit(a, back(end, 3))
    commit(a, ended(second), back(end, 3))
    assert ids(a.find([], ["u"])) == ["j1"]


# -- lists -----------------------------------------------------------------------------------------------------------


def listed(rows: Sequence[Sequence[Any]]) -> list[str]:
    """The ids; what is asked for with many jobs at once has neither arguments nor results."""
    assert all(row[2] is None and row[35] is None for row in rows)
    assert all(isinstance(decode(tuple(row)), JobRecord) for row in rows)
    return ids(rows)


@check
def waiting_jobs_are_listed_in_order_and_delayed_ones_behind(make: Make) -> None:
    (a,) = opened(make, "a")
    ready = [job(number, sort_key=float(-(number // 2)), payload="x") for number in range(1, 6)]
    delayed = [job(number, ready_at=100.0 - number // 2) for number in range(6, 10)]
    assert a.waiting(None, 9) == []
    commit(a, *map(came, ready), *(came(one, Place.DELAYED) for one in delayed))
    order = ["j4", "j5", "j2", "j3", "j1", "j8", "j9", "j6", "j7"]
    rows = a.waiting(None, 99)
    assert listed(rows) == order
    marks = [Mark(0 if row[14] < 6 else 1, row[15] if row[14] < 6 else row[17], row[14]) for row in rows]
    for place, mark in enumerate(marks, 1):
        assert listed(a.waiting(mark, 99)) == order[place:]
        assert listed(a.waiting(mark, 2)) == order[place : place + 2]
    commit(a, started(ready[3]), ended(delayed[2], Place.DELAYED))
    assert listed(a.waiting(marks[0], 99)) == [one for one in order[1:] if one != "j8"]
    assert listed(a.waiting(None, 5)) == ["j5", "j2", "j3", "j1", "j9"]
    assert a.waiting(Mark(7, math.inf, 10**30), 9) == []


@check
def ended_jobs_are_listed_and_counted_by_state_the_last_first(make: Make) -> None:
    (a,) = opened(make, "a")
    jobs = [job(number) for number in range(1, 11)]
    commit(a, *map(came, jobs))
    states = {1: JobState.SUCCEEDED, 2: JobState.SUCCEEDED, 9: JobState.STALE}
    commit(
        a,
        *(
            failed(one, at=float(one.seq // 3), state=states.get(one.seq, JobState.FAILED), result="1")
            for one in jobs[:9]
        ),
    )
    order = ["j8", "j7", "j6", "j5", "j4", "j3"]
    rows = a.ended("failed", None, 99)
    assert listed(rows) == order
    for place, row in enumerate(rows, 1):
        mark = Mark(0, row[20], row[14])
        assert listed(a.ended("failed", mark, 99)) == order[place:]
        assert listed(a.ended("failed", mark, 2)) == order[place : place + 2]
    assert [listed(a.ended(state, None, 9)) for state in ("succeeded", "stale", "dead")] == [["j2", "j1"], ["j9"], []]
    assert a.ended("failed", Mark(0, -math.inf, -(10**30)), 9) == []
    for most in (99, 2):
        counts = {state: count for state, count in a.tally(most).items() if count}
        assert counts == {"succeeded": 2, "failed": min(most, 6), "stale": 1}
    commit(a, back(found(a, "j5"), 11))
    assert (listed(a.ended("failed", None, 3)), a.tally(99)["failed"]) == (["j8", "j7", "j6"], 5)
    assert (a.prune(2.0, 9), listed(a.ended("failed", None, 9))) == (4, ["j8", "j7", "j6"])


# -- minutes ---------------------------------------------------------------------------------------------------------


@check
def minutes_are_kept_for_a_day(make: Make) -> None:
    a, b = opened(make, "a", "b")

    def minute(number: int, started: int = 1) -> tuple[float, ...]:
        return (number, started, 0.1 + 0.2, 1e-9, 2, 3, 4, 5)

    assert a.minutes(0) == []
    commit(a, minutes=[minute(5), minute(3)])
    commit(a, came(job(1)), minutes=[minute(5, 9), minute(6)])
    assert [tuple(one) for one in b.minutes(0)] == [minute(3), minute(5, 9), minute(6)]
    assert [tuple(one) for one in b.minutes(5)] == [minute(5, 9), minute(6)]
    commit(a, minutes=[minute(KEPT + 3)])
    assert [int(one[0]) for one in b.minutes(-(10**6)) if one[0] > 3] == [5, 6, KEPT + 3]
    head = a.load(None, lock=False).head
    commit(b, worker="b")
    assert not a.write(writing(head, minutes=[minute(KEPT + 4)]))
    assert [int(one[0]) for one in b.minutes(7)] == [KEPT + 3]


# -- order -----------------------------------------------------------------------------------------------------------


@check
def jobs_stand_in_the_order_of_their_keys(make: Make) -> None:
    (a,) = opened(make, "a")
    keys = [math.inf, 3.0, -math.inf, -1.5, 3.0, 1e300, 0.1 + 0.2, 0.3]
    commit(a, *(came(job(number, sort_key=key)) for number, key in enumerate(keys, 1)))
    rows = a.in_order(BEFORE_ALL, 99)
    expected = sorted((key, number) for number, key in enumerate(keys, 1))
    assert [(row[15], row[14]) for row in rows] == expected
    assert [(row[15], row[14]) for row in content(a).front] == expected
    assert content(a).last == expected[-1]
    assert [row[:19] for row in a.named(3)] == [(*row[:2], None, *row[3:19]) for row in rows[:3]]
    for place, key in enumerate(expected):
        assert a.ahead_of(key) == place
        assert ids(a.in_order(key, 2)) == ids(rows[place + 1 : place + 3])


@check
def the_front_is_read_with_a_new_head_and_no_more(make: Make) -> None:
    (a,) = opened(make, "a")
    commit(a, *(came(job(number)) for number in range(2 * FRONT, 0, -1)))
    found = content(a)
    assert ids(found.front) == [f"j{number}" for number in range(1, FRONT + 1)]
    assert found.last == (2.0 * FRONT, 2 * FRONT)


@check
def delayed_jobs_become_ready_in_a_commit_of_their_own(make: Make) -> None:
    a, b = opened(make, "a", "b")
    jobs = [job(number, ready_at=at) for number, at in enumerate([30.0, 10.0, 20.0, 20.0], 1)]
    commit(a, *(came(one, Place.DELAYED) for one in jobs))
    assert (content(a).next_due, content(a).front, a.delayed_before(20.0, 4)) == (10.0, [], 2)
    for lock in (False, True):
        before = b.load(None, lock=lock).head
        b.promote(20.0 if lock else 10.0)
        after = b.load(None, lock=False).head
        b.unlock()
        moved = 2 if lock else 1
        assert after.version == before.version + 1
        assert (after.ready, after.delayed) == (before.ready + moved, before.delayed - moved)
        assert after.at == (20.0 if lock else 10.0)
    assert ids(content(a).front) == ["j2", "j3", "j4"]
    assert content(a).next_due == 30.0
    version = a.load(None, lock=False).head.version
    a.promote(1.0)
    assert (a.load(None, lock=False).head.version, a.load(None, lock=False).head.at) == (version + 1, 20.0)


@check
def jobs_are_made_ready_under_the_lock_and_then_changed(make: Make) -> None:
    (a,) = opened(make, "a")
    commit(a, came(job(1, ready_at=5.0), Place.DELAYED))
    a.load(None, lock=True)
    a.promote(5.0)
    head = a.load(None, lock=False).head
    assert a.write(writing(head, [started(job(1))]))
    assert ids(content(a).running) == ["j1"]


@check
def jobs_that_expire_are_found_by_their_time(make: Make) -> None:
    (a,) = opened(make, "a")
    commit(
        a,
        came(job(1, expires_at=30.0)),
        came(job(2, expires_at=10.0, ready_at=5.0), Place.DELAYED),
        came(job(3, expires_at=20.0)),
        came(job(4, expires_at=1.0)),
        came(job(5)),
    )
    commit(a, started(job(4, expires_at=1.0)))
    assert content(a).next_expiry == 10.0
    assert ids(a.expired(20.0, 5000)) == ["j2", "j3"]
    commit(a, ended(job(2), Place.DELAYED), ended(job(1)), ended(job(3)))
    assert (content(a).next_expiry, ids(a.expired(1e9, 5000))) == (None, [])


@check
def those_that_have_waited_longest_come_first(make: Make) -> None:
    (a,) = opened(make, "a")
    jobs = {number: job(number, sort_key=-float(number)) for number in range(1, 5)}
    commit(a, *(came(one, Place.DELAYED if one.seq == 2 else Place.READY) for one in jobs.values()))
    commit(a, started(jobs[1]))
    commit(a, became(jobs[1], Place.RUNNING, Place.READY, 5, worker=None, started_at=None))
    assert ids(a.oldest(2)) == ["j2", "j3"]
    assert ids(a.oldest(9)) == ["j2", "j3", "j4", "j1"]


@check
def kinds_are_those_of_waiting_jobs(make: Make) -> None:
    (a,) = opened(make, "a")
    jobs = [job(1), job(2, task="other"), job(3, home="x"), job(4), job(5, task="run"), job(6, task="done")]
    commit(a, *(came(one, Place.DELAYED if one.seq == 2 else Place.READY) for one in jobs))
    commit(a, started(jobs[4]), ended(jobs[5]))
    assert sorted(a.kinds(), key=str) == [("other", None), ("work", "x"), ("work", None)]
    assert sorted(ids(a.of_kind("work", None, 5000))) == ["j1", "j4"]
    assert [ids(a.of_kind("work", "x", 5000)), ids(a.of_kind("other", None, 5000))] == [["j3"], ["j2"]]


@check
def batches_are_counted_by_state(make: Make) -> None:
    (a,) = opened(make, "a")
    jobs = [job(number, batch_id="b" if number < 5 else "c") for number in range(1, 7)]
    commit(a, *map(came, jobs))
    commit(a, started(jobs[0]), ended(jobs[1]), ended(jobs[2], state=JobState.FAILED))
    assert dict(a.batch("b")) == {"queued": 1, "running": 1, "succeeded": 1, "failed": 1}
    assert dict(a.batch("nobody")) == {}


@check
def ended_jobs_are_removed_oldest_first_without_a_new_version(make: Make) -> None:
    a, b = opened(make, "a", "b")
    jobs = [job(number) for number in range(1, 8)]
    commit(a, *map(came, jobs))
    commit(a, *(ended(one, at=float(20 - one.seq)) for one in jobs[:5]), started(jobs[5]))
    version = a.load(None, lock=False).head.version
    assert [a.prune(19.0, 2), b.prune(19.0, 2), a.prune(19.0, 2)] == [2, 2, 0]
    assert sorted(ids(a.find([one.id for one in jobs], []))) == ["j1", "j6", "j7"]
    assert a.load(None, lock=False).head.version == version


# -- workers ---------------------------------------------------------------------------------------------------------


@check
def workers_come_say_that_they_are_there_and_go(make: Make) -> None:
    (a,) = opened(make, "a")
    commit(a, workers={"a": (5.0, '["work"]'), "b\"\\'": (6.5, "[]")})
    assert sorted(a.workers()) == [("a", 5.0, '["work"]'), ("b\"\\'", 6.5, "[]")]
    assert content(a).people == 2
    commit(a, workers={"a": (7.0, "[]"), "gone": None})
    commit(a, workers={"b\"\\'": None})
    assert (a.workers(), content(a).people) == ([("a", 7.0, "[]")], 1)
