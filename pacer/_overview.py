"""Values for those who look at a queue: lists of jobs, page by page, who works on it, and which queues there are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs

from pacer._errors import QueueFullError
from pacer._job import JobRecord, JobState
from pacer._validation import whole

LOOKED_AT = 1000
"""At most so many jobs are looked at for one answer, and those that do not fit are left out of it."""


@attrs.frozen
class Mark:
    """Where a list of jobs goes on: after the job of which this is said.

    Attributes:
        shelf: Of waiting jobs: 0 for a ready one, 1 for a delayed one; 0 for all others.
        at: What they are ordered by: the sort key, or when it becomes ready, was started or ended.
        seq: Its number, which orders those that have this in common.
    """

    shelf: int
    at: float
    seq: int

    def __str__(self) -> str:
        return f"{self.shelf}.{self.seq}.{float(self.at).hex()}"

    @classmethod
    def parse(cls, text: str) -> Mark:
        """From what `str` gave. Raises ValueError."""
        try:
            shelf, seq, at = text.split(".", 2)
            mark = cls(int(shelf), float.fromhex(at), int(seq))
        except (ValueError, OverflowError):
            mark = None
        # It may have come from anywhere, and a database takes no other numbers.
        if mark is None or mark.shelf not in (0, 1) or not 0 <= mark.seq < 2**63 or math.isnan(mark.at):
            msg = f"{text!r} is no mark of a list of jobs; take it from the page before"
            raise ValueError(msg)
        return mark


@attrs.frozen(kw_only=True)
class Listing:
    """Which jobs are asked for.

    Waiting jobs come in the order in which they are to start, ready ones before delayed ones; running ones by start,
    the first before the last; ended ones by their end, the last before the first.

    Attributes:
        state: Of which state.
        task: Of which function; None for any.
        key: Of which lane; None for any.
        limit: How many, 1 or more.
        after: Where the page before ended; None for the first.
    """

    state: JobState
    task: str | None = None
    key: str | None = None
    limit: int = attrs.field(default=50, validator=whole(1))
    after: Mark | None = None

    def fits(self, record: JobRecord) -> bool:
        """Whether the job is one of those that are asked for."""
        right_task = self.task is None or record.task == self.task
        return right_task and (self.key is None or record.key == self.key)


def without_data(record: JobRecord) -> JobRecord:
    """A copy without arguments and result, as jobs are listed."""
    copy = record.copy()
    copy.payload = copy.result = None
    return copy


@attrs.frozen
class Listed:
    """Some jobs, without their arguments and results.

    Attributes:
        jobs: Each with the mark behind it.
        after: Where to go on; None if these were the last.
    """

    jobs: Sequence[tuple[Mark, JobRecord]]
    after: Mark | None


@attrs.frozen
class Rerun:
    """What came of jobs that were to be enqueued again.

    Attributes:
        jobs: Those that came back into the queue, even if they had to leave it again for others.
        refused: Why others could not be, by id, in one phrase.
        dropped: Jobs that had to leave a full queue for them.
        full: Raised by the rules for the first for which there was no room; then those after it were not looked at.
    """

    jobs: Sequence[JobRecord] = ()
    refused: Mapping[str, str] = attrs.field(factory=dict)
    dropped: Sequence[JobRecord] = ()
    full: QueueFullError | None = None


@attrs.frozen
class WorkerSeen:
    """One of those who have a queue open.

    Attributes:
        name: Its id, another one at each start.
        alive_seconds: Seconds for which it is still taken to be alive if it is not heard of; 0 or less: it is gone.
            `inf` where nobody can vanish.
        tasks: The functions that it can run.
        slots: How many jobs it runs at once at most; 0: it runs none, and only cares for the queue.
    """

    name: str
    alive_seconds: float
    tasks: frozenset[str]
    slots: int


@attrs.frozen
class QueueInfo:
    """A queue in a store.

    Attributes:
        name: Its name.
        terms: The strategies and settings that it was opened with last, as text, by name: "pacing", "concurrency".
    """

    name: str
    terms: Mapping[str, str]
