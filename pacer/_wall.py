"""Moments for people, however far away they are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

# The first and the last second that a datetime can tell.
_FIRST: Final = -62_135_596_800.0
_LAST: Final = 253_402_300_799.0


def moment(at: float) -> datetime:
    """The UTC of a Unix time; before the year 1 and after 9999 the nearest that there is."""
    return datetime.fromtimestamp(min(max(at, _FIRST), _LAST), UTC)
