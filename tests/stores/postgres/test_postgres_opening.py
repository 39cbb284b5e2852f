"""Tables are made once, however many come at the same time; and what is not ours, or cannot be used, is left alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from backend_contract import EMPTY, came, commit, content, ids, job, opened

from pacer import CorruptStoreError, NewerSchemaError, NotOurStoreError, ReadOnlyStoreError, StoreError
from pacer import StoreUnavailableError as Unavailable
from pacer.stores._postgres._backend import PostgresBackend
from pacer.stores._postgres._privileges import grants
from pacer.stores._postgres._schema import VERSION
from pacer.stores.postgres import PostgresStore, migrate, migration_sql

PASSWORD = "never-to-be-shown"

MADE = """
SELECT 'column', table_name || '.' || column_name, data_type || is_nullable || coalesce(column_default, '')
FROM information_schema.columns WHERE table_schema = $1
UNION ALL SELECT 'index', indexname, replace(indexdef, quote_ident($1), '') FROM pg_indexes WHERE schemaname = $1
UNION ALL SELECT 'options', relname, reloptions::text FROM pg_class WHERE relnamespace = quote_ident($1)::regnamespace
ORDER BY 1, 2
"""


def made(place) -> list[tuple[Any, ...]]:
    return place.ask(MADE, place.schema)


def test_many_may_come_at_once(place, make):
    workers = [make(f"w{number}") for number in range(8)]
    with ThreadPoolExecutor(len(workers)) as pool:
        list(pool.map(lambda backend: (backend.connect(), backend.create(EMPTY)), workers))
    versions = place.ask("SELECT version FROM <schema>.pacer_migrations ORDER BY version")
    assert versions == [(number,) for number in range(1, VERSION + 1)]
    assert {backend.load(None, lock=False).head for backend in workers} == {EMPTY}


def test_migrating_says_from_which_version_to_which(place):
    assert migrate(place.dsn, place.schema) == (0, VERSION)
    assert migrate(place.dsn, place.schema) == (VERSION, VERSION)


def test_the_sql_for_a_dba_makes_the_same_tables(place):
    migrate(place.dsn, place.schema)
    expected = made(place)
    assert len(expected) > 100
    place.ask("DROP SCHEMA <schema> CASCADE")
    with psycopg.connect(place.dsn, autocommit=True) as connection:
        connection.execute(migration_sql(place.schema).encode())
    assert made(place) == expected
    assert migrate(place.dsn, place.schema) == (VERSION, VERSION)


def test_a_schema_that_is_there_and_holds_other_tables_may_be_used(place, make):
    place.ask("CREATE SCHEMA <schema>")
    place.ask("CREATE TABLE <schema>.customers (name text)")
    opened(make, "a")
    assert place.ask("SELECT count(*) FROM <schema>.customers") == [(0,)]


def test_several_queues_share_the_tables(make):
    one, two = make("a", "one"), make("a", 'two "2"')
    for backend in (one, two):
        backend.connect()
        backend.create(EMPTY)
        commit(backend, came(job(1)))
    commit(two, came(job(2)))
    assert [ids(content(backend).front) for backend in (one, two)] == [["j1"], ["j1", "j2"]]


@pytest.mark.parametrize(
    "kind", ["TABLE <schema>.pacer_jobs (name text)", "VIEW <schema>.pacer_migrations AS SELECT 1"]
)
def test_what_is_not_ours_is_left_alone(place, make, kind):
    place.ask("CREATE SCHEMA <schema>")
    place.ask(f"CREATE {kind}")
    with pytest.raises(NotOurStoreError, match="Give another schema"):
        make("a").connect()
    assert place.ask("SELECT count(*) FROM pg_class WHERE relnamespace = quote_ident($1)::regnamespace "
                     "AND relkind IN ('r', 'v')", place.schema) == [(1,)]  # fmt: skip


def test_tables_of_a_newer_version_are_left_alone(place, make):
    migrate(place.dsn, place.schema)
    place.ask("INSERT INTO <schema>.pacer_migrations (version) VALUES ($1::integer)", str(VERSION + 1))
    with pytest.raises(NewerSchemaError, match=f"version {VERSION + 1}, this one knows {VERSION}"):
        make("a").connect()


@pytest.mark.parametrize("harm", ["DROP TABLE <schema>.pacer_workers", "DELETE FROM <schema>.pacer_migrations"])
def test_what_is_missing_is_not_made_anew(place, make, harm):
    migrate(place.dsn, place.schema)
    place.ask(harm)
    with pytest.raises(CorruptStoreError, match="Restore"):
        make("a").connect()


def test_a_table_that_vanishes_while_it_is_in_use_is_told(place, make):
    (backend,) = opened(make, "a")
    place.ask("DROP TABLE <schema>.pacer_jobs")
    with pytest.raises(CorruptStoreError, match="start the application again"):
        backend.load(None, lock=False)


def test_a_queue_that_vanishes_while_it_is_in_use_is_told(place, make):
    (backend,) = opened(make, "a")
    backend.load(None, lock=False)
    place.ask("DELETE FROM <schema>.pacer_queues")
    with pytest.raises(CorruptStoreError, match="was removed"):
        backend.load(None, lock=False)


# -- privileges ------------------------------------------------------------------------------------------------------


def test_a_role_that_may_not_make_tables_is_told_who_has_to_and_what_to_grant(place, make, role):
    with pytest.raises(ReadOnlyStoreError) as caught:
        make("a", dsn=role[1]).connect()
    assert "pacer migrate" in str(caught.value)
    assert grants(place.schema) in str(caught.value)
    assert place.ask("SELECT count(*) FROM pg_namespace WHERE nspname = $1", place.schema) == [(0,)]


def test_the_grants_that_it_is_told_are_enough(place, make, role):
    name, dsn = role
    migrate(place.dsn, place.schema)
    for statement in grants(place.schema, name).rstrip(";").split(";"):
        with pytest.raises(ReadOnlyStoreError, match="lacks privileges on"):
            make("a", dsn=dsn).connect()
        place.ask(statement)
    backend = make("a", dsn=dsn)
    backend.connect()
    backend.create(EMPTY)
    commit(backend, came(job(1)), workers={"a": (1.0, "[]")}, notice="hello", unstage=[1])
    backend.promote(1.0)
    backend.prune(1.0, 1)
    assert ids(content(backend).front) == ["j1"]
    assert not backend.staged(1)


def test_a_database_that_takes_no_writes_is_told(place, make):
    migrate(place.dsn, place.schema)
    with pytest.raises(ReadOnlyStoreError, match="standby"):
        opened(lambda worker: make(worker, dsn=f"{place.dsn}?options=-cdefault_transaction_read_only%3Don"), "a")


def test_a_database_that_cannot_hold_every_text_is_refused(place, make):
    place.ask("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StoreError, match="encoding is LATIN1"):
        make("a", dsn=f"{place.dsn.rpartition('/')[0]}/latin").connect()


def test_what_may_be_lost_is_told(place, make):
    backend = make("a")
    backend.connect()
    assert backend.risks == []
    risky = make("b", dsn=f"{place.dsn}?options=-csynchronous_commit%3Doff")
    risky.connect()
    assert [one for one in risky.risks if "synchronous_commit is off" in one]


# -- who it is, without the password ---------------------------------------------------------------------------------

DSNS = [
    "postgresql://user:{}@127.0.0.1:1/jobs",
    "postgresql://user:{}@127.0.0.1:1,localhost:2/jobs?connect_timeout=2",
    "postgres://127.0.0.1:1/jobs?user=user&password={}",
    "host=127.0.0.1 port=1 user=user dbname=jobs password={}",
    "host=127.0.0.1 port=1 user=user dbname=jobs password = '{} with \\' a quote'",
    "host=/nowhere user=user dbname=jobs password={}",
]


@pytest.mark.parametrize("form", DSNS)
def test_a_server_that_is_away_is_told_without_the_password(make, form):
    dsn = form.format(PASSWORD)
    backend = make("a", dsn=dsn, connect_timeout=2.0)
    with pytest.raises(Unavailable) as caught:
        backend.connect()
    for text in (str(caught.value), backend.name, repr(backend), repr(PostgresStore(dsn))):
        assert "user@" in text
        assert "jobs" in text
        assert "never" not in text


@pytest.mark.parametrize(
    "dsn",
    [
        f"postgresql://user:{PASSWORD}@[::1/jobs",
        f"password={PASSWORD} host",
        *(f"postgresql://user:12{sign}{PASSWORD}@host/jobs" for sign in "/@?#"),
        f"postgresql://user:{PASSWORD}/34@host/jobs",
        f"postgresql://user:1@2/{PASSWORD}@host/jobs",
        7,
    ],
)
def test_what_is_no_dsn_is_refused_without_showing_it(dsn):
    for use in (PostgresStore, migrate):
        with pytest.raises((ValueError, TypeError)) as caught:
            use(dsn)
        assert "never" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("schema", ["", "a" * 64, "é" * 32, "a\0", 7])
def test_what_is_no_name_of_a_schema_is_refused(schema):
    with pytest.raises(ValueError, match="schema must be a name"):
        PostgresStore("host=localhost", schema=schema)


def test_a_wrong_password_is_told(place, make):
    wrong = psycopg.conninfo.make_conninfo(place.dsn, password=f"{PASSWORD}-not")
    with pytest.raises(Unavailable, match="authentication failed") as caught:
        make("a", dsn=wrong).connect()
    assert "never" not in str(caught.value)


def test_options_of_the_dsn_are_kept(place, make):
    backend = make("a", dsn=f"{place.dsn}?application_name=shop&options=-cwork_mem%3D123kB")
    backend.connect()
    settings = dict.fromkeys(["work_mem", "application_name", "plan_cache_mode", "statement_timeout"], "")
    for name in settings:
        settings[name] = setting(backend, name)
    assert settings == {
        "work_mem": "123kB", "application_name": "shop", "plan_cache_mode": "force_generic_plan",
        "statement_timeout": "10s",
    }  # fmt: skip


def setting(backend: PostgresBackend, name: str) -> str:
    ((value,),) = backend._session.rows((f"SHOW {name}".encode(), ()))
    return value
