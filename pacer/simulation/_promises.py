"""Were the estimates on receipts true?"""

from __future__ import annotations

from statistics import median

import attrs

from pacer._forecast import forecast_start
from pacer._job import Estimate, JobRecord
from pacer._rules import Rules
from pacer._snapshot import Snapshot, facts
from pacer.simulation._result import Promises

_TINY = 1e-6


@attrs.define(eq=False)
class PromiseKeeper:
    """Asks for the estimate of every n-th job, n such that there are never more than twice as many as wanted."""

    _wanted: int
    _every: int = attrs.field(init=False, default=1)
    _entered: int = attrs.field(init=False, default=0)
    _open: dict[JobRecord, tuple[float, Estimate]] = attrs.field(init=False, factory=dict)
    _kept: list[tuple[int, Estimate, float]] = attrs.field(init=False, factory=list)
    _numbers: dict[JobRecord, int] = attrs.field(init=False, factory=dict)

    def wants(self) -> bool:
        """Whether to ask for that of the job that enters now."""
        self._entered += 1
        return (self._entered - 1) % self._every == 0

    def promised(self, rules: Rules, snapshot: Snapshot, record: JobRecord, position: int) -> None:
        """As its receipt would say."""
        estimate = forecast_start(rules, snapshot, facts(record), position)
        if estimate is not None:
            self._open[record] = (snapshot.now, estimate)
            self._numbers[record] = self._entered - 1

    def started(self, record: JobRecord, now: float) -> None:
        """A job starts; only its first start counts."""
        found = self._open.pop(record, None)
        if found is None:
            return
        self._kept.append((self._numbers.pop(record), found[1], now - found[0]))
        if len(self._kept) >= 2 * self._wanted:
            self._every *= 2
            self._kept = [one for one in self._kept if one[0] % self._every == 0]

    def lost(self, record: JobRecord) -> None:
        """It has left the queue without a start."""
        if self._open.pop(record, None) is not None:
            del self._numbers[record]

    def promises(self) -> Promises:
        """Of those whose jobs have started."""
        if not self._kept:
            return Promises(0, 0.0, 0.0, 0.0)
        covered = sum(one.low - _TINY <= actual <= one.high + _TINY for _, one, actual in self._kept)
        return Promises(
            len(self._kept),
            covered / len(self._kept),
            median(abs(one.seconds - actual) for _, one, actual in self._kept),
            median(actual for _, _, actual in self._kept),
        )
