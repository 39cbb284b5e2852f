"""What a database server has to offer: reads of a queue as it was committed last, and one atomic write.

A worker keeps the queue in memory, with the number of the last commit that it knows (`Head.version`). What it decides
there is written in one go, on the condition that nobody else has committed meanwhile; if somebody has, it reads what
has changed and decides anew. So a worker that stops in the middle holds up nobody, and one that is alone on its queue
needs one round trip for a commit.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from pacer._job import JobRecord
from pacer._minutes import Tally
from pacer._overview import Mark
from pacer.stores._rows import Encoded, Row

Key = tuple[float, int]
"""`(sort_key, seq)` of a waiting job: smaller starts first."""


class Place(enum.Enum):
    """Where a job is, as far as finding it is concerned."""

    NOWHERE = "nowhere"
    """It is not in the store yet."""
    READY = "ready"
    DELAYED = "delayed"
    RUNNING = "running"
    ENDED = "ended"


@attrs.frozen(kw_only=True)
class Head:
    """What is known of a queue as a whole.

    Attributes:
        version: How often anything of the queue has been committed; each `Backend.write` adds 1.
        state: `QueueState` as JSON.
        parts: With which strategies and settings, as JSON.
        offset: Seconds by which the queue's clock is ahead of the server's.
        at: The latest time of the queue's clock at which anything was written.
        ready: Waiting jobs that may start as far as they are concerned.
        delayed: Waiting jobs that may not yet.
        seq: The largest number of a job so far.
        arrivals: The largest place in order of arrival so far.
        roster: Grows whenever a waiting job may have lost those who can run it.
    """

    version: int
    state: str
    parts: str
    offset: float = 0.0
    at: float = 0.0
    ready: int = 0
    delayed: int = 0
    seq: int = 0
    arrivals: int = 0
    roster: int = 0


@attrs.frozen(kw_only=True)
class Content:
    """What belongs to a head, and is read anew only with a new one.

    Attributes:
        running: Rows (`FACTS`) of all running jobs.
        front: Rows (`COLUMNS`) of the first ready jobs, in order, at most `FRONT`.
        last: The key of the last ready job; None if none is ready.
        next_due: When the first of the delayed jobs becomes ready; None if there is none.
        next_expiry: When the first waiting job expires; None if all may wait for ever.
        people: How many workers have the queue open, those included that have vanished and have not been missed yet.
    """

    running: Sequence[Row]
    front: Sequence[Row]
    last: Key | None
    next_due: float | None
    next_expiry: float | None
    people: int


FRONT = 32
"""So many of the first ready jobs are read with a new head."""


@attrs.frozen
class Loaded:
    """The answer to `Backend.load`.

    Attributes:
        head: The queue now.
        content: What belongs to it; None if the version is the one that was known.
        time: The server's clock in Unix seconds: read after the lock had been got, if one was asked for.
        commit: The number of this worker's last commit on this queue, as in `Writing.commit`; 0 if it has made none.
        staged: Whether jobs lie in the stage, committed by their transactions and not taken into the queue yet. Those
            change no version.
    """

    head: Head
    content: Content | None
    time: float
    commit: int
    staged: bool = False


@attrs.frozen
class Change:
    """A job as it is to be from now on.

    Attributes:
        job: All of it.
        was: Where it has been until now.
        place: Where it is now.
        arrival: Its place in order of arrival, if it waits now and did not, or came back; None otherwise.
        encoded: Of a job that was nowhere: what had to be turned into text.
        was_state: Its state until now, for the counts of its batch; None if it was nowhere.
        anew: Whether it was enqueued again: then `created_at` and `expires_at` are other ones, too.
    """

    job: JobRecord
    was: Place
    place: Place
    arrival: int | None
    encoded: Encoded | None
    was_state: str | None
    anew: bool = False


@attrs.frozen(kw_only=True)
class Writing:
    """All that one commit changes.

    Attributes:
        head: The queue's head as it is to be; its version is the number after the one that has to be there now.
        time: The server's time as this worker takes it to be; None if that was just asked for. A server on whose clock
            it is another time, by more than `CLOCK_TOLERANCE`, refuses.
        worker: Who writes.
        commit: The number of this commit among the worker's own, to find out whether an unanswered one was made.
        changes: Jobs, each at most once, in the order in which they were changed first.
        workers: Workers by name: until when they are alive, and what they can run as JSON; None for one that left.
        unstage: Numbers of jobs in the stage that have been taken into the queue.
        notice: What the others are told once it is committed; None if nobody needs to hear of it.
        minutes: What happened in minutes that are over. What is older than `KEPT` minutes than the last may go.
    """

    head: Head
    time: float | None
    worker: str
    commit: int
    changes: Sequence[Change]
    workers: Mapping[str, tuple[float, str] | None]
    unstage: Sequence[int] = ()
    notice: str | None = None
    minutes: Sequence[Tally] = ()


CLOCK_TOLERANCE = 0.25


class JobExistsError(Exception):
    """A job that was taken to be new is not."""


class Backend(Protocol):
    """One queue on a server, through one connection, on one thread.

    Rows of ready jobs may lack arguments that are large: they are asked for with `find` when the job starts. Those of
    running jobs always lack them. So what a job was given is written with a job that is new, left alone while it waits
    and runs, and removed when it has succeeded. If it has ended otherwise it is kept: such a job may wait again, which
    is a change from ENDED to READY.

    Every method raises a `StoreError` if it fails: a `StoreUnavailableError` where it may succeed later. After one the
    connection may be broken; the next call makes a new one. Reads are of what was last committed, or of what is held
    by the lock; nothing that is in memory only is known here.
    """

    @property
    def name(self) -> str:
        """Which database this is, for people; without a password."""

    @property
    def risks(self) -> Sequence[str]:
        """What may be lost with the server as it is set up, a sentence each; known once it is connected."""

    # -- life --------------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, check that the database may be used, and make or migrate what is missing."""

    def close(self) -> None:
        """Disconnect. Never raises."""

    def create(self, head: Head | None) -> None:
        """Make the queue with this head, unless there is one; its version is 0.

        None: for a guest, who makes none. Raises UnknownQueueError.
        """

    # -- commits -----------------------------------------------------------------------------------------------------

    def load(self, known: int | None, lock: bool) -> Loaded:
        """The queue as it is now; without its content if the version is the known one.

        With `lock`, others that ask for it wait until this worker has called `write` or `unlock`, or is gone for a
        few seconds. It spares them vain attempts; `write` is safe without it.
        """

    def write(self, writing: Writing) -> bool:
        """Commit all of it, durably, and give up the lock. False if the version or the clock is not as supposed.

        False, too, if a job that had ended and is to wait again has been removed meanwhile (`prune`).

        Raises:
            JobExistsError: A new job has the id of another one, or the unique key of one that has not ended. Nothing
                has been written.
            StoreUnavailableError: The commit may have been made or not.
        """

    def unlock(self) -> None:
        """Give up the lock, if there is one."""

    def promote(self, now: float) -> None:
        """Make the delayed jobs ready that are due by then, or the first of them, under the lock if there is one.

        If it was only the first, the lock is given up, so that others need not wait for all of them.

        One more version, with the numbers of ready and delayed jobs changed, and `at` no earlier than `now`.
        """

    def prune(self, older_than: float, limit: int) -> int:
        """Remove jobs that ended before then, the oldest first, in a commit of its own. Returns how many.

        It changes nothing that a head or content speaks of, and therefore no version.
        """

    # -- reads -------------------------------------------------------------------------------------------------------

    def in_order(self, after: Key, count: int) -> Sequence[Row]:
        """Rows (`COLUMNS`) of the first ready jobs with larger keys, in order."""

    def named(self, count: int) -> Sequence[Row]:
        """Rows (`NAMED`) of the first ready jobs, in order."""

    def ahead_of(self, key: Key) -> int:
        """How many ready jobs have smaller keys."""

    def delayed_before(self, ready_at: float, seq: int) -> int:
        """How many delayed jobs become ready before one with these."""

    def find(self, job_ids: Sequence[str], uniques: Sequence[str]) -> Sequence[Row]:
        """Rows (`COLUMNS`) of the jobs with these ids, and of those not ended with these unique keys."""

    def oldest(self, count: int) -> Sequence[Row]:
        """Rows (`COLUMNS`) of the jobs that have waited longest, by arrival."""

    def expired(self, now: float, limit: int) -> Sequence[Row]:
        """Rows (`COLUMNS`) of the first waiting jobs whose time to start is over, by that time."""

    def kinds(self) -> Sequence[tuple[str, str | None]]:
        """The tasks and homes of all that wait."""

    def of_kind(self, task: str, home: str | None, limit: int) -> Sequence[Row]:
        """Rows (`COLUMNS`) of waiting jobs of this task and home: of all, or of as many as the limit says."""

    def waiting(self, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows (`LISTED`) of the waiting jobs behind this mark: ready ones in order, then delayed ones by time."""

    def ended(self, state: str, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows (`LISTED`) of the jobs that ended so, the last first, before the one of this mark."""

    def tally(self, most: int) -> Mapping[str, int]:
        """How many jobs ended so are there, for each state, counted up to so many."""

    def minutes(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on, in order, as far as it was written."""

    def batch(self, batch_id: str) -> Mapping[str, int]:
        """How many jobs of the batch are in which state."""

    def workers(self) -> Sequence[tuple[str, float, str]]:
        """Those who have the queue open: their names, until when they are alive, and what they can run as JSON."""

    def staged(self, limit: int) -> Sequence[tuple[int, float, Row]]:
        """The first jobs in the stage: their numbers there, when they came (server's clock), and rows (`COLUMNS`)."""
