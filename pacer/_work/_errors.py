"""Why a command ends, and its exit code."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
CANNOT_START: Final = 1
USAGE: Final = 2
STORE_AWAY: Final = 3
NOT_IN_ORDER: Final = 4
BY_SIGNAL: Final = 128


class WorkError(Exception):
    """The command cannot go on; the message says what to do.

    Attributes:
        code: The exit code.
    """

    def __init__(self, text: str, code: int = CANNOT_START) -> None:
        super().__init__(text)
        self.code = code
