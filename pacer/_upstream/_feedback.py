"""What one run has been told by its upstream, until it ends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from pacer._job import Outcome, OutcomeKind
from pacer._upstream._headers import Headers
from pacer._upstream._limits import read_limits, said_wait, wait_for_used_up
from pacer.protocols import LimitReport


@attrs.define(eq=False)
class Feedback:
    """Reports with the time at which they came: what was said is about that time, and runs can be long."""

    _limits: dict[str, tuple[LimitReport, float]] = attrs.field(init=False, factory=dict)
    _cost: dict[str, float] = attrs.field(init=False, factory=dict)
    _wait: float | None = attrs.field(init=False, default=None)
    _heard_at: float = attrs.field(init=False, default=0.0)

    def hear(self, headers: Headers, now: float, unix_now: float) -> None:
        """An answer's headers."""
        limits = read_limits(headers, unix_now)
        said = said_wait(headers, unix_now)
        self._wait = wait_for_used_up(limits) if said is None else said
        self._heard_at = now
        self.note(limits, now)

    def note(self, limits: Iterable[LimitReport], now: float) -> None:
        """Limits as they are now; each replaces what was said of it before."""
        self._limits.update({one.name: (one, now) for one in limits})

    def spend(self, cost: Mapping[str, float]) -> None:
        """What the run has used, beside what it has used before."""
        for name, value in cost.items():
            self._cost[name] = self._cost.get(name, 0.0) + value

    def added_to(self, outcome: Outcome, now: float) -> Outcome:
        """The outcome with all that was reported; what it says itself is the latest."""
        self.note(outcome.limits, now)
        self.spend(outcome.cost or {})
        wait = outcome.retry_after
        if wait is None and self._wait is not None and outcome.kind is not OutcomeKind.SUCCEEDED:
            wait = max(0.0, self._wait - (now - self._heard_at))
        limits = tuple(_aged(one, now - at) for one, at in self._limits.values())
        return attrs.evolve(outcome, retry_after=wait, cost=self._cost or outcome.cost, limits=limits)


def _aged(report: LimitReport, elapsed: float) -> LimitReport:
    if report.reset_in is None or elapsed <= 0:
        return report
    return attrs.evolve(report, reset_in=max(0.0, report.reset_in - elapsed))
