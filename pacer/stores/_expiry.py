"""Jobs whose time to start is over leave before anybody can see them wait."""

from __future__ import annotations

import attrs

from pacer._job import JobRecord
from pacer.stores._queue import StoredQueue


@attrs.define(eq=False)
class Expiry:
    """The beginning and the end of each transaction on one queue: what has expired is taken out first of all.

    Whoever does so keeps the jobs to tell of them, once and not before they are on disk.
    """

    _queue: StoredQueue
    _untold: list[JobRecord] = attrs.field(init=False, factory=list)
    _taken: list[JobRecord] = attrs.field(init=False, factory=list)
    """In the transaction that is under way."""
    _telling: bool = attrs.field(init=False, default=False)

    def begin(self, writes: bool) -> bool:
        """As `QueueView.begin`; what has expired, too, only a transaction that writes can take out."""
        view = self._queue.view
        write_needed = view.begin(writes)
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
        self._taken, self._telling = [], False

    def forget(self) -> None:
        """It was not to be: they wait again."""
        self._taken, self._telling = [], False
        self._queue.view.forget()

    def tell(self) -> tuple[list[JobRecord], float | None]:
        """The jobs that this worker has taken out since it was asked last; and when the next waiting one expires."""
        jobs = [] if self._telling else [*self._untold, *self._taken]
        self._telling = True
        at = self._queue.view.next_expiry()
        return jobs, None if at == float("inf") else at
