"""The `pacer` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line. Without the packages of the `cli` extra, say what to install."""
    try:
        from pacer._commands import app  # noqa: PLC0415 - typer may be missing
    except ModuleNotFoundError as error:
        # Of the extras, that of the demo holds the other one.
        sys.exit(missing(error, "demo" if "demo" in sys.argv[1:2] else "cli"))
    app()


def missing(error: ModuleNotFoundError, extra: str) -> str:
    """What to say of a package that belongs to an extra. Raises the error again if it is one of our own modules."""
    if error.name is None or error.name.split(".")[0] == "pacer":
        raise error
    return f"pacer: the package {error.name!r} is missing; install it with: pip install 'pacer-scheduler[{extra}]'"
