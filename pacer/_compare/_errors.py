"""What can be wrong with a comparison before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from pacer._errors import PacerError


class ConfigError(PacerError):
    """A setting that cannot be used: the message begins with its key and ends with what would do."""

    def __init__(self, key: str, problem: str) -> None:
        super().__init__(f"{key}: {problem}" if key else problem)
        self.key = key
        self.problem = problem


def choices(wrong: str, there_are: Iterable[str]) -> str:
    """The nearest match, if there is one, and all that could have been meant."""
    names = list(there_are)
    near = get_close_matches(wrong, names, n=1, cutoff=0.5) or [name for name in names if name.lower() == wrong.lower()]
    hint = f"did you mean {near[0]}? " if near else ""
    return f"{hint}choices: {', '.join(names)}"
