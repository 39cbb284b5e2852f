"""What goes wrong and does not stop the work: a store that fails, a strategy that misbehaves."""

from __future__ import annotations

import attrs

from pacer import events
from pacer._guard import Guard
from pacer._runner import one_line
from pacer._signals import Announcer
from pacer.protocols import Ledger

# After the store has failed, and before it is asked again. A store that is away must not be hammered.
STORE_RETRY = 1.0


@attrs.define(eq=False)
class Troubles:
    """Tells observers of them."""

    _ledger: Ledger
    _announce: Announcer
    _guard: Guard = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._guard = self._ledger.rules.guard  # one for all numbers that the rules may have

    def report_faults(self) -> None:
        """Tell of strategies that misbehaved since the last time."""
        if self._guard.faults:
            for fault in self._guard.take_faults():
                self._announce(events.PartMisbehaved(self._ledger.now(), fault.part, fault.question, fault.problem))

    def store_failed(self, action: str, error: Exception) -> None:
        """Tell of a failure after which the store is asked again."""
        self._announce(events.StoreFailed(self._ledger.now(), action, one_line(error), STORE_RETRY))
