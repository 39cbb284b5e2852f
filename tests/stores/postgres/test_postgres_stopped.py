"""A worker that stopped while it was sending, with the queue in its hands."""

from __future__ import annotations

import psycopg
import pytest

from pacer import StoreUnavailableError
from pacer.stores._postgres import _target
from pacer.stores._server._backend import Head


@pytest.mark.parametrize("ask", [lambda one: one.load(None, lock=True), lambda one: one.promote(0.0)])
def test_the_queue_is_taken_from_a_session_that_the_server_does_not_take_to_be_idle(place, make, monkeypatch, ask):
    monkeypatch.setattr(_target, "LOCK_WITHIN", 2 * _target.STOPPED_FOR + 0.2)
    backend = make("a")
    backend.connect()
    backend.create(Head(version=0, state="{}", parts="{}"))
    quoted = place.schema.replace('"', '""')
    stopped = psycopg.connect(place.dsn)
    with pytest.raises(psycopg.OperationalError), stopped.pipeline():
        # It has asked for the rows, and has not said yet that this was all.
        stopped.execute(f'SELECT FROM "{quoted}".pacer_queues FOR UPDATE').fetchall()
        with pytest.raises(StoreUnavailableError, match="lock"):
            ask(backend)
        backend.load(None, lock=True)
        backend.unlock()
    assert stopped.closed
