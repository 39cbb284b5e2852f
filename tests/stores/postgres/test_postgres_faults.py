"""Connections that break, servers that end, and answers that are lost on the way."""

from __future__ import annotations

import time

import attrs
import psycopg
import pytest
from backend_contract import came, commit, content, ended, ids, job, opened, writing
from proxy import Proxy
from servers import PostgresServer
from waiting import until

from pacer import CorruptStoreError, StoreError, StoreUnavailableError
from pacer.stores._postgres._backend import PostgresBackend
from pacer.stores._postgres._errors import store_error
from pacer.stores._server._backend import JobExistsError


def process(backend: PostgresBackend) -> int:
    return backend._session.connect().info.backend_pid


def test_a_connection_that_the_server_ends_is_made_anew(place, make):
    (backend,) = opened(make, "a")
    commit(backend, came(job(1)))
    place.ask("SELECT pg_terminate_backend($1::integer, 5000)", str(process(backend)))
    with pytest.raises(StoreUnavailableError, match="terminating connection") as caught:
        backend.load(None, lock=False)
    assert place.schema not in str(caught.value)
    commit(backend, came(job(2)))
    assert ids(content(backend).front) == ["j1", "j2"]


def test_with_the_connection_the_lock_is_gone_and_what_was_done_under_it(place, make):
    a, b = opened(make, "a", "b")
    head = a.load(None, lock=True).head
    a.promote(1.0)
    place.ask("SELECT pg_terminate_backend($1::integer, 5000)", str(process(a)))
    assert b.load(None, lock=True).head == head
    b.unlock()
    with pytest.raises(StoreUnavailableError):
        a.unlock()
    a.unlock()
    commit(a, came(job(1)))


def test_a_server_that_is_killed_and_comes_back_has_what_it_acknowledged(make):
    with PostgresServer() as server:
        (backend,) = opened(lambda worker: make(worker, dsn=server.dsn), "a")
        commit(backend, came(job(1)))
        backend.load(None, lock=True)
        server.kill()
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match=f"127.0.0.1:{server.port}/pacer"):
                backend.load(None, lock=False)
        server.start()
        assert ids(content(backend).front) == ["j1"]
        commit(backend, came(job(2)))


def test_an_answer_that_does_not_come_is_not_waited_for_for_ever(postgres, place, make):
    with Proxy(postgres.port) as proxy:
        dsn = place.dsn.replace(f":{postgres.port}/", f":{proxy.port}/")
        (backend,) = opened(lambda worker: make(worker, dsn=dsn, timeout=0.5), "a")
        commit(backend, came(job(7)))  # a statement is prepared when it is first used, which has an answer of its own
        head = backend.load(None, lock=False).head
        proxy.stall(requests=False)
        began = time.monotonic()
        with pytest.raises(StoreUnavailableError, match=r"no answer from the server within 2.5 s"):
            backend.write(writing(head, [came(job(1))], commit=9))
        assert time.monotonic() - began > 2.4
        proxy.flow()
        # It was made all the same, which can be found out.
        loaded = backend.load(head.version, lock=False)
        assert (loaded.commit, loaded.head.version) == (9, head.version + 1)
        assert loaded.content is not None
        assert not backend.write(writing(head, [came(job(2))]))


def test_a_commit_that_did_not_reach_the_server_is_known_not_to_have_been_made(postgres, place, make):
    with Proxy(postgres.port) as proxy:
        dsn = place.dsn.replace(f":{postgres.port}/", f":{proxy.port}/")
        (backend,) = opened(lambda worker: make(worker, dsn=dsn), "a")
        commit(backend, came(job(1)), commit=1)
        head = backend.load(None, lock=True).head
        proxy.cut()
        with pytest.raises(StoreUnavailableError):
            backend.write(writing(head, [came(job(2))], commit=2))
        loaded = backend.load(None, lock=True)
        assert (loaded.commit, loaded.head.version) == (1, head.version)
        assert backend.write(writing(loaded.head, [came(job(2))], commit=3))


def test_a_server_that_lost_commits_and_came_to_the_same_version_again_is_found_out(place, make):
    """As a standby may, that is made the primary."""
    a, b = opened(make, "a", "b")
    commit(a, came(job(1)))
    before = place.ask("SELECT version, stamp FROM <schema>.pacer_queues")[0]
    commit(a, came(job(2)))
    known = a.load(None, lock=False).head
    place.ask("UPDATE <schema>.pacer_queues SET version = $1::bigint, stamp = $2", str(before[0]), before[1])
    place.ask("DELETE FROM <schema>.pacer_jobs WHERE id = 'j2'")
    commit(b, came(job(3)), worker="b")
    assert b.load(None, lock=False).head.version == known.version
    assert not a.write(writing(known, [came(job(4))]))
    found = a.load(known.version, lock=False).content
    assert found is not None
    assert ids(found.front) == ["j1", "j3"]


def test_what_somebody_else_locks_for_long_is_told(place, make):
    (backend,) = opened(lambda worker: make(worker, timeout=0.3), "a")
    backend.load(None, lock=False)
    with psycopg.connect(place.dsn) as somebody:
        somebody.execute(f"LOCK TABLE {quoted(place)}.pacer_jobs")
        with pytest.raises(StoreUnavailableError, match="longer than the store's timeout"):
            backend.load(None, lock=False)
    commit(backend, came(job(1)))


def quoted(place) -> str:
    return '"' + place.schema.replace('"', '""') + '"'


def test_a_job_that_exists_and_one_that_cannot_be_written_are_told_apart_and_nothing_stays_open(place, make):
    (backend,) = opened(make, "a")
    commit(backend, came(job(1)))
    for lock in (False, True):
        head = backend.load(None, lock=lock).head
        with pytest.raises(JobExistsError):
            backend.write(writing(head, [came(job(1))]))
        head = backend.load(None, lock=lock).head
        with pytest.raises(StoreError, match="SQLSTATE 22003") as caught:
            backend.write(writing(head, [came(attrs.evolve(job(2, payload="a secret"), seq=2**70))]))
        assert "secret" not in str(caught.value)
        assert caught.value.__cause__ is None
    states = place.ask("SELECT state FROM pg_stat_activity WHERE pid = $1::integer", str(process(backend)))
    assert states == [("idle",)]
    commit(backend, ended(job(1)))


def test_a_long_notice_is_cut_to_what_postgresql_takes(place, make):
    (backend,) = opened(make, "a")
    with psycopg.connect(place.dsn, autocommit=True) as listener:
        listener.execute(f'LISTEN "{backend._channel}"')
        for notice in ("short", "é" * 4000, "é" * 3999):
            commit(backend, notice=notice)
        heard = [one.payload for one in listener.notifies(timeout=10, stop_after=3)]
    assert heard == ["short", "", "é" * 3999]


def test_keepalives_and_time_limits_are_set(make):
    (backend,) = opened(make, "a")
    shown = {}
    for name in ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout", "jit"):
        ((shown[name],),) = backend._session.rows((f"SHOW {name}".encode(), ()))
    assert shown == {
        "idle_in_transaction_session_timeout": "3s", "lock_timeout": "9s", "statement_timeout": "10s", "jit": "off",
    }  # fmt: skip
    assert attrs.evolve(backend._target).arguments()["keepalives_idle"] == 10


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (psycopg.errors.DiskFull, StoreUnavailableError),
        (psycopg.errors.TooManyConnections, StoreUnavailableError),
        (psycopg.errors.LockNotAvailable, StoreUnavailableError),
        (psycopg.errors.DeadlockDetected, StoreUnavailableError),
        (psycopg.errors.AdminShutdown, StoreUnavailableError),
        (psycopg.InterfaceError, StoreUnavailableError),
        (psycopg.errors.IndexCorrupted, CorruptStoreError),
        (psycopg.errors.UndefinedColumn, CorruptStoreError),
        (psycopg.errors.SyntaxError, StoreError),
        (psycopg.DataError, StoreError),
    ],
)
def test_errors_say_what_kind_they_are_of(kind, expected):
    error = store_error(kind("went wrong\n  twice"), "postgresql://here", "grants")
    assert type(error) is expected
    assert str(error).startswith("postgresql://here: ")


def test_too_many_connections_are_told(make):
    with PostgresServer({"max_connections": "4", "superuser_reserved_connections": "1"}) as server:
        with psycopg.connect(server.dsn, autocommit=True) as owner:
            owner.execute("CREATE ROLE worker LOGIN PASSWORD 'w'")
            owner.execute("GRANT CREATE ON DATABASE pacer TO worker")
        dsn = psycopg.conninfo.make_conninfo(server.dsn, user="worker", password="w")
        backends = [make(f"w{number}", dsn=dsn) for number in range(5)]
        made = 0
        with pytest.raises(StoreUnavailableError, match="connection"):
            for backend in backends:
                backend.connect()
                made += 1
        assert made
        backends[0].close()
        until(lambda: connects(backends[made]))


def connects(backend: PostgresBackend) -> bool:
    try:
        backend.connect()
    except StoreUnavailableError:
        return False
    return True
