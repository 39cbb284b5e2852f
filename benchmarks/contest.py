"""Contests: several contenders in one run, turn by turn, so that what disturbs the machine disturbs all of them."""

from __future__ import annotations

import gc
import os
import platform
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from statistics import median

import attrs
from pytest_benchmark.fixture import BenchmarkFixture

PACKAGES = (
    *("pacer-scheduler", "anyio", "attrs", "aiosqlite", "psycopg", "redis", "hiredis"),
    *("huey", "aiolimiter", "asyncpg", "pgqueuer", "bullmq", "taskiq", "taskiq-redis"),
)

Figures = Mapping[str, float]
Contender = Callable[[], Figures]


@attrs.frozen
class Table:
    """All figures of all rounds of one contest.

    Attributes:
        title: What was compared.
        rounds: For each contender its figures, one mapping a round.
        ratios: Whether cells show the ratio to the first contender.
    """

    title: str
    rounds: Mapping[str, Sequence[Figures]]
    ratios: bool = True

    def values(self, contender: str, figure: str) -> list[float]:
        """One figure of one contender, in the order of the rounds."""
        return [figures[figure] for figures in self.rounds[contender] if figure in figures]

    def ratio(self, contender: str, figure: str) -> float | None:
        """Median of its ratios to the first contender in the same round; None if there is nothing to divide by."""
        first = self.values(next(iter(self.rounds)), figure)
        own = self.values(contender, figure)
        if len(first) != len(own) or not all(first):
            return None
        return median(mine / theirs for mine, theirs in zip(own, first, strict=True))

    def markdown(self) -> str:
        """A cell is `median (least-greatest) xratio`."""
        figures = list(dict.fromkeys(name for rounds in self.rounds.values() for one in rounds for name in one))
        lines = [["contender", *figures], ["---"] * (len(figures) + 1)]
        lines += [[name, *(self._cell(name, figure) for figure in figures)] for name in self.rounds]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _cell(self, contender: str, figure: str) -> str:
        values = self.values(contender, figure)
        if not values:
            return "-"
        text = _short(median(values))
        if len(values) > 1:
            text += f" ({_short(min(values))}-{_short(max(values))})"
        ratio = self.ratio(contender, figure) if self.ratios else None
        return text if ratio is None else f"{text} x{ratio:.2g}"


def machine() -> str:
    """What the figures depend on, in one line."""
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    versions = {name: version(name) for name in PACKAGES}
    return (
        f"{os.cpu_count()} cores, load {load}; Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
    )


@attrs.define(eq=False)
class Contest:
    """Runs contenders turn by turn and keeps every figure.

    A contender is a function that does its work once, asserts that the work was really done, and returns its figures.
    """

    benchmark: BenchmarkFixture
    node: str
    tables: list[Table]

    @property
    def short(self) -> bool:
        """Whether this run only shows that the benchmark works: one round, little work, figures without meaning."""
        return bool(self.benchmark.disabled)

    def size(self, full: int, short: int) -> int:
        """How much work to do."""
        return short if self.short else full

    def run(self, title: str, contenders: Mapping[str, Contender], *, rounds: int = 5, ratios: bool = True) -> Table:
        """All of them `rounds` times, in turns."""
        kept: dict[str, list[Figures]] = {name: [] for name in contenders}

        def one_round() -> None:
            for name, contender in contenders.items():
                gc.collect()
                kept[name].append(contender())

        self.benchmark.pedantic(one_round, rounds=rounds)
        table = Table(title, kept, ratios)
        if not self.short:
            self.tables.append(table)
        self.benchmark.extra_info.update({name: list(figures) for name, figures in kept.items()})
        return table


def _short(value: float) -> str:
    """Three or four digits."""
    return f"{value:,.0f}" if abs(value) >= 999.5 else f"{value:.4g}" if abs(value) < 10 else f"{value:.3g}"


def quantile(values: Sequence[float], level: float) -> float:
    """The smallest value that a share `level` of them does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(level * len(ordered)))]
