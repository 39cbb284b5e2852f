"""What comes first in each transaction: what was staged comes in, and what has expired leaves, unseen by all others."""

from __future__ import annotations

from collections import deque

import attrs

from pacer._job import JobRecord
from pacer.protocols import Addition
from pacer.stores._oversight import put_away
from pacer.stores._queue import StoredQueue
from pacer.stores._stage import Stage, take_in


@attrs.define(eq=False)
class Doing:
    """What one transaction will have done, to be told of once it is on disk.

    Attributes:
        arriving: The jobs that were taken in.
        expired: The jobs that were taken out.
        telling: Whether those that expired before are told of.
    """

    arriving: Addition | None = None
    expired: list[JobRecord] = attrs.field(factory=list)
    telling: bool = False


@attrs.define(eq=False)
class Expiry:
    """The beginning and the end of each transaction on one queue.

    First of all, jobs whose enqueuers have committed are taken in, and then those that have expired are taken out.
    Whoever does so keeps the jobs to tell of them, once and not before they are on disk.

    Attributes:
        arrived: The jobs that were taken in, until they are told of.
        doing: What the transaction that is under way will have done.
    """

    _queue: StoredQueue
    _stage: Stage | None = None
    arrived: deque[Addition] = attrs.field(init=False, factory=deque)
    doing: Doing = attrs.field(init=False, factory=Doing)
    _untold: list[JobRecord] = attrs.field(init=False, factory=list)

    def begin(self, writes: bool) -> bool:
        """As `QueueView.begin`; what was staged or has expired, too, is only for a transaction that writes.

        A guest leaves them: there may be nobody at it to tell of them.
        """
        view, stage = self._queue.view, self._stage
        write_needed = view.begin(writes)
        if view.guest:
            return write_needed
        if stage is not None and stage.waits() and not view.retired:
            if not writes:
                return True
            self.doing.arriving = take_in(self._queue, stage)
        self._queue.overdue = False
        if view.next_expiry() > view.now:
            return write_needed
        if writes:
            self.doing.expired = self._queue.expire()
        return not writes

    def save(self) -> None:
        """The queue's row."""
        put_away(self._queue)
        self._queue.view.save()

    def committed(self, done: Doing | None = None) -> None:
        """What was taken out has expired; what was told need not be told again.

        `done`: what a transaction before this one has done, of which it is known only now that it was committed.
        """
        done = self.doing if done is None else done
        if done.telling:
            self._untold = []
        else:
            self._untold += done.expired
        if done.arriving is not None:
            self.arrived.append(done.arriving)
        self.doing = Doing()

    def forget(self) -> None:
        """It was not to be: they wait again."""
        self.doing = Doing()
        self._queue.view.forget()
        if self._stage is not None:
            self._stage.forget()

    def tell(self) -> tuple[list[JobRecord], float | None]:
        """The jobs that this worker has taken out since it was asked last; and when the next waiting one expires."""
        jobs = [] if self.doing.telling else [*self._untold, *self.doing.expired]
        self.doing.telling = True
        at = self._queue.view.next_expiry()
        return jobs, None if at == float("inf") else at
