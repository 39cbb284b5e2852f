"""What a database has to offer, so that a queue can be kept in it. Nothing here waits for the event loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from pacer._ends import Fate
from pacer._job import JobRecord, JobState
from pacer._minutes import Tally
from pacer._overview import Mark
from pacer._rules import Rules
from pacer._snapshot import QueueState, Snapshot
from pacer.stores._rows import Encoded, Row


class Jobs(Protocol):
    """The jobs of one queue, inside a transaction."""

    def look_up(self, records: Sequence[JobRecord]) -> None:
        """These jobs are going to be asked about one by one."""

    def insert(self, record: JobRecord, encoded: Encoded, arrival: int) -> bool:
        """A new job; False if there is one with its id or unique key."""

    def promise(self, record: JobRecord) -> None:
        """When a job is expected to start, as its record says."""

    def start(self, record: JobRecord) -> None:
        """A job runs from now on, as its record says."""

    def keep(self, records: Iterable[JobRecord], until: float) -> None:
        """Running jobs are held until then, and are as far as their records say."""

    def requeue(self, job: JobRecord, fate: Fate, recoveries: int, now: float, arrival: int) -> None:
        """A job comes back into the queue."""

    def finish(self, job: JobRecord, fate: Fate, recoveries: int, now: float, result: Any) -> None:
        """A job has ended for good."""

    def readmit(self, job: JobRecord, arrival: int) -> None:
        """A job that had ended waits again, as its record says: ready at once."""

    def note_minute(self, minute: Tally) -> None:
        """What happened in a minute that is over; what is older than `KEPT` minutes may go."""

    def request_cancel(self, job: JobRecord) -> None:
        """The worker that runs the job is to cancel it."""

    def prune(self, older_than: float, limit: int) -> int:
        """Remove jobs that ended before this time, the oldest first. Returns how many."""

    def find(self, job_id: str) -> JobRecord | None:
        """The job with this id."""

    def same(self, record: JobRecord) -> JobRecord | None:
        """The job that this one stands for: with its id, or with its unique key and not finished."""

    def is_delayed(self, job: JobRecord) -> bool:
        """Whether a waiting job may not start yet as far as it is concerned."""

    def oldest(self, count: int) -> list[tuple[JobRecord, bool]]:
        """The jobs that have waited longest, and whether they are delayed."""

    def oldest_at(self) -> float | None:
        """When the job that has waited longest was enqueued."""

    def expired(self, now: float, limit: int) -> list[tuple[JobRecord, bool]]:
        """The first waiting jobs whose time to start is over, and whether they are delayed."""

    def kinds(self) -> list[tuple[str, str | None]]:
        """The tasks and homes of all that wait."""

    def of_kind(self, task: str, home: str | None, limit: int) -> list[tuple[JobRecord, bool]]:
        """Some waiting jobs of this task and home, as many as there are up to a limit; and whether they are delayed."""

    def batch(self, batch_id: str) -> dict[JobState, int]:
        """How many jobs of the batch are in which state."""

    def waiting(self, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows (`LISTED`) of the waiting jobs behind this mark: ready ones in order, then delayed ones by time."""

    def ended(self, state: JobState, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows (`LISTED`) of the jobs that ended so, the last first, before the one of this mark."""

    def tally(self, most: int) -> Mapping[JobState, int]:
        """How many jobs ended so are there, for each state, counted up to so many."""

    def minutes(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on, in order, as far as it was noted."""


class Workers(Protocol):
    """Those who have one queue open, inside a transaction."""

    def tasks(self, worker: str) -> str | None:
        """What it said that it can run; None if it is not known."""

    def note(self, worker: str, until: float, tasks: str) -> None:
        """It is alive until then, if it is not heard of again."""

    def remove(self, worker: str) -> None:
        """It has left."""

    def all(self) -> list[tuple[str, float, str]]:
        """Their names, until when they are alive, and what they can run."""


class View(Protocol):
    """What is known of one queue inside a transaction: its state, what runs, and the front of what waits."""

    state: QueueState
    roster: int
    dirty: bool

    @property
    def rules(self) -> Rules:
        """On the queue's clock."""

    @property
    def guest(self) -> bool:
        """Whether this is nobody's worker: it looks and steers."""

    @property
    def retired(self) -> bool:
        """Whether others have taken the queue over: this worker ends what it runs, and takes nothing more."""

    def check_in_charge(self) -> None:
        """Raises TakenOverError if they have."""

    @property
    def now(self) -> float:
        """The time, the same during one transaction."""

    @property
    def running(self) -> dict[str, JobRecord]:
        """The running jobs by id."""

    @property
    def waiting(self) -> int:
        """How many jobs wait."""

    def begin(self, writes: bool) -> bool:
        """A transaction has begun. Returns whether it has to be one that writes, but is not."""

    def save(self) -> None:
        """It is about to be committed."""

    def forget(self) -> None:
        """It has been rolled back: what is in memory may be wrong."""

    def steered(self) -> None:
        """A person has changed when jobs may start."""

    def next_seq(self) -> int:
        """The number of a new job."""

    def next_arrival(self) -> int:
        """The place in order of arrival of a job that comes into the queue."""

    def take_back_numbers(self) -> None:
        """The job for which both were taken last does not come in after all."""

    def added(self, job: JobRecord, ready_at: float) -> None:
        """A waiting job has been written: keep up with it."""

    def removed(self, job: JobRecord, delayed: bool) -> None:
        """A waiting job has left."""

    def add_running(self, record: JobRecord) -> None:
        """A job has been started."""

    def remove_running(self, record: JobRecord) -> None:
        """A job runs no more."""

    def in_order(self) -> Iterator[Row]:
        """Rows of the ready jobs, first to last. Jobs may be removed between two steps, not added."""

    def position(self, sort_key: float, seq: int, ready_at: float, delayed: bool) -> int:
        """1-based place of a waiting job; delayed jobs stand behind all ready ones."""

    def place_of(self, sort_key: float) -> int:
        """Where a new job with this key would come to stand, if it is ready at once."""

    def next_ready_at(self) -> float | None:
        """When the first of the delayed jobs becomes ready; None if there is none."""

    def next_expiry(self) -> float:
        """When the first waiting job's time to start is over; `inf` if all may wait for ever."""

    def snapshot(self) -> Snapshot:
        """The queue now, with as many of the ready jobs as are known anyway."""

    def passing_snapshot(self) -> Snapshot:
        """The same for a forecast that is made in this transaction: it may not look far."""

    def named_snapshot(self, oldest_at: float | None, count: int) -> Snapshot:
        """The same with so many of the ready jobs, for a forecast that is made later."""
