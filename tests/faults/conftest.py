"""Where workers keep their jobs while faults happen: servers of their own, since these are killed now and then."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pool import Pool, pool
from pool_worker import Plan
from proxy import Proxy
from servers import PostgresServer, RedisServer, Server


@pytest.fixture(scope="session", params=["postgres", "redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def the_server(kind: str) -> Iterator[Server]:
    # What Redis has acknowledged is on disk only with "always"; with "everysec" a crash of it may lose a moment, which
    # is what the documentation says.
    with PostgresServer() if kind == "postgres" else RedisServer({"appendfsync": "always"}) as server:
        yield server


@pytest.fixture
def server(the_server: Server) -> Iterator[Server]:
    """It may be killed."""
    yield the_server
    if not the_server.running:
        the_server.start()


@pytest.fixture
def plan(kind: str, server: Server, tmp_path: Path, postgres_schema: str, redis_prefix: str) -> Plan:
    """A queue on it."""
    address = server.dsn if isinstance(server, PostgresServer) else server.url
    place = postgres_schema if kind == "postgres" else redis_prefix
    return Plan(name="", log=str(tmp_path / "log"), store=kind, address=address, place=place)


@pytest.fixture
def workers(plan: Plan, tmp_path: Path) -> Iterator[Pool]:
    """A pool of workers on it."""
    with pool(plan, tmp_path) as found:
        yield found


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    """A way to it that can be broken."""
    with Proxy(server.port) as found:
        yield found
