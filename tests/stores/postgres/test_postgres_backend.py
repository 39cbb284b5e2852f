"""A queue in PostgreSQL keeps the contract of backends; directly, and through a pooler's restrictions."""

from __future__ import annotations

import functools

from backend_contract import parametrize


@parametrize
def test_a_queue_in_postgresql_keeps_the_contract(check, make):
    check(make)


@parametrize
def test_it_does_so_without_a_session_of_its_own(check, make):
    check(functools.partial(make, pooled=True))
