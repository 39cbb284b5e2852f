"""What the doctor says."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import attrs


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """Jobs do not run as they should, or may be lost."""
    WARNING = "warning"
    """Somebody should look at it."""
    NOTE = "note"
    """Good to know."""


@attrs.frozen
class Finding:
    """Something that is not as it usually is.

    Attributes:
        code: What it is, for programs; stable.
        severity: How bad it is.
        what: What was found.
        means: What follows from it.
        do: What to do about it.
        queue: In which queue; empty if it is the store itself.
    """

    code: str
    severity: Severity
    what: str
    means: str
    do: str
    queue: str = ""

    def data(self) -> dict[str, Any]:
        """For programs."""
        return {**attrs.asdict(self), "severity": self.severity.value, "queue": self.queue or None}


def error(code: str, what: str, means: str, do: str, queue: str = "") -> Finding:
    """Jobs do not run as they should, or may be lost."""
    return Finding(code, Severity.ERROR, what, means, do, queue)


def warning(code: str, what: str, means: str, do: str, queue: str = "") -> Finding:
    """Somebody should look at it."""
    return Finding(code, Severity.WARNING, what, means, do, queue)


def note(code: str, what: str, means: str, do: str, queue: str = "") -> Finding:
    """Good to know."""
    return Finding(code, Severity.NOTE, what, means, do, queue)
