"""A store of each kind for the commands, and applications that work on it."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Place
from servers import PostgresServer, RedisServer


@pytest.fixture(params=["sqlite", "postgres", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """On each kind of store."""
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        return Place("postgres", server.dsn, request.getfixturevalue("postgres_schema"), tmp_path)
    if request.param == "redis":
        other: RedisServer = request.getfixturevalue("redis")
        return Place("redis", other.url, request.getfixturevalue("redis_prefix"), tmp_path)
    return on_sqlite(tmp_path)


@pytest.fixture
def sqlite(tmp_path: Path) -> Place:
    """On a file alone: what does not depend on the store."""
    return on_sqlite(tmp_path)


def on_sqlite(folder: Path) -> Place:
    return Place("sqlite", f"sqlite:///{folder / 'jobs.db'}", None, folder)
