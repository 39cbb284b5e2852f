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
    """All reports of one run.

    A report was true when its answer was made: not before the answer before it was there, so from then on it counts.
    """

    started_at: float
    _limits: dict[str, LimitReport] = attrs.field(init=False, factory=dict)
    _cost: dict[str, float] = attrs.field(init=False, factory=dict)
    _wait: float | None = attrs.field(init=False, default=None)
    _heard_at: float | None = attrs.field(init=False, default=None)

    def hear(self, headers: Headers, now: float, unix_now: float) -> None:
        """An answer's headers."""
        limits = read_limits(headers, unix_now)
        said = said_wait(headers, unix_now)
        self._wait = wait_for_used_up(limits) if said is None else said
        self._note(limits, self._heard_at)
        self._heard_at = now

    def note(self, limits: Iterable[LimitReport], now: float) -> None:
        """Limits as they are now."""
        self._note(limits, now)

    def spend(self, cost: Mapping[str, float]) -> None:
        """What the run has used, beside what it has used before."""
        for name, value in cost.items():
            self._cost[name] = self._cost.get(name, 0.0) + value

    def added_to(self, outcome: Outcome, now: float) -> Outcome:
        """The outcome with all that was reported; what it says itself is the latest."""
        self._note(outcome.limits, self._heard_at)
        self.spend(outcome.cost or {})
        wait = outcome.retry_after
        if wait is None and self._wait is not None and outcome.kind is not OutcomeKind.SUCCEEDED:
            heard_at = now if self._heard_at is None else self._heard_at
            wait = max(0.0, self._wait - (now - heard_at))
        limits = tuple(self._limits.values())
        return attrs.evolve(outcome, retry_after=wait, cost=self._cost or outcome.cost, limits=limits)

    def _note(self, limits: Iterable[LimitReport], at: float | None) -> None:
        as_of = 0.0 if at is None else max(0.0, at - self.started_at)
        for one in limits:
            self._limits[one.name] = attrs.evolve(one, as_of=as_of) if one.as_of == 0 else one
