"""What to install where a package is missing that only one of pacer's extras brings along."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ExtraMissingError(ModuleNotFoundError):
    """A package is not installed. The message says which extra brings it, `name` which package it is."""


@contextmanager
def needed(extra: str) -> Iterator[None]:
    """Around imports of what an extra installs. Where one is within another, the outer one is named.

    Raises:
        ExtraMissingError: Instead of the ModuleNotFoundError of a package that is missing. Errors of other causes
            pass, among them a module that is missing from pacer itself, or from a package of another version.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or "." in error.name:
            raise
        msg = f"the package {error.name!r} is missing; install it with: pip install 'pacer-scheduler[{extra}]'"
        raise ExtraMissingError(msg, name=error.name) from None
