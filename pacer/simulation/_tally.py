"""Counts what becomes of the jobs of one client."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from pacer.simulation._fairness import Lane
from pacer.simulation._result import Totals
from pacer.simulation._samples import Samples


@attrs.define(eq=False)
class Tally:
    """The counters behind `Totals`, which say what they mean."""

    arrived: int = 0
    entered: int = 0
    refused: int = 0
    dropped: int = 0
    expired: int = 0
    succeeded: int = 0
    failed: int = 0
    asked: int = 0
    throttled: int = 0
    errors: int = 0
    work: dict[str, float] = attrs.field(factory=dict)
    wait: Samples = attrs.field(factory=Samples)
    turnaround: Samples = attrs.field(factory=Samples)
    lane: Lane = attrs.field(factory=Lane)

    @property
    def unfinished(self) -> int:
        """Jobs that still wait or run."""
        return self.entered - self.dropped - self.expired - self.succeeded - self.failed

    def totals(self) -> Totals:
        """As a value."""
        return Totals(**self.figures())

    def figures(self) -> dict[str, Any]:
        """The fields of `Totals`."""
        counts = {name: getattr(self, name) for name in _COUNTS}
        return counts | {
            "unfinished": self.unfinished,
            "work": dict(sorted(self.work.items())),
            "wait": self.wait.spread(),
            "turnaround": self.turnaround.spread(),
        }

    @classmethod
    def of(cls, tallies: Iterable[Tally]) -> Tally:
        """The sum of several."""
        whole = cls()
        for one in tallies:
            for name in _COUNTS:
                setattr(whole, name, getattr(whole, name) + getattr(one, name))
            for name, amount in one.work.items():
                whole.work[name] = whole.work.get(name, 0.0) + amount
            whole.wait.merge(one.wait)
            whole.turnaround.merge(one.turnaround)
        return whole


_COUNTS = (
    "arrived",
    "entered",
    "refused",
    "dropped",
    "expired",
    "succeeded",
    "failed",
    "asked",
    "throttled",
    "errors",
)
