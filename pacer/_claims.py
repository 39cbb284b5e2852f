"""The first step of the data path: jobs are claimed for the slots of one process."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator

import anyio.lowlevel
import attrs

from pacer._errors import TakenOverError
from pacer._job import JobRecord
from pacer._next_claim import NextClaim
from pacer._signals import Pulse, Turn
from pacer._tasks import TaskRegistry
from pacer._troubles import STORE_RETRY, Troubles
from pacer.protocols import Ledger


@attrs.define(eq=False)
class Claims:
    """Jobs that have been claimed and that no slot has taken yet, and the asking for more.

    The slots take turns at the front: exactly one waits for the next start time, the others queue up behind it. It
    claims for all that are idle.

    Args:
        changed: Fired when jobs have been claimed.
        taken_over: Called when the queue turns out to be somebody else's. It calls `stop`.
    """

    _ledger: Ledger
    _registry: TaskRegistry
    _troubles: Troubles
    _changed: Pulse
    _taken_over: Callable[[TakenOverError], Awaitable[None]]
    stopping: bool = attrs.field(init=False, default=False)
    """Whether no more jobs are claimed."""
    _claimed: deque[JobRecord] = attrs.field(init=False, factory=deque)
    _idle: int = attrs.field(init=False, default=0)
    _turn: Turn = attrs.field(init=False, factory=Turn)
    _next_claim: NextClaim = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._next_claim = NextClaim(self._ledger, ends_count=not self._ledger.rules.starts_ahead)

    def __iter__(self) -> Iterator[JobRecord]:
        return iter(self._claimed)

    async def take(self) -> JobRecord | None:
        """The next job of those that have been claimed; None when no more are to be taken."""
        self._idle += 1
        try:
            while True:
                if await self._turn.take():
                    await self._at_the_front()
                if self._claimed:
                    return self._claimed.popleft()
                if self.stopping:
                    return None
        finally:
            self._idle -= 1

    async def _at_the_front(self) -> None:
        """Wait until there is a job for this slot, and perhaps for others."""
        try:
            while not self._claimed and not self.stopping:
                await self._next_claim.wait()
                if not self.stopping:
                    await self._claim()
        finally:
            others = len(self._claimed) - 1
            self._turn.call_out(others)
            self._turn.give()
        if others > 0 and self._ledger.poll is not None:
            # They begin in the same turn of the event loop; what they have to write then shares a commit.
            await anyio.lowlevel.checkpoint()

    async def _claim(self) -> None:
        if self._ledger.poll is not None:
            # Other jobs may have been settled by the same commit: their slots come in now, and one claim does for all.
            await anyio.lowlevel.checkpoint()
        self._next_claim.begins()
        limit = self._idle
        try:
            claimed = await self._ledger.claim(self._registry.names, limit)
        except TakenOverError as error:
            await self._taken_over(error)
            return
        except Exception as error:
            self._troubles.store_failed("claim", error)
            self._next_claim.failed(STORE_RETRY)
            return
        self._troubles.report_faults()
        if len(claimed.jobs) < limit:
            self._next_claim.not_before(claimed.next)
        if claimed.jobs:
            self._claimed.extend(claimed.jobs)
            self._changed.fire()

    def wake(self) -> None:
        """Something has changed that may let a job start sooner."""
        self._next_claim.fire()

    def run_ended(self) -> None:
        """A run has ended, and its job does not come back."""
        self._next_claim.run_ended()

    def stop(self) -> None:
        """Claim no more; slots that have nothing to take are told so."""
        self.stopping = True
        self.wake()

    def take_back(self, until: float) -> list[JobRecord]:
        """Keep from the slots the jobs that are to start later than now, and up to this time."""
        if not self._claimed:
            return []
        now = self._ledger.now()
        found = [one for one in self._claimed if one.started_at is not None and now < one.started_at <= until]
        self._claimed = deque(one for one in self._claimed if one not in found)
        return found

    def take_back_all(self) -> list[JobRecord]:
        """Keep all of them from the slots."""
        found = [*self._claimed]
        self._claimed.clear()
        return found
