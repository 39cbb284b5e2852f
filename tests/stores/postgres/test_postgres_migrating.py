"""Tables of an earlier version are brought to this one with all that is in them, while nobody else is at them."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from backend_contract import back, came, commit, content, ended, found, ids, job, opened

from pacer import NewerSchemaError, OlderSchemaError, ReadOnlyStoreError, StoreUnavailableError
from pacer.stores._postgres import _migrate
from pacer.stores._postgres._privileges import grants
from pacer.stores._postgres._schema import MIGRATIONS, MIGRATIONS_TABLE, VERSION
from pacer.stores._postgres._statement import in_schema
from pacer.stores.postgres import migrate, migration_sql

WITHIN = 30.0

# Jobs of the first version in all states. What had ended had no arguments any more.
JOBS_OF_1 = """
INSERT INTO <schema>.pacer_jobs (queue, id, seq, state, sort_key, arrival, place, due, created_at, ready_at, started_at,
    ended_at, lease_until, delay, retry_delay, fence, priority, failures, throttles, recoveries, cancel_requested, task,
    message, error, payload)
SELECT q.id, s.name, n, s.name, n, CASE WHEN n < 3 THEN n END, CASE WHEN n = 1 THEN n END,
    CASE WHEN n = 2 THEN 1e12 END, n, CASE WHEN n = 2 THEN 1e12 ELSE n END, CASE WHEN n > 2 THEN n END,
    CASE WHEN n > 3 THEN n END, CASE WHEN n = 3 THEN 1e12 ELSE 0 END, 0, 0, 0, 0, 0, 0, 0, false, 'work', '', '',
    CASE WHEN n < 4 THEN '[1]' END
FROM <schema>.pacer_queues q, unnest(ARRAY['queued', 'delayed', 'running', 'succeeded', 'failed', 'cancelled',
    'dropped', 'expired', 'stale', 'dead']) WITH ORDINALITY AS s (name, n)
"""
ENDED = ["succeeded", "failed", "cancelled", "dropped", "expired", "stale", "dead"]


@pytest.fixture
def first_version(place):
    """Tables of version 1, and a queue in them."""
    place.ask("CREATE SCHEMA <schema>")
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        for text in (MIGRATIONS_TABLE, *MIGRATIONS[0]):
            connection.execute(in_schema(text, place.schema))
    place.ask("INSERT INTO <schema>.pacer_migrations (version) VALUES (1)")
    place.ask(
        "INSERT INTO <schema>.pacer_queues (name, version, stamp, state, parts, clock_offset, clock_at, ready, "
        "delayed, last_seq, arrivals, roster) VALUES ('default', 7, 'x', '{}', '{}', 0, 0, 1, 1, 10, 10, 0)"
    )
    place.ask(JOBS_OF_1)
    place.ask("UPDATE <schema>.pacer_jobs SET state = 'queued' WHERE id = 'delayed'")
    return place


def test_jobs_in_every_state_are_there_afterwards(first_version, make):
    (backend,) = opened(make, "a")
    now = content(backend)
    assert (ids(now.front), ids(now.running), now.next_due) == (["queued"], ["running"], 1e12)
    assert ids(backend.waiting(None, 9)) == ["queued", "delayed"]
    assert [ids(backend.ended(state, None, 9)) for state in ENDED] == [[state] for state in ENDED]
    assert backend.tally(9) == dict.fromkeys(ENDED, 1)
    assert (found(backend, "queued").payload, found(backend, "queued").headers) == ("[1]", None)
    commit(backend, ended(found(backend, "running")), came(job(11, headers={"a": "b"})), minutes=[(1,) * 8])
    commit(backend, back(found(backend, "stale"), 12))
    assert ids(backend.waiting(None, 9)) == ["queued", "stale", "j11", "delayed"]
    assert (found(backend, "j11").headers, backend.minutes(0)) == ({"a": "b"}, [[1] * 8])
    assert backend.prune(math.inf, 99) == len(ENDED)


def test_the_tables_are_those_that_are_made_anew(first_version, make):
    def made(schema: str) -> list[tuple[object, ...]]:
        rows = first_version.ask(
            "SELECT indexname, replace(indexdef, quote_ident($1), '') FROM pg_indexes WHERE schemaname = $1 UNION ALL "
            "SELECT table_name, column_name || data_type FROM information_schema.columns WHERE table_schema = $1",
            schema,
        )
        return sorted(rows)

    assert migrate(first_version.dsn, first_version.schema) == (1, VERSION)
    migrate(first_version.dsn, f"{first_version.schema} anew")
    assert made(first_version.schema) == made(f"{first_version.schema} anew")


def test_the_sql_for_a_dba_does_the_same_from_where_they_are(first_version, make):
    with psycopg.connect(first_version.dsn, autocommit=True) as connection:
        connection.execute(migration_sql(first_version.schema, since=1).encode())
    assert migrate(first_version.dsn, first_version.schema) == (VERSION, VERSION)
    (backend,) = opened(make, "a")
    assert backend.tally(9) == dict.fromkeys(ENDED, 1)


def test_no_row_is_written_anew(first_version):
    files = "SELECT relname, pg_relation_filenode(oid) FROM pg_class WHERE relnamespace = quote_ident($1)::regnamespace"
    files += " AND relkind = 'r' ORDER BY 1"
    before = dict(first_version.ask(files, first_version.schema))
    migrate(first_version.dsn, first_version.schema)
    after = dict(first_version.ask(files, first_version.schema))
    assert {name: after[name] for name in before} == before


def test_a_worker_of_the_earlier_version_that_comes_later_is_told(first_version, make, monkeypatch):
    opened(make, "a")
    monkeypatch.setattr(_migrate, "VERSION", 1)
    with pytest.raises(NewerSchemaError, match=f"version {VERSION}, this one knows 1.*Upgrade pacer-scheduler"):
        make("b").connect()


def test_a_worker_that_may_not_migrate_is_told_who_has_to_and_then_what_to_grant(first_version, make, role):
    name, dsn = role
    first_version.ask(f"GRANT USAGE ON SCHEMA <schema> TO {name}")
    first_version.ask(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA <schema> TO {name}")
    for told in ("pacer migrate", "lacks privileges on pacer_minutes"):
        with pytest.raises(ReadOnlyStoreError, match=told):
            make("a", dsn=dsn).connect()
        migrate(first_version.dsn, first_version.schema)
    for statement in grants(first_version.schema, name).rstrip(";").split(";"):
        first_version.ask(statement)
    opened(lambda worker: make(worker, dsn=dsn), "a")


def test_a_guest_is_told_and_changes_nothing(first_version, make):
    with pytest.raises(OlderSchemaError, match=f"version 1, and this pacer needs {VERSION}.*pacer migrate") as caught:
        make("a", guest=True).connect()
    assert (caught.value.found, caught.value.needed) == (1, VERSION)
    assert first_version.ask("SELECT max(version) FROM <schema>.pacer_migrations") == [(1,)]


# What a worker of any version does under the lock.
COMMIT = (
    "SELECT FROM <schema>.pacer_queues WHERE id = 1 FOR UPDATE",
    "SELECT count(*) FROM <schema>.pacer_stage, <schema>.pacer_workers, <schema>.pacer_jobs",
    "UPDATE <schema>.pacer_jobs SET failures = failures + 1 WHERE id = 'queued'",
    "UPDATE <schema>.pacer_queues SET version = version + 1 WHERE id = 1",
)


def test_workers_that_are_at_it_wait_for_it_and_nobody_is_in_the_way_for_ever(first_version):
    begun, over = threading.Barrier(5), threading.Event()
    quoted = '"' + first_version.schema.replace('"', '""') + '"'

    def work() -> int:
        """Goes on until a few commits after the migration."""
        commits, left = 0, 5
        with psycopg.connect(first_version.dsn, autocommit=True) as connection:
            begun.wait(WITHIN)
            while left:
                left -= over.is_set()
                with connection.transaction():
                    for statement in COMMIT:
                        connection.execute(statement.replace("<schema>", quoted))
                commits += 1
        return commits

    with ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work) for _ in range(4)]
        begun.wait(WITHIN)
        try:
            assert migrate(first_version.dsn, first_version.schema) == (1, VERSION)
        finally:
            over.set()
        commits = sum(one.result(WITHIN) for one in workers)
    assert first_version.ask("SELECT failures FROM <schema>.pacer_jobs WHERE id = 'queued'") == [(commits,)]


def test_it_does_not_hold_up_everybody_behind_one_who_reads_for_hours(first_version, monkeypatch):
    monkeypatch.setattr(_migrate, "LOCK_WITHIN", 0.2)
    with psycopg.connect(first_version.dsn) as dump:
        dump.execute(in_schema("SELECT count(*) FROM {schema}.pacer_queues", first_version.schema))
        with pytest.raises(StoreUnavailableError, match="pg_stat_activity"):
            migrate(first_version.dsn, first_version.schema)
        assert first_version.ask("SELECT max(version) FROM <schema>.pacer_migrations") == [(1,)]
    assert migrate(first_version.dsn, first_version.schema) == (1, VERSION)


def test_it_takes_as_long_as_it_takes(first_version, make):
    """However short an answer may be waited for otherwise."""
    with psycopg.connect(first_version.dsn) as dump:
        dump.execute(in_schema("SELECT count(*) FROM {schema}.pacer_jobs", first_version.schema))
        backend = make("a", timeout=0.01)
        backend._session.connect().patience = 0.01
        opening = threading.Thread(target=backend.connect)
        opening.start()
        opening.join(0.5)
        assert opening.is_alive()
    opening.join(WITHIN)
    assert not opening.is_alive()
    assert first_version.ask("SELECT max(version) FROM <schema>.pacer_migrations") == [(VERSION,)]
