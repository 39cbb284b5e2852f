"""Every test runs on each database; those that ask for `kind` with each connection to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from databases import POSTGRES_KINDS, SQLITE_KINDS, Database, Postgres, Sqlite

from pacer import Scheduler
from pacer.testing import Recorder

KINDS = {"sqlite": SQLITE_KINDS, "postgres": POSTGRES_KINDS}
USUAL = {"sqlite": "aiosqlite", "postgres": "psycopg"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module that is about some databases only names them: `DATABASES`."""
    names = getattr(metafunc.module, "DATABASES", list(KINDS))
    if "kind" in metafunc.fixturenames:
        pairs = [(name, kind) for name in names for kind in KINDS[name]]
        ids = [kind for _, kind in pairs]
        metafunc.parametrize(("database", "kind"), pairs, indirect=["database"], ids=ids)
    elif "database" in metafunc.fixturenames:
        metafunc.parametrize("database", names, indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    request.node.usual_kind = USUAL[request.param]
    if request.param == "sqlite":
        return Sqlite.make(tmp_path / "app.db")
    server, schema = request.getfixturevalue("postgres"), request.getfixturevalue("postgres_schema")
    return Postgres.make(server.dsn, schema)


@pytest.fixture
def usual(request: pytest.FixtureRequest, database: Database) -> Any:
    """A new connection of the usual kind."""
    return lambda: database.connect(request.node.usual_kind)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def ran() -> list[str]:
    """What jobs have been given, in the order in which they ran."""
    return []


@pytest.fixture
def make_scheduler(database: Database, recorder: Recorder, ran: list[str]) -> Any:
    """A scheduler on the database, with one function."""

    def make(store: dict[str, Any] | None = None, **parts: Any) -> tuple[Scheduler, Any]:
        scheduler = Scheduler(**{"store": database.store(**(store or {})), "observers": (recorder,), **parts})

        @scheduler.task(name="ship")
        async def ship(what: str) -> str:
            ran.append(what)
            return f"{what} is on its way"

        return scheduler, ship

    return make
