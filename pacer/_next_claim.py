"""When a worker asks its store for jobs again."""

from __future__ import annotations

import math

import anyio
import attrs

from pacer._signals import Pulse
from pacer._upcoming import LEAST_SLEEP
from pacer.protocols import Ledger, When


@attrs.define(eq=False)
class NextClaim:
    """The slot at the front waits here between two claims: for a time, or for a change that may let a job start sooner.

    Args:
        ledger: Whose clock counts.
        ends_count: Whether the end of a run may let a job start sooner although the ledger does not say so. A claim
            may be a way there and back, and is not worth one for each end.
    """

    _ledger: Ledger
    _ends_count: bool
    _at: float = attrs.field(init=False, default=-math.inf)
    _changed: bool = attrs.field(init=False, default=False)
    _ended: bool = attrs.field(init=False, default=False)
    _heeds_ends: bool = attrs.field(init=False, default=True)
    _pulse: Pulse = attrs.field(init=False, factory=Pulse)

    def begins(self) -> None:
        """What has changed until now is known to the answer; it may not know of what changes from now on."""
        self._changed, self._ended, self._heeds_ends, self._at = False, False, True, -math.inf

    def not_before(self, when: When) -> None:
        """Nothing more starts before that, unless something changes."""
        now, poll = self._ledger.now(), self._ledger.poll
        self._at = max(when.at, now + LEAST_SLEEP)
        if poll is not None:
            self._at = min(self._at, now + poll)
            self._heeds_ends = self._ends_count or when.lane or (when.on_event and not when.by_hand)

    def failed(self, retry_in: float) -> None:
        """The store could not answer."""
        self._at = self._ledger.now() + retry_in

    def fire(self) -> None:
        """Something has changed that may let a job start sooner."""
        self._changed = True
        self._pulse.fire()

    def run_ended(self) -> None:
        """A run has ended, and its job does not come back."""
        self._ended = True
        if self._heeds_ends:
            self._pulse.fire()

    async def wait(self) -> None:
        """Until it is time to claim. What has changed since the last claim counts."""
        if self._changed or (self._ended and self._heeds_ends) or self._at == -math.inf:
            return
        pulse = self._pulse.next()
        with anyio.move_on_after(max(self._at - self._ledger.now(), LEAST_SLEEP)):
            await pulse.wait()
