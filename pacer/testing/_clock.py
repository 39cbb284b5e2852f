"""A clock that a test moves."""

from __future__ import annotations

import attrs


@attrs.define(eq=False)
class ManualClock:
    """Shows the same time until it is told otherwise. Hand it to a store as its `clock`.

    Args:
        now: What it shows at first, in seconds; by default an epoch-size number, as clocks of databases show it.
    """

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        """The time in seconds."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Go forward by so many seconds, 0 or more."""
        if not seconds >= 0:
            msg = f"ManualClock: advance goes forward, got {seconds!r}; set `now` to turn the clock back"
            raise ValueError(msg)
        self.now += seconds
