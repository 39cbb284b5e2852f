"""Where workers keep their jobs while faults happen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pool import Pool, pool
from pool_worker import Plan
from servers import PostgresServer, RedisServer


@pytest.fixture(params=["postgres", "redis"])
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
    """A queue on the server that all tests share."""
    kind = request.param
    server: PostgresServer | RedisServer = request.getfixturevalue(kind)
    address = server.dsn if isinstance(server, PostgresServer) else server.url
    place = request.getfixturevalue("postgres_schema" if kind == "postgres" else "redis_prefix")
    return Plan(name="", log=str(tmp_path / "log"), store=kind, address=address, place=place)


@pytest.fixture
def workers(plan: Plan, tmp_path: Path) -> Iterator[Pool]:
    """A pool of workers on it."""
    with pool(plan, tmp_path) as found:
        yield found
