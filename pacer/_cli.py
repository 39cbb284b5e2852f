"""The `pacer` command."""

from __future__ import annotations

import sys

from pacer._extras import ExtraMissingError, needed


def main() -> None:
    """Run the command line. Without the packages of the `cli` extra, say what to install."""
    try:
        # Of the extras, that of the demo holds the other one.
        with needed("demo" if "demo" in sys.argv[1:2] else "cli"):
            from pacer._commands import app  # noqa: PLC0415 - typer may be missing
    except ExtraMissingError as error:
        sys.exit(f"pacer: {error}")
    app()
