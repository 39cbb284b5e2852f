"""How contests run, and where their tables go."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from benchmarks.contest import Contest, Table, machine

TABLES = pytest.StashKey[list[Table]]()


@pytest.fixture
def contest(benchmark: BenchmarkFixture, request: pytest.FixtureRequest) -> Contest:
    """Runs contenders turn by turn; with --benchmark-disable once, on little work."""
    tables = request.config.stash.setdefault(TABLES, [])
    return Contest(benchmark, request.node.nodeid, tables)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tables = config.stash.get(TABLES, [])
    if tables:
        terminalreporter.write_line(f"{machine()} at the end. A cell: median (least-greatest), ratio to the first row.")
    for table in tables:
        terminalreporter.section(table.title, sep="-")
        terminalreporter.write_line(table.markdown())
