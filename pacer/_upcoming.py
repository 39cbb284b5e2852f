"""Jobs that were claimed a moment ahead of the clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import anyio
import attrs

from pacer._job import JobRecord

# A wait for a time is never shorter than this, lest a rounding error turn it into a busy loop.
LEAST_SLEEP = 1e-9


@attrs.frozen(eq=False)
class _Wait:
    record: JobRecord
    at: float
    lost: anyio.Event
    """Tells the slot that the job is no longer its own."""


@attrs.define(eq=False)
class Upcoming:
    """Jobs whose start is yet to come, each in the hands of a slot, which waits for it.

    Args:
        now: The store's clock.
    """

    _now: Callable[[], float]
    # Not by job: one that was lost and has been claimed again may be here twice.
    _waits: set[_Wait] = attrs.field(init=False, factory=set)

    async def reached(self, record: JobRecord) -> bool:
        """Wait for the job's start. False: it was taken back, and is not to begin."""
        at = self._now() if record.started_at is None else record.started_at
        mine = _Wait(record, at, anyio.Event())
        self._waits.add(mine)
        while mine in self._waits and (wait := at - self._now()) > 0:
            with anyio.move_on_after(max(wait, LEAST_SLEEP)):
                await mine.lost.wait()
        reached = mine in self._waits
        self._waits.discard(mine)
        return reached

    def take_back(self, until: float = math.inf) -> list[JobRecord]:
        """Take from their slots the jobs that were to start up to this time."""
        if not self._waits:  # asked after each run
            return []
        found = sorted((wait for wait in self._waits if wait.at <= until), key=lambda wait: wait.at)
        self._waits.difference_update(found)
        for wait in found:
            wait.lost.set()
        return [wait.record for wait in found]

    def __iter__(self) -> Iterator[JobRecord]:
        return iter([wait.record for wait in self._waits])
