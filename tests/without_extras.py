"""Run as a script: how importing pacer fails in a Python without what the extras install. Prints JSON, a row each."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import attrs

Row = tuple[Collection[str], str, str, str | None, str]
"""The packages that were absent, what was imported or called, the error's class, its name, and its message."""


@attrs.frozen
class Absent:
    """Says of some packages that they are not installed."""

    packages: Collection[str]

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        del path, target
        if name.partition(".")[0] in self.packages:
            msg = f"No module named {name!r}"
            raise ModuleNotFoundError(msg, name=name)
        return None


@contextmanager
def without(packages: Collection[str]) -> Iterator[None]:
    """In here these packages cannot be imported, even if they have been before."""
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in packages}
    sys.meta_path.insert(0, finder := Absent(packages))
    yield
    sys.meta_path.remove(finder)
    sys.modules.update(kept)


def public_modules() -> list[str]:
    """The modules that people import. All others are reached through these, or by the command line."""
    import pacer

    root = Path(pacer.__file__).parent
    names = [".".join(path.relative_to(root.parent).with_suffix("").parts) for path in sorted(root.rglob("*.py"))]
    return [name for name in (one.removesuffix(".__init__") for one in names) if "._" not in name]


def refused(absent: Collection[str], what: str, call: Callable[[], object]) -> Iterator[Row]:
    try:
        call()
    except Exception as error:
        yield absent, what, type(error).__name__, getattr(error, "name", None), str(error)


def importing(absent: Collection[str], modules: Iterable[str]) -> Iterator[Row]:
    with without(absent):
        for name in modules:
            yield from refused(absent, name, partial(importlib.import_module, name))


def importing_without_each(packages: Collection[str], modules: Collection[str]) -> Iterator[Row]:
    """One of the packages is absent at a time."""
    before = set(sys.modules)
    for package in packages:
        yield from importing([package], modules)
        for name in set(sys.modules) - before:
            if name.startswith("pacer."):
                del sys.modules[name]


def using(absent: Collection[str]) -> Iterator[Row]:
    """What is imported only when it is used."""
    from pacer import Scheduler
    from pacer.testing import AppClock

    with without(absent):
        yield from refused(absent, "cron", lambda: Scheduler().every(cron="* * * * *"))
        yield from refused(absent, "AppClock", lambda: AppClock().client(None))


def main() -> None:
    packages = json.loads(sys.argv[1])
    rows = list(importing(packages, public_modules()))
    rows += importing_without_each(packages, [what for _, what, *_ in rows])
    rows += using(packages)
    sys.stdout.write(json.dumps(rows))


if __name__ == "__main__":
    main()
