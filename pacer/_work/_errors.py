"""How `pacer worker` and `pacer migrate` end: their exit codes."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
CANNOT_START: Final = 1
USAGE: Final = 2
STORE_AWAY: Final = 3
NOT_IN_ORDER: Final = 4
BY_SIGNAL: Final = 128
