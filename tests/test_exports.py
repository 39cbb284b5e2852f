"""Every public name has one public path, and says what it is."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections import defaultdict
from types import ModuleType

import pytest

import pacer


def public_modules() -> list[ModuleType]:
    """All modules without an underscore in their path, but for the demo: that is an application, not an interface."""
    below = [module.name for module in pkgutil.walk_packages(pacer.__path__, "pacer.")]
    names = ["pacer", *(name for name in below if "._" not in name and not name.startswith("pacer.demo"))]
    return [importlib.import_module(name) for name in names]


MODULES = public_modules()
EXPORTS = [(module, name) for module in MODULES for name in module.__all__]


def each_module(function):
    return pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)(function)


def case_then_name(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


@each_module
def test_all_is_sorted_and_without_repetition(module):
    assert list(module.__all__) == sorted(set(module.__all__), key=case_then_name)


@each_module
def test_all_names_exist(module):
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@each_module
def test_all_is_complete(module):
    """A package exports every public name that it imports; a module every one that it defines."""
    is_package = hasattr(module, "__path__")
    public = {
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(value)
        and not (is_package and getattr(value, "__module__", "").partition(".")[0] != "pacer")
        and (is_package or getattr(value, "__module__", None) == module.__name__)
        and type(value).__name__ != "TypeVar"
    }
    # What `SqliteStore.open` gives is a Ledger; nobody makes one by name.
    assert public - set(module.__all__) - {"SqliteLedger"} == set()


def test_every_public_name_has_one_public_path():
    paths = defaultdict(list)
    for module, name in EXPORTS:
        value = getattr(module, name)
        if not isinstance(value, str | int | float):
            paths[id(value)].append(f"{module.__name__}.{name}")
    assert [found for found in paths.values() if len(found) > 1] == []


def undocumented(module: ModuleType, name: str) -> list[str]:
    value = getattr(module, name)
    if not callable(value):
        return []
    found = [] if inspect.getdoc(value) else [name]
    if not inspect.isclass(value) or getattr(value, "_is_protocol", False):
        return found
    for member, raw in vars(value).items():
        function = raw.fget if isinstance(raw, property) else getattr(raw, "__func__", raw)
        if not member.startswith("_") and inspect.isfunction(function) and not inspect.getdoc(function):
            found.append(f"{name}.{member}")
    return found


@each_module
def test_public_callables_have_docstrings(module):
    assert module.__doc__
    assert [one for name in module.__all__ for one in undocumented(module, name)] == []


def test_the_names_that_were_promised_are_where_they_were_promised():
    promised = {
        "pacer": ["BoundedQueue", "QueueFullError", "Scheduler", "Throttled", "current_job"],
        "pacer.pacing": ["FixedPause", "TokenBucket", "Unpaced"],
        "pacer.backoff": [
            *("NoBackoff", "ConstantBackoff", "LinearBackoff", "ExponentialBackoff", "CappedDoublings"),
            *("FullJitter", "EqualJitter", "DecorrelatedJitter"),
            *("HonourRetryAfter", "GiveUpAfter", "CircuitBreaker", "RetryBudget"),
        ],
        "pacer.estimators": ["MovingAverage"],
        "pacer.stores": ["MemoryStore"],
        "pacer.stores.postgres": ["PostgresStore", "migrate", "migration_sql"],
        "pacer.stores.sqlite": ["SqliteStore", "StatusMirror"],
    }
    for module, names in promised.items():
        assert set(names) <= set(importlib.import_module(module).__all__)
