"""A queue in PostgreSQL keeps the contract of backends; directly, and through a pooler's restrictions."""

from __future__ import annotations

import functools

from backend_contract import came, commit, content, ids, job, opened, parametrize, started, writing

from pacer.stores._postgres import _backend
from pacer.stores._server._backend import Place


@parametrize
def test_a_queue_in_postgresql_keeps_the_contract(check, make):
    check(make)


@parametrize
def test_it_does_so_without_a_session_of_its_own(check, make):
    check(functools.partial(make, pooled=True))


def test_many_jobs_that_are_due_at_once_become_ready_in_steps_between_which_others_get_the_lock(make, monkeypatch):
    monkeypatch.setattr(_backend, "_AT_ONCE", 3)
    a, b = opened(make, "a", "b")
    commit(a, *(came(job(number, ready_at=float(number)), Place.DELAYED) for number in range(1, 6)))
    a.load(None, lock=True)
    a.promote(9.0)
    assert (b.load(None, lock=True).head.ready, content(b).next_due) == (3, 4.0)
    b.promote(9.0)
    head = b.load(None, lock=False).head
    assert (head.ready, head.delayed) == (5, 0)
    assert b.write(writing(head, [started(job(1, ready_at=1.0))]))
    assert ids(content(a).front) == ["j2", "j3", "j4", "j5"]
