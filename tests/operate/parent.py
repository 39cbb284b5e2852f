"""Runs commands, each in a process forked from this one: one request a line, one exit code a line."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import sys
import threading
from typing import Any

import pacer._operate
from pacer._cli import main

LATE = [
    "anyio._backends._asyncio",
    "typer._adapters",
    "typer.rich_utils",
    "rich.console",
    "rich.table",
    "pacer._commands",
]
LATE += ["pacer.stores.sqlite", "pacer.stores.postgres", "pacer.stores.redis"]
LATE += [module.name for module in pkgutil.walk_packages(pacer._operate.__path__, "pacer._operate.")]
for name in LATE:
    with contextlib.suppress(ModuleNotFoundError):  # other versions of the packages may have other modules
        importlib.import_module(name)


def command(arguments: list[str], environment: dict[str, str], folder: str, out: str, err: str) -> None:
    """In the new process."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for number, path in ((0, os.devnull), (1, out), (2, err)):
        opened = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    sys.argv = ["pacer", *arguments]
    main()


def ended(status: Any) -> int:
    """End all but the interpreter, which would take most of the time of a command; the exit code."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    if not isinstance(status, int | None):
        sys.stderr.write(f"{status}\n")
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else int(status is not None)


gc.freeze()  # what is here stays, and is shared with all commands
for line in sys.stdin:
    pid = os.fork()
    if not pid:
        code = 1
        try:
            command(*json.loads(line))
            code = ended(None)
        except SystemExit as error:
            code = ended(error.code)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            sys.stderr.flush()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
    sys.stdout.flush()
