"""How a command ends: one line that says why, and its exit code."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

from pacer._command_error import CommandError
from pacer._errors import PacerError, StoreUnavailableError
from pacer.stores._from_url import redacted

REFUSED: Final = 1
USAGE: Final = 2
STORE_AWAY: Final = 3
WARNINGS: Final = 4
INTERRUPTED: Final = 130

_LONGEST: Final = 2000


class OutputError(CommandError):
    """Standard output takes no more: the disk on which it is kept is full, for example."""


@contextmanager
def exit_codes(command: str) -> Iterator[None]:
    """Errors become one line, without passwords, and an exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # not every terminal can show what jobs write
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    except StoreUnavailableError as error:
        leave(command, error, STORE_AWAY)
    except OutputError as error:
        _give_up_output()
        leave(command, error, error.code)
    except CommandError as error:
        leave(command, error, error.code)
    except PacerError as error:
        leave(command, error, REFUSED)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        if error.filename is None:
            raise
        leave(command, unreachable_file(error), REFUSED)


def unreachable_file(error: OSError) -> str:
    """What to say of a file that the system does not let this process look at."""
    return f"{error.filename}: {error.strerror}. Check the path, and the permissions of its directory."


@contextmanager
def output() -> Iterator[None]:
    """While something is written there. Raises OutputError; a pipe that nobody reads any more is left to typer."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        msg = f"the output cannot be written: {error.strerror or error}"
        raise OutputError(msg) from error


def _give_up_output() -> None:
    """What is still to be written goes nowhere, so that the end of the process does not fail of it again."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def leave(command: str, why: object, code: int) -> None:
    """Say why, on one line, and end."""
    text = redacted(" ".join(str(why).split()))
    if len(text) > _LONGEST:  # what was given is told, and so is what is wrong with it
        text = f"{text[: _LONGEST // 2]} ... {text[-_LONGEST // 2 :]}"
    typer.echo(f"pacer {command}: {text}", err=True)
    raise typer.Exit(code) from None
