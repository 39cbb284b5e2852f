"""What the operations of one transaction have changed, on top of what was committed last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from pacer._ends import Fate
from pacer._job import JobRecord, JobState
from pacer._minutes import Tally
from pacer._overview import Mark
from pacer.stores._rows import Encoded, Row, decode, storable_text
from pacer.stores._running import RunningJobs
from pacer.stores._server._backend import Backend, Change, Place

WAITING = (Place.READY, Place.DELAYED)


@attrs.define(eq=False)
class Moment:
    """What the jobs and the view of one queue share: the time, and which jobs run."""

    now: float = 0.0
    running: RunningJobs = attrs.field(factory=RunningJobs)


@attrs.define(eq=False)
class Work:
    """The jobs of one queue: those that were changed as they are now, all others as the server knows them.

    Attributes:
        checking: Whether the server is asked before a job is taken to be new. Ids are random as a rule, so that it
            would be asked in vain; it notices itself when it gets a job that it has.
        minutes_over: What happened in minutes that are over, and is to be written.
    """

    _backend: Backend
    _moment: Moment
    checking: bool = attrs.field(init=False, default=False)
    minutes_over: list[Tally] = attrs.field(init=False, factory=list)
    _changes: dict[str, Change] = attrs.field(init=False, factory=dict)
    _known: dict[str, JobRecord | None] = attrs.field(init=False, factory=dict)
    """Jobs that were looked up, by id."""
    _known_unique: dict[str, JobRecord | None] = attrs.field(init=False, factory=dict)

    # -- the transaction ---------------------------------------------------------------------------------------------

    @property
    def changes(self) -> Sequence[Change]:
        """All that has to be written."""
        return tuple(self._changes.values())

    def clear(self) -> None:
        """It has been committed, or is to be forgotten."""
        self._changes, self._known, self._known_unique, self.minutes_over = {}, {}, {}, []

    def changed(self, job_id: str) -> Change | None:
        """How the job was changed; None if it was not."""
        return self._changes.get(job_id)

    def _change(
        self,
        job: JobRecord,
        place: Place,
        was: Place,
        *,
        arrival: int | None = None,
        encoded: Encoded | None = None,
        was_state: JobState | None = None,
        anew: bool = False,
    ) -> None:
        before = self._changes.get(job.id)
        if before is None:
            state = None if was is Place.NOWHERE else (was_state or _STATE_IN[was]).value
            self._changes[job.id] = Change(job, was, place, arrival, encoded, state, anew)
        else:
            anew = anew or before.anew
            self._changes[job.id] = attrs.evolve(before, job=job, place=place, arrival=arrival, anew=anew)

    def _place(self, job: JobRecord) -> Place:
        """Where a job that has not ended is now."""
        if job.state is JobState.RUNNING:
            return Place.RUNNING
        return Place.DELAYED if job.ready_at > self._moment.now else Place.READY

    # -- writing -----------------------------------------------------------------------------------------------------

    def insert(self, record: JobRecord, encoded: Encoded, arrival: int) -> bool:
        """A new job; False if there is one with its id or unique key."""
        if self.checking or record.unique is not None:
            self.look_up([record])
        if self._same(record) is not None:
            return False
        self._change(record, self._place(record), Place.NOWHERE, arrival=arrival, encoded=encoded)
        return True

    def promise(self, record: JobRecord) -> None:
        """The record itself is what will be written."""

    def start(self, record: JobRecord) -> None:
        """A job runs from now on, as its record says; now it needs its arguments."""
        if record.payload is None and record.home is None:
            record.payload = self.with_payload(record).payload
        self._change(record, Place.RUNNING, Place.READY)

    def keep(self, records: Iterable[JobRecord], until: float) -> None:
        """Running jobs are held until then, and are as far as their records say."""
        for record in records:
            record.lease_until = until
            self._change(record, Place.RUNNING, Place.RUNNING)

    def requeue(self, job: JobRecord, fate: Fate, recoveries: int, now: float, arrival: int) -> None:
        """A job comes back into the queue."""
        was, new = self._place(job), job.copy()
        fate.apply(new)
        new.ready_at, new.recoveries = fate.ready_at, recoveries
        new.started_at = new.worker = None
        self._change(new, self._place(new), was, arrival=arrival)

    def finish(self, job: JobRecord, fate: Fate, recoveries: int, now: float, result: Any) -> None:
        """A job has ended for good."""
        was, new = self._place(job), job.copy()
        fate.apply(new)
        new.ended_at, new.result, new.recoveries, new.worker = now, result, recoveries, None
        if fate.state is JobState.SUCCEEDED:  # others may be run again
            new.payload = None
        self._change(new, Place.ENDED, was)

    def readmit(self, job: JobRecord, arrival: int) -> None:
        """A job that had ended waits again, as its record says: ready at once."""
        known = self._known.get(job.id)
        was_state = None if known is None else known.state
        self._change(job, Place.READY, Place.ENDED, arrival=arrival, was_state=was_state, anew=True)

    def note_minute(self, minute: Tally) -> None:
        """What happened in a minute that is over."""
        self.minutes_over.append(minute)

    def request_cancel(self, job: JobRecord) -> None:
        """The worker that runs the job is to cancel it."""
        running = self._moment.running.by_id[job.id]
        running.cancel_requested = True
        self._change(running, Place.RUNNING, Place.RUNNING)

    def prune(self, older_than: float, limit: int) -> int:
        """Remove jobs that ended before this time, the oldest first. Returns how many."""
        return self._backend.prune(older_than, limit)

    # -- reading -----------------------------------------------------------------------------------------------------

    def look_up(self, records: Sequence[JobRecord]) -> None:
        """These jobs are going to be asked about one by one."""
        self._find([record.id for record in records], [one.unique for one in records if one.unique is not None])

    def _find(self, job_ids: Sequence[str], uniques: Sequence[str]) -> None:
        new_ids = [one for one in job_ids if one not in self._known]
        new_uniques = [one for one in uniques if one not in self._known_unique]
        if not new_ids and not new_uniques:
            return
        self._known.update(dict.fromkeys(new_ids))
        self._known_unique.update(dict.fromkeys(new_uniques))
        for row in self._backend.find(new_ids, new_uniques):
            record = decode(row)
            self._known[record.id] = record
            if record.unique is not None and not record.state.final:
                self._known_unique[record.unique] = record

    def find(self, job_id: str) -> JobRecord | None:
        """The job with this id."""
        change, running = self._changes.get(job_id), self._moment.running.by_id.get(job_id)
        if change is not None:
            complete = change.was is Place.NOWHERE or change.job.state is JobState.SUCCEEDED
            return change.job.copy() if complete else self.with_payload(change.job)
        if running is not None:
            return self.with_payload(running)
        self._find([job_id], [])
        return self._known[job_id]

    def with_payload(self, job: JobRecord) -> JobRecord:
        """A copy with its arguments: what runs is kept without them."""
        self._find([job.id], [])
        found, record = self._known[job.id], job.copy()
        record.payload = None if found is None else found.payload
        return record

    def same(self, record: JobRecord) -> JobRecord | None:
        """The job that this one stands for: with its id, or with its unique key and not finished."""
        self.look_up([record])
        return self._same(record)

    def _same(self, record: JobRecord) -> JobRecord | None:
        """The same, as far as it is known here."""
        change = self._changes.get(record.id)
        if change is not None:
            return change.job.copy()
        found = self._known.get(record.id)
        return found if found is not None or record.unique is None else self._same_unique(record.unique)

    def _same_unique(self, unique: str) -> JobRecord | None:
        for change in self._changes.values():
            if change.job.unique == unique and change.place is not Place.ENDED:
                return change.job.copy()
        found = self._known_unique.get(unique)
        return None if found is None or found.id in self._changes else found

    def is_delayed(self, job: JobRecord) -> bool:
        """Whether a waiting job may not start yet as far as it is concerned."""
        return job.ready_at > self._moment.now

    def oldest(self, count: int) -> list[tuple[JobRecord, bool]]:
        """The jobs that have waited longest, and whether they are delayed."""
        found = self._waiting(self._backend.oldest(count + len(self._changes)), lambda _: True)
        return [(job, self.is_delayed(job)) for job in found[:count]]

    def oldest_at(self) -> float | None:
        """When the job that has waited longest was enqueued."""
        oldest = self.oldest(1)
        return oldest[0][0].created_at if oldest else None

    def expired(self, now: float, limit: int) -> list[tuple[JobRecord, bool]]:
        """The first waiting jobs whose time to start is over, and whether they are delayed."""
        found = self._waiting(
            self._backend.expired(now, limit), lambda job: job.expires_at is not None and job.expires_at <= now
        )
        return [(job, self.is_delayed(job)) for job in found]

    def kinds(self) -> list[tuple[str, str | None]]:
        """The tasks and homes of all that wait."""
        here = {(one.job.task, one.job.home) for one in self._changes.values() if one.place in WAITING}
        return list(here.union(self._backend.kinds()))

    def of_kind(self, task: str, home: str | None, limit: int) -> list[tuple[JobRecord, bool]]:
        """Some waiting jobs of this task and home, as many as there are up to a limit; and whether they are delayed."""
        rows = self._backend.of_kind(task, home, limit)
        found = self._waiting(rows, lambda job: job.task == task and job.home == home)
        return [(job, self.is_delayed(job)) for job in found]

    def _waiting(self, rows: Iterable[Row], wanted: Callable[[JobRecord], bool]) -> list[JobRecord]:
        """What the server knows to wait, as it is now, and then what has come in since."""
        found = [record for record in map(decode, rows) if record.id not in self._changes]
        came = [one for one in self._changes.values() if one.place in WAITING and wanted(one.job)]
        came.sort(key=lambda one: one.arrival or 0)
        return found + [one.job for one in came]

    def batch(self, batch_id: str) -> dict[JobState, int]:
        """How many jobs of the batch are in which state."""
        counts = Counter(dict(self._backend.batch(storable_text(batch_id))))
        for change in self._changes.values():
            if change.job.batch_id == batch_id:
                counts[change.job.state.value] += 1
                if change.was_state is not None:
                    counts[change.was_state] -= 1
        return {JobState(state): count for state, count in counts.items() if count > 0}

    # What people see is what was committed last: what the same transaction has done before is theirs a moment later.

    def waiting(self, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows of the waiting jobs behind this mark."""
        return self._backend.waiting(after, count)

    def ended(self, state: JobState, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows of the jobs that ended so, before the one of this mark."""
        return self._backend.ended(state.value, after, count)

    def tally(self, most: int) -> dict[JobState, int]:
        """How many jobs ended so are there, for each state, counted up to so many."""
        return {JobState(state): count for state, count in self._backend.tally(most).items() if count}

    def minutes(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on."""
        return self._backend.minutes(since)


_STATE_IN = {Place.READY: JobState.QUEUED, Place.DELAYED: JobState.QUEUED, Place.RUNNING: JobState.RUNNING}


@attrs.define(eq=False)
class WorkersAtWork:
    """Those who have the queue open: as the server knows them, and what was changed since."""

    _backend: Backend
    changes: dict[str, tuple[float, str] | None] = attrs.field(init=False, factory=dict)

    def tasks(self, worker: str) -> str | None:
        """What it said that it can run; None if it is not known."""
        return next((tasks for name, _, tasks in self.all() if name == worker), None)

    def note(self, worker: str, until: float, tasks: str) -> None:
        """It is alive until then, if it is not heard of again."""
        self.changes[worker] = (until, tasks)

    def remove(self, worker: str) -> None:
        """It has left."""
        self.changes[worker] = None

    def all(self) -> list[tuple[str, float, str]]:
        """Their names, until when they are alive, and what they can run."""
        known: dict[str, tuple[float, str] | None] = {
            name: (until, tasks) for name, until, tasks in self._backend.workers()
        }
        known.update(self.changes)
        return [(name, *said) for name, said in known.items() if said is not None]
