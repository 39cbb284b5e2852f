"""Why a command of `pacer` ends."""

from __future__ import annotations


class CommandError(Exception):
    """The command cannot go on; the message says what to do.

    Attributes:
        code: The exit code; 1 by default.
    """

    def __init__(self, text: str, code: int = 1) -> None:
        super().__init__(text)
        self.code = code
