"""How contests run, where their tables go, and the servers that they need: those of the tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.contest import Contest, Table, machine

TESTS = Path(__file__).parents[1] / "tests"
sys.path += [str(TESTS), str(TESTS / "stores" / "server")]
from servers import PostgresServer, RedisServer  # noqa: E402 - now they are found

TABLES = pytest.StashKey[list[Table]]()


@pytest.fixture
def contest(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Contest:
    """Runs contenders turn by turn; with --benchmark-disable once, on little work."""
    tables = request.config.stash.setdefault(TABLES, [])
    return Contest(benchmark, request.node.nodeid, tables)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """As PostgreSQL comes: with its own `shared_buffers`; fsync and synchronous_commit are on."""
    with PostgresServer({"shared_buffers": "128MB", "synchronous_commit": "on"}) as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """With its file written at once and synced every second."""
    with RedisServer() as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tables = config.stash.get(TABLES, [])
    if tables:
        terminalreporter.write_line(f"{machine()} at the end. A cell: median (least-greatest), ratio to the first row.")
    for table in tables:
        terminalreporter.section(table.title, sep="-")
        terminalreporter.write_line(table.markdown())
