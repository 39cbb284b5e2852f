"""An observer that counts, for the last line."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs

from pacer import events

_WORDS: dict[type[Any], str] = {
    events.JobSucceeded: "succeeded",
    events.JobFailed: "failed",
    events.JobRescheduled: "to be retried",
    events.JobThrottled: "throttled",
    events.JobCancelled: "cancelled",
    events.JobReleased: "handed back",
    events.OutcomeRefused: "lost to another worker",
}


@attrs.define(eq=False)
class Tally:
    """What came of the runs in this process.

    Attributes:
        in_order: False if jobs could not be handed back.
    """

    in_order: bool = attrs.field(init=False, default=True)
    _runs: int = attrs.field(init=False, default=0)
    _ends: Counter[type[Any]] = attrs.field(init=False, factory=Counter)

    def __call__(self, event: Any) -> None:
        """Count one event."""
        kind = type(event)
        if kind is events.JobStarted:
            self._runs += 1
        elif kind in _WORDS:
            self._ends[kind] += 1
        elif kind is events.StoreFailed and event.action == "release":
            self.in_order = False

    def __str__(self) -> str:
        ends = ", ".join(f"{self._ends[kind]} {word}" for kind, word in _WORDS.items() if self._ends[kind])
        runs = "1 run" if self._runs == 1 else f"{self._runs} runs"
        return f"{runs}: {ends}" if ends else runs
