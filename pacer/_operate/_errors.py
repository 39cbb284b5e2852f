"""Why a command ends, and its exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

from pacer._errors import PacerError, StoreUnavailableError
from pacer._work._errors import WorkError
from pacer.stores._from_url import redacted

REFUSED: Final = 1
USAGE: Final = 2
STORE_AWAY: Final = 3
WARNINGS: Final = 4
INTERRUPTED: Final = 130


class OperateError(Exception):
    """The command cannot go on; the message says what to do.

    Attributes:
        code: The exit code.
    """

    def __init__(self, text: str, code: int = REFUSED) -> None:
        super().__init__(text)
        self.code = code


@contextmanager
def exit_codes(command: str) -> Iterator[None]:
    """Errors become one line, without passwords, and an exit code."""
    try:
        yield
    except StoreUnavailableError as error:
        leave(command, error, STORE_AWAY)
    except (OperateError, WorkError) as error:
        leave(command, error, error.code)
    except PacerError as error:
        leave(command, error, REFUSED)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def leave(command: str, why: object, code: int) -> None:
    """Say why, on one line, and end."""
    typer.echo(f"pacer {command}: {redacted(' '.join(str(why).split()))}", err=True)
    raise typer.Exit(code) from None
