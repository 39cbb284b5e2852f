"""A worker that stops in the middle of a transaction on PostgreSQL."""

from __future__ import annotations

import pytest
from servers import PostgresServer

from pacer.stores._postgres._session import Session
from pacer.stores._postgres._target import Target

LOCK = (b"SELECT pg_advisory_xact_lock(7)", ())


def session(postgres: PostgresServer) -> Session:
    return Session(Target(postgres.dsn, "any", connect_timeout=5.0, timeout=5.0, pooled=False), grants="")


@pytest.mark.parametrize("last", ["begin", "rows"])
def test_it_holds_up_the_others_for_no_longer_than_the_server_lets_it(postgres: PostgresServer, last: str) -> None:
    stopped, other = session(postgres), session(postgres)
    try:
        stopped.begin([LOCK])
        if last == "rows":
            stopped.rows(LOCK)
        other.begin([LOCK])  # or this would raise in a while
        assert other.rows((b"SELECT 1", ())) == [(1,)]
    finally:
        stopped.close()
        other.close()
