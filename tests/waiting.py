"""Waiting for what other processes and threads do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T | None], deadline: float = 60.0) -> T:
    """Look again and again until there is something to see."""
    end = time.monotonic() + deadline
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"nothing came of {look} in {deadline} s"
        time.sleep(0.02)
