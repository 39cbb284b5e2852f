"""What comes first in each transaction: what was staged comes in, and what has expired leaves, unseen by all others."""

from __future__ import annotations

from collections import deque

import attrs

from pacer._job import JobRecord
from pacer.protocols import Addition
from pacer.stores._queue import StoredQueue
from pacer.stores._stage import Stage, take_in


@attrs.define(eq=False)
class Expiry:
    """The beginning and the end of each transaction on one queue.

    First of all, jobs whose enqueuers have committed are taken in, and then those that have expired are taken out.
    Whoever does so keeps the jobs to tell of them, once and not before they are on disk.

    Attributes:
        arrived: The jobs that were taken in, until they are told of.
    """

    _queue: StoredQueue
    _stage: Stage | None = None
    arrived: deque[Addition] = attrs.field(init=False, factory=deque)
    _arriving: Addition | None = attrs.field(init=False, default=None)
    _untold: list[JobRecord] = attrs.field(init=False, factory=list)
    _taken: list[JobRecord] = attrs.field(init=False, factory=list)
    """In the transaction that is under way."""
    _telling: bool = attrs.field(init=False, default=False)

    def begin(self, writes: bool) -> bool:
        """As `QueueView.begin`; what was staged or has expired, too, is only for a transaction that writes."""
        view, stage = self._queue.view, self._stage
        write_needed = view.begin(writes)
        if stage is not None and stage.waits() and not view.retired:
            if not writes:
                return True
            self._arriving = take_in(self._queue, stage)
        if view.next_expiry() > view.now:
            return write_needed
        if writes:
            self._taken = self._queue.expire()
        return not writes

    def save(self) -> None:
        """The queue's row."""
        self._queue.view.save()

    def committed(self) -> None:
        """What was taken out has expired; what was told need not be told again."""
        if self._telling:
            self._untold = []
        else:
            self._untold += self._taken
        if self._arriving is not None:
            self.arrived.append(self._arriving)
        self._taken, self._telling, self._arriving = [], False, None

    def forget(self) -> None:
        """It was not to be: they wait again."""
        self._taken, self._telling, self._arriving = [], False, None
        self._queue.view.forget()
        if self._stage is not None:
            self._stage.forget()

    def tell(self) -> tuple[list[JobRecord], float | None]:
        """The jobs that this worker has taken out since it was asked last; and when the next waiting one expires."""
        jobs = [] if self._telling else [*self._untold, *self._taken]
        self._telling = True
        at = self._queue.view.next_expiry()
        return jobs, None if at == float("inf") else at
