"""The comparison that ships with pacer: a trace that this module made, and a file that names the parts.

`python -m pacer._compare._sample` writes the trace to standard output.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Final

from pacer._compare._errors import ConfigError

TRACE: Final = "requests.csv"
CONFIG: Final = "compare.toml"

COLUMNS: Final = ("seconds", "tenant", "prompt_tokens", "generated_tokens")
LASTING: Final = 1200.0
MOST_GENERATED: Final = 800
_SEED: Final = 7

_Row = tuple[str, str, int, int]


def sample_trace() -> str:
    """A CSV file of 20 minutes in front of a language model, made up; the same text at each call.

    Two tenants follow a day curve that is pressed into the 20 minutes, a third sends 40 reports every 5 minutes.
    Prompts and answers have log-normal numbers of tokens.
    """
    # Of the generator's methods only random() is promised to be the same on all versions of Python.
    chance = Random(_SEED).random  # noqa: S311 - made-up requests
    rows = sorted([*_day(chance), *_reports(chance)], key=lambda row: float(row[0]))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def _gap(chance: Callable[[], float], mean: float) -> float:
    return -mean * math.log(1.0 - chance())


def _log_normal(chance: Callable[[], float], median: float, sigma: float) -> int:
    normal = math.sqrt(-2 * math.log(1.0 - chance())) * math.cos(2 * math.pi * chance())  # Box and Muller 1958
    return max(1, round(median * math.exp(sigma * normal)))


def _row(chance: Callable[[], float], at: float, tenant: str, prompt: float, generated: float) -> _Row:
    tokens = _log_normal(chance, prompt, 0.6), _log_normal(chance, generated, 0.5)
    return (f"{at:.1f}", tenant, tokens[0], min(MOST_GENERATED, tokens[1]))


def _day(chance: Callable[[], float]) -> list[_Row]:
    """Quiet, busy, quiet: a Poisson process, thinned (Lewis and Shedler 1979)."""
    rows, at = [], _gap(chance, 1 / 0.62)
    while at <= LASTING:
        busy = (1 - math.cos(2 * math.pi * at / LASTING)) / 2
        if chance() < 0.2 + 0.8 * busy:
            tenant = "chat" if chance() < 0.6 else "search"
            rows.append(_row(chance, at, tenant, 900, 100))
        at += _gap(chance, 1 / 0.62)
    return rows


def _reports(chance: Callable[[], float]) -> list[_Row]:
    """A timer's bursts."""
    rows = []
    for start in (120.0, 420.0, 720.0, 1020.0):
        at = start
        for _ in range(40):
            at += _gap(chance, 0.3)
            rows.append(_row(chance, at, "reports", 2500, 200))
    return rows


def sample_folder() -> Path:
    """Where the trace and its comparison lie."""
    return Path(str(files("pacer.simulation"))) / "data"


def write_example(path: Path) -> list[Path]:
    """Copy the comparison to `path` and its trace beside it; raises a ConfigError rather than replace a file."""
    copies = {path: CONFIG, path.with_name(TRACE): TRACE}
    for target in copies:
        if target.exists():
            raise ConfigError(str(target), "is there already; choose another place")
    for target, name in copies.items():
        try:
            target.write_bytes((sample_folder() / name).read_bytes())
        except OSError as error:
            raise ConfigError(str(target), f"cannot be written: {error.strerror or error}") from error
    return list(copies)


if __name__ == "__main__":
    sys.stdout.write(sample_trace())
