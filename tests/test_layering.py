"""Imports run downward only, the clock and the dice are read where they may be, and `import pacer` loads little."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pacer

ROOT = Path(pacer.__file__).parent

# From the bottom up. A module may import what stands in its own layer or below.
LAYERS = {
    "settings": ["_extras", "_validation"],
    "values": [
        "_errors",
        "_durations",
        "_job",
        "_limit_report",
        "_minutes",
        "_overview",
        "_reruns",
        "_snapshot",
        "_wall",
        "_when",
    ],
    "seams": ["_store_seam", "protocols", "events"],
    "upstream": ["_upstream"],
    "strategies": ["pacing", "backoff", "estimators", "queues", "codecs"],
    "rules": ["_guard", "_draws", "_ends", "_roll", "_forecast", "_promises", "_admission", "_numbers", "_rules"],
    "stores": ["stores"],
    "scheduler": [
        "",  # the package itself: the public names
        "_arrivals",
        "_asking",
        "_claims",
        "_context",
        "_intake",
        "_logging",
        "_next_claim",
        "_periodic",
        "_options",
        "_pages",
        "_receipt",
        "_runner",
        "_scheduler",
        "_session",
        "_settler",
        "_signals",
        "_steering",
        "_tasks",
        "_transactional",
        "_troubles",
        "_upcoming",
        "_views",
        "_worker",
        "alerts",
        "feedback",
    ],
    "tools": ["simulation", "testing"],
    "integrations": [
        "fastapi",
        "dashboard",
        "prometheus",
        "opentelemetry",
        "demo",
        "_compare",
        "_parts_text",
        "_operate",
        "_work",
        "_cli",
        "_command_error",
        "_commands",
        "__main__",
    ],
}
RANKS = {part: rank for rank, parts in enumerate(LAYERS.values()) for part in parts}
FAMILIES = {"pacing", "backoff", "estimators", "queues"}

# Stand-ins for upstreams are the other side of the wire: servers with clocks of their own. Prometheus is told when
# a gauge was read, and a trace when a run ended. The doctor compares clocks.
MAY_READ_CLOCK_AND_DICE = (
    "stores",
    "_scheduler",
    "_worker",
    "demo.upstream",
    "testing.upstream",
    "prometheus",
    "opentelemetry",
    "_operate._doctor",
)
OPTIONAL = [
    "fastapi",
    "starlette",
    "typer",
    "rich",
    "matplotlib",
    "numpy",
    "openai",
    "httpx",
    "aiosqlite",
    "cronsim",
    "psycopg",
    "prometheus_client",
    "opentelemetry",
    "trio",
    "sqlite3",
    "uvicorn",
    "pytest",
]


def modules() -> dict[str, ast.Module]:
    """All modules of the package by their name below `pacer`, parsed."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def part_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        yield node
        yield from run_time_nodes(node)


def loading_nodes(tree: ast.Module) -> Iterator[ast.stmt]:
    """The statements that are run when a module is loaded, those within `with needed(...)` too."""
    for node in tree.body:
        yield from node.body if isinstance(node, ast.With) else [node]


def imports(tree: ast.Module, *, when_loaded: bool = False) -> set[str]:
    """The modules of pacer that a module imports when it is loaded or run, by their names below `pacer`."""
    found = set()
    for node in loading_nodes(tree) if when_loaded else run_time_nodes(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {module_named(name) for name in names if name == "pacer" or name.startswith("pacer.")}
    return found


def module_named(name: str) -> str:
    """`pacer.pacing.FixedPause` is in `pacing`; `pacer.Scheduler` in the package itself."""
    below = name.removeprefix("pacer").removeprefix(".")
    while below and below not in MODULES:
        below = below.rpartition(".")[0]
    return below


def test_every_module_has_its_layer():
    assert {part_of(module) for module in MODULES} == set(RANKS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_run_downward_only(module):
    above = {other for other in imports(MODULES[module]) if RANKS[part_of(other)] > RANKS[part_of(module)]}
    assert not above, f"pacer.{module} imports what stands above it"


@pytest.mark.parametrize("module", [module for module in MODULES if part_of(module) in FAMILIES])
def test_strategy_families_do_not_import_each_other(module):
    others = {part_of(other) for other in imports(MODULES[module])} & FAMILIES - {part_of(module)}
    assert not others


def test_no_modules_import_each_other_in_a_circle():
    graph = {module: imports(tree, when_loaded=True) - {module} for module, tree in MODULES.items()}
    TopologicalSorter(graph).prepare()


def test_the_header_of_the_package_names_the_layers():
    """It is where people look."""
    for word in ("values", "protocols", "strategies", "rules", "stores", "scheduler", "integrations"):
        assert word in (pacer.__doc__ or "")


def readings(tree: ast.AST) -> set[str]:
    """Where a module reads a clock, or rolls the dice that all share."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute):
            head, _, tail = ast.unparse(node).partition(".")
            full = names.get(head, "") + (f".{tail}" if tail else "")
            if is_reading(full):
                found.add(full)
    return found


def is_reading(name: str) -> bool:
    module, _, function = name.rpartition(".")
    return (
        (module == "time" and function not in ("struct_time",))
        or (module in ("datetime.datetime", "datetime.date") and function in ("now", "utcnow", "today"))
        or (module == "random" and function not in ("Random", "SystemRandom"))
        or name in ("anyio.current_time", "trio.current_time", "asyncio.get_running_loop.time")
    )


@pytest.mark.parametrize("module", MODULES)
def test_the_clock_and_the_dice_are_read_in_the_stores_and_the_scheduler_only(module):
    if not module.startswith(MAY_READ_CLOCK_AND_DICE):
        assert not readings(MODULES[module])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import time\nx = time.monotonic()", {"time.monotonic"}),
        ("import time as t\nclock = t.time", {"time.time"}),
        ("from time import perf_counter as now\nnow()", {"time.perf_counter"}),
        ("from datetime import datetime, UTC\ndatetime.now(UTC)", {"datetime.datetime.now"}),
        ("import datetime\ndatetime.datetime.utcnow()", {"datetime.datetime.utcnow"}),
        ("import random\nrandom.uniform(0, 1)", {"random.uniform"}),
        ("from random import random\nrandom()", {"random.random"}),
        ("import anyio\nanyio.current_time()", {"anyio.current_time"}),
        ("from random import Random\nRandom(1).random()", set()),
        ("from datetime import datetime, UTC\ndatetime.fromtimestamp(0, UTC)", set()),
    ],
)
def test_a_reading_is_found_however_it_is_spelled(source, expected):
    assert readings(ast.parse(source)) == expected


def test_an_import_is_found_wherever_it_stands():
    source = """
from typing import TYPE_CHECKING
from pacer.pacing import FixedPause
if TYPE_CHECKING:
    from pacer._rules import Rules
def late():
    import pacer.stores.sqlite
    from pacer import Scheduler, events
"""
    assert imports(ast.parse(source)) == {"pacing", "stores.sqlite", "", "events"}


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    # A subprocess whose coverage is measured has loaded what coverage needs, sqlite3 among it.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return set(run.stdout.split())


def test_import_pacer_loads_no_optional_package():
    assert not loaded_by("import pacer") & set(OPTIONAL)


def test_the_testing_tools_load_no_test_framework_and_no_trio():
    assert not loaded_by("import pacer.testing") & set(OPTIONAL)
