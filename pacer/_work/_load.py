"""From `module:scheduler` to the scheduler of the user's application."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from pacer import Scheduler
from pacer._command_error import CommandError
from pacer._work._errors import USAGE
from pacer.stores import MemoryStore


def load(target: str) -> Scheduler:
    """The scheduler that this names, for a process that runs its jobs. See `find`."""
    found = find(target)
    if not found._registry.names:
        msg = (
            f"no function is registered on {target}, so there is nothing that this process could run. "
            "Name a module that imports those with @scheduler.task in them."
        )
        raise CommandError(msg)
    return found


def find(target: str) -> Scheduler:
    """The scheduler that this names: `module:attribute`, or a function there that makes it.

    Modules are looked for in the current directory first.

    Raises:
        CommandError: There is none, or it is none for a process of its own.
    """
    module_name, attribute = _split(target)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    module = _imported(module_name)
    found = _made(target, _attribute(module, attribute))
    if not isinstance(found, Scheduler):
        msg = (
            f"{target} is {_kind(found)}. Give a Scheduler, or a function without arguments that returns one. "
            f"{_schedulers_in(module)}"
        )
        raise CommandError(msg)
    _check(target, found)
    return found


def _split(target: str) -> tuple[str, str]:
    module, colon, attribute = target.partition(":")
    names = [*module.split("."), *attribute.split(".")]
    if colon and all(name.isidentifier() for name in names) and names[-2:] != ["py", attribute]:
        return module, attribute
    path = Path(module)
    dotted = ".".join([*path.parent.parts, path.stem if path.suffix == ".py" else path.name]) or "main"
    msg = f"{target!r} is not of the form module:attribute; did you mean {dotted}:{attribute or 'scheduler'}?"
    raise CommandError(msg, USAGE)


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            msg = (
                f"there is no module {error.name!r}, neither in {os.getcwd()} nor among those installed. "
                "Start the command in the directory from which your application is imported."
            )
            raise CommandError(msg) from None
        raise _of_the_users(error, f"importing {name} failed") from None
    except Exception as error:
        raise _of_the_users(error, f"importing {name} failed") from None


def _attribute(module: ModuleType, path: str) -> Any:
    found: Any = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError:
            where = f"the module {module.__name__}" if found is module else _kind(found)
            msg = f"there is no {name!r} in {where}. {_schedulers_in(module)}"
            raise CommandError(msg) from None
    return found


def _made(target: str, found: Any) -> Any:
    """What a function without arguments returns; anything else as it is."""
    if isinstance(found, Scheduler) or not callable(found) or not _needs_no_arguments(found):
        return found
    try:
        made = found()
    except Exception as error:
        raise _of_the_users(error, f"{target}() failed") from None
    if inspect.iscoroutine(made):
        made.close()
        msg = f"{target} is a coroutine function. Make the scheduler in a plain one: no event loop runs yet."
        raise CommandError(msg)
    return made


def _needs_no_arguments(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        return False
    return True


def _schedulers_in(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, Scheduler)]
    if not names:
        return f"The module {module.__name__} holds no Scheduler."
    return "In this module: " + ", ".join(f"{module.__name__}:{name}" for name in names) + "."


def _kind(found: Any) -> str:
    if inspect.isclass(found) or inspect.isroutine(found):
        return f"the {'class' if inspect.isclass(found) else 'function'} {found.__name__}"
    return "None" if found is None else f"a {type(found).__name__}"


def _check(target: str, scheduler: Scheduler) -> None:
    """A process of its own needs a store that others see."""
    if isinstance(scheduler.store, MemoryStore):
        msg = (
            f"{target} keeps its jobs in a MemoryStore, and a process of its own cannot see the memory of another. "
            "Give the scheduler a store that processes share, such as SqliteStore(path)."
        )
        raise CommandError(msg)


def _of_the_users(error: Exception, what: str) -> CommandError:
    """Show where in the user's code it went wrong."""
    trace = error.__traceback__
    while trace is not None and _is_ours(trace):
        trace = trace.tb_next
    traceback.print_exception(error.with_traceback(trace))
    return CommandError(f"{what}; the lines above say where.")


def _is_ours(trace: TracebackType) -> bool:
    file = trace.tb_frame.f_code.co_filename
    return file in (__file__, importlib.__file__) or file.startswith("<frozen importlib")
