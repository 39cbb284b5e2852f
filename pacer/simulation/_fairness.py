"""Is the work shared out evenly?"""

from __future__ import annotations

from collections.abc import Iterable

import attrs


def jain(shares: Iterable[float]) -> float:
    """Jain's fairness index, `(sum x)**2 / (n * sum x**2)` (Jain, Chiu and Hawe 1984); 1 for none or one."""
    values = list(shares)
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares and len(values) > 1 else 1.0


@attrs.define(eq=False)
class Lane:
    """What is done for one key or client."""

    present: int = 0
    since: float = 0.0
    active: float = 0.0
    """Seconds in which it had jobs, up to the last time at which it had none."""
    done: int = 0

    def entered(self, now: float) -> None:
        """A job of its has come in."""
        if self.present == 0:
            self.since = now
        self.present += 1

    def left(self, now: float, done: bool) -> None:
        """A job of its has ended for good."""
        self.done += done
        self.present -= 1
        if self.present == 0:
            self.active += now - self.since

    def rate(self, now: float) -> float | None:
        """Jobs that were done a second while it had any; None if it never had."""
        active = self.active + (now - self.since if self.present else 0.0)
        return self.done / active if active > 0 else None


def fairness(lanes: Iterable[Lane], now: float) -> float:
    """Of the rates of those who had jobs."""
    rates = (lane.rate(now) for lane in lanes)
    return jain(rate for rate in rates if rate is not None)
