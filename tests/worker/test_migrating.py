"""`pacer migrate`, and the URLs that name stores."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from servers import PASSWORD, PostgresServer
from typer.testing import CliRunner

from pacer import Scheduler
from pacer._commands import app
from pacer.stores import MemoryStore
from pacer.stores._from_url import StoreUrl, described, redacted
from pacer.stores._sqlite_schema import MIGRATIONS, VERSION
from pacer.stores.sqlite import SqliteStore


def migrate(*arguments: str, **environment: str) -> Any:
    return CliRunner(env=environment).invoke(app, ["migrate", *arguments])


def version_of(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (version,) = connection.execute("SELECT version FROM pacer_schema").fetchone()
        return int(version)
    finally:
        connection.close()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_file_is_made_and_a_second_time_left_as_it_is(here: Path) -> None:
    for said in (
        f"jobs.db: the tables are now of version {VERSION}\n",
        f"jobs.db: the tables are of version {VERSION} al",
    ):
        done = migrate("sqlite:///jobs.db")
        assert done.exit_code == 0, done.output
        assert done.output.startswith(said)
    assert version_of(here / "jobs.db") == VERSION


def test_an_older_file_is_brought_to_this_version_and_a_scheduler_opens_it(here: Path) -> None:
    connection = sqlite3.connect(here / "jobs.db")
    for statement in MIGRATIONS[0]:
        connection.execute(statement)
    connection.executescript(
        "CREATE TABLE pacer_schema (version INTEGER NOT NULL); INSERT INTO pacer_schema VALUES (1)"
    )
    connection.close()
    done = migrate(PACER_STORE=f"sqlite:///{here}/jobs.db")
    assert (done.exit_code, done.output) == (
        0,
        f"{here}/jobs.db: the tables are now of version {VERSION}, they were of 1\n",
    )
    assert version_of(here / "jobs.db") == VERSION


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["jobs.db"], 2, "'jobs.db' is not the URL of a store; expected one such as sqlite:///jobs.db, postgresql"),
        (["mysql://root:geheim@db/jobs"], 2, "'mysql://root:***@db/jobs' is not the URL of a store"),
        (["sqlite://jobs.db"], 2, "names no file; expected sqlite:///jobs.db, or sqlite:////var/lib/app/jobs.db"),
        (["sqlite:///gone/jobs.db"], 1, "the directory gone does not exist"),
        (["sqlite:///theirs.db"], 1, "holds the tables of another application (theirs)"),
        (["sqlite:///busy.db"], 3, "Somebody else holds the write lock"),
        (["sqlite:///jobs.db", "--print"], 2, "--print is for PostgreSQL; SQLite has no such thing"),
        (["redis://host", "--schema", "jobs"], 2, "--schema is for PostgreSQL; Redis has no such thing"),
    ],
)
def test_what_cannot_be_migrated(
    here: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, problem: str
) -> None:
    from pacer._work import _migrate

    monkeypatch.setattr(_migrate, "_PATIENCE", 0.05)
    theirs = sqlite3.connect("theirs.db")
    theirs.execute("CREATE TABLE theirs (number)")
    theirs.close()
    busy = sqlite3.connect("busy.db", isolation_level=None)
    busy.execute("BEGIN IMMEDIATE")
    done = migrate(*arguments)
    busy.close()
    assert done.exit_code == code
    assert done.stderr.startswith("pacer migrate: ")
    assert problem in done.stderr
    assert "geheim" not in done.output


def test_tables_in_postgres_are_made_once_in_the_schema_that_is_asked_for(
    postgres: PostgresServer, postgres_schema: str
) -> None:
    url = f"postgresql+psycopg://{postgres.dsn.partition('://')[2]}"
    first, second = (migrate(url, "--schema", postgres_schema) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert "the tables are now of version" in first.output
    assert "already" in second.output
    assert PASSWORD not in first.output + second.output


def test_the_sql_that_is_printed_makes_the_same_tables_as_the_command(
    postgres: PostgresServer, postgres_schema: str
) -> None:
    import psycopg

    printed = migrate("postgresql://nowhere.invalid/jobs", "--schema", postgres_schema, "--print")
    assert printed.exit_code == 0, printed.output
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        connection.execute(printed.stdout)
    done = migrate(postgres.dsn, "--schema", postgres_schema)
    assert "already" in done.output


def test_a_postgres_that_does_not_answer_is_worth_another_try_and_its_password_not_shown() -> None:
    done = migrate(f"postgresql://me:{PASSWORD}@127.0.0.1:1/jobs")
    assert done.exit_code == 3
    assert done.stderr.startswith("pacer migrate: ")
    assert PASSWORD not in done.output


def test_redis_has_nothing_to_migrate() -> None:
    done = migrate("redis://localhost")
    assert (done.exit_code, done.output) == (0, "Redis has no tables: there is nothing to migrate\n")


def test_without_the_driver_one_line_says_what_to_install() -> None:
    code = """
import sys
sys.modules["psycopg"] = None
from pacer._cli import main
sys.argv = ["pacer", "migrate", "postgresql://localhost/jobs"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "pacer migrate: the package 'psycopg' is missing; install it with: pip install 'pacer-scheduler[postgres]'\n"
    )


@pytest.mark.parametrize(
    ("url", "kind", "location"),
    [
        ("sqlite:///jobs.db", "SQLite", "jobs.db"),
        ("sqlite:////var/lib/app/my%20jobs.db", "SQLite", "/var/lib/app/my jobs.db"),
        ("sqlite+aiosqlite:///jobs.db", "SQLite", "jobs.db"),
        ("postgresql://me:geheim@db/jobs", "PostgreSQL", "postgresql://me:geheim@db/jobs"),
        ("postgresql+asyncpg://me@db/jobs?a=b", "PostgreSQL", "postgresql://me@db/jobs?a=b"),
        ("postgres://db/jobs", "PostgreSQL", "postgres://db/jobs"),
        ("redis://:geheim@host:6379/0", "Redis", "redis://:geheim@host:6379/0"),
        ("rediss://host", "Redis", "rediss://host"),
        ("unix:///run/redis.sock", "Redis", "unix:///run/redis.sock"),
        ("host=db password=geheim", "PostgreSQL", "host=db password=geheim"),
    ],
)
def test_a_url_names_a_store(url: str, kind: str, location: str) -> None:
    parsed = StoreUrl.parse(url)
    assert (parsed.kind.name, parsed.location) == (kind, location)
    assert "geheim" not in repr(parsed)


def test_the_store_of_a_url_takes_the_stores_settings() -> None:
    store = StoreUrl.parse("sqlite:///jobs.db").store(lease=5)
    assert store == SqliteStore("jobs.db", lease=5)
    assert Scheduler(store=store).store is store


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:geheim@db/jobs", "postgresql://me:***@db/jobs"),
        ("postgresql://me:ge/he@im@db/jobs", "postgresql://me:***@db/jobs"),
        ("redis://:geheim@host", "redis://:***@host"),
        ("postgresql://me@db:5432/jobs", "postgresql://me@db:5432/jobs"),
        ("host=db password=geheim user=me", "host=db password=*** user=me"),
        ("host=db password = 'ge\\'he im' user=me", "host=db password = *** user=me"),
        ("postgresql://db/jobs?user=me&password=geheim&port=1", "postgresql://db/jobs?user=me&password=***&port=1"),
        ("cannot connect to redis://u:geheim@a:1 or to b", "cannot connect to redis://u:***@a:1 or to b"),
    ],
)
def test_no_password_is_shown(text: str, shown: str) -> None:
    assert redacted(text) == shown


def test_a_store_is_called_by_its_class_and_place() -> None:
    assert described(SqliteStore("jobs.db")) == "SqliteStore(jobs.db)"
    assert described(MemoryStore()) == "MemoryStore"
