"""One queue in a SQLite file: what a ledger can do, as plain calls inside a transaction."""

# ruff: noqa: S608 - SQL is put together from constants and quoted identifiers; values are always bound

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from pacer._errors import LeaseLostError, QueueFullError
from pacer._job import BatchProgress, JobRecord, JobState, Outcome, Retry
from pacer._rules import INTERRUPTED, Fate, Rules
from pacer._snapshot import Snapshot
from pacer.protocols import Added, Addition, Beat, Claimed, Settled, When
from pacer.stores._sqlite_mirror import Mirror
from pacer.stores._sqlite_rows import COLUMNS, INSERT, INSERT_PLAIN, PLAIN, Encoded, decode, encode, storable_text
from pacer.stores._sqlite_view import QueueView, Row

_EMPTY = When(math.inf, on_event=True, reason="nothing waits")
_TASK, _HOME, _KEY = 1, 3, 4

_BY_ID: Final = f"SELECT {COLUMNS} FROM pacer_jobs WHERE queue = ? AND id = ?"
_BY_UNIQUE: Final = f"SELECT {COLUMNS} FROM pacer_jobs WHERE queue = ? AND unique_key = ? AND ended_at IS NULL"
_OLDEST: Final = (
    f"SELECT {COLUMNS}, due FROM pacer_jobs WHERE queue = ? AND arrival IS NOT NULL ORDER BY arrival LIMIT ?"
)
_START: Final = (
    "UPDATE pacer_jobs SET state = 'running', started_at = ?, worker = ?, fence = ?, lease_until = ?, "
    "progress = NULL, message = '', arrival = NULL, place = NULL WHERE seq = ?"
)
_FINISH: Final = (
    "UPDATE pacer_jobs SET state = ?, ended_at = ?, error = ?, result = ?, failures = ?, throttles = ?, "
    "recoveries = ?, progress = ?, message = ?, worker = NULL, payload = NULL, "
    "arrival = NULL, place = NULL, due = NULL WHERE seq = ?"
)
_REQUEUE: Final = (
    "UPDATE pacer_jobs SET state = 'queued', place = ?, due = ?, arrival = ?, ready_at = ?, error = ?, failures = ?, "
    "throttles = ?, recoveries = ?, progress = ?, message = ?, started_at = NULL, worker = NULL WHERE seq = ?"
)


@attrs.frozen
class Ending:
    """What a job that was held here has become; written to the record once the transaction has been committed."""

    fate: Fate
    ended_at: float | None = None
    result: Any = None

    def apply(self, record: JobRecord) -> None:
        """Make the record say so."""
        fate = self.fate
        record.state, record.error = fate.state, fate.error
        record.failures, record.throttles, record.worker = fate.failures, fate.throttles, None
        if fate.state is JobState.QUEUED:
            record.ready_at, record.started_at = fate.ready_at, None
        else:
            record.ended_at, record.result, record.payload = self.ended_at, self.result, None


@attrs.define(eq=False)
class SqlQueue:
    """The operations, in the order in which a job meets them. None of them commits.

    An operation that refuses (QueueFullError, LeaseLostError, NotEncodableError) does so before it has written
    anything. None changes the records it is given beyond what the store fills in at admission, so that it can be run
    again after a rollback.
    """

    cursor: sqlite3.Cursor
    view: QueueView
    rules: Rules
    worker: str
    lease: float
    mirror: Mirror | None
    known: frozenset[str] = frozenset()
    """The functions that this worker can run."""

    # -- in ----------------------------------------------------------------------------------------------------------

    def add(self, records: Sequence[JobRecord]) -> Addition:
        """Admit all, or none."""
        encoded = [encode(record) for record in records]
        # One job, which is the usual case, is taken to be new until it turns out that it is not.
        fresh = records if len(records) == 1 else self._fresh(records)
        dropped = self._admit(fresh, certain=len(records) > 1) if fresh else []
        new = {id(record) for record in fresh}
        jobs = [
            self._added(record, texts, new=id(record) in new) for record, texts in zip(records, encoded, strict=True)
        ]
        return Addition(jobs, dropped, self.view.snapshot())

    def _fresh(self, records: Sequence[JobRecord]) -> list[JobRecord]:
        """Those that stand for no job in the table, nor for one before them."""
        fresh = dict[str, JobRecord]()
        uniques = set[str]()
        for record in records:
            if record.id not in fresh and record.unique not in uniques and self._find(record) is None:
                fresh[record.id] = record
                if record.unique is not None:
                    uniques.add(record.unique)
        return list(fresh.values())

    def _admit(self, fresh: Sequence[JobRecord], certain: bool) -> list[JobRecord]:
        """Ask the rules; raises QueueFullError. Returns the jobs that were dropped to make room.

        Not `certain`: the job may exist already, and then nobody has to make room for it.
        """
        try:
            drop = self.rules.admit(fresh, self.view.waiting, self.view.snapshot)
        except QueueFullError:
            if not certain and self._find(fresh[0]) is not None:
                return []
            raise
        return self._drop(drop) if drop and (certain or self._find(fresh[0]) is None) else []

    def _added(self, record: JobRecord, encoded: Encoded, new: bool) -> Added:
        old = None if new else self._find(record)
        if old is None:
            position = self._insert(record, encoded)
            if position is not None:
                return Added(record, position, created=True)
            old = self._find(record)
            assert old is not None  # noqa: S101 - it was in the way of the new one just now
        return Added(old, self._position(old), created=False)

    def _find(self, record: JobRecord) -> JobRecord | None:
        row = self.cursor.execute(_BY_ID, (self.view.queue, record.id)).fetchone()
        if row is None and record.unique is not None:
            row = self.cursor.execute(_BY_UNIQUE, (self.view.queue, record.unique)).fetchone()
        return None if row is None else decode(row)

    def _drop(self, count: int) -> list[JobRecord]:
        """The jobs that waited longest leave."""
        dropped = []
        for *row, due in self.cursor.execute(_OLDEST, (self.view.queue, count)).fetchall():
            record = decode(tuple(row))
            self.view.removed(record.seq, delayed=due is not None)
            self.finish(record, JobState.DROPPED, "dropped for a newer job")
            dropped.append(record)
        return dropped

    def _insert(self, record: JobRecord, encoded: Encoded) -> int | None:
        """Write a new job; returns its position, or None if there is one with its id or unique key."""
        view = self.view
        now = view.now
        record.created_at = now
        record.ready_at = ready_at = now + record.delay
        record.sort_key = sort_key = self.rules.sort_key(record)
        record.seq = seq = view.next_seq()
        arrival = view.next_arrival()
        if encoded is PLAIN:
            plain = (view.queue, record.id, record.task, record.payload, seq, sort_key, now, ready_at, seq, arrival)
            self.cursor.execute(INSERT_PLAIN, plain)
        else:
            place, due = (None, ready_at) if ready_at > now else (seq, None)
            self.cursor.execute(
                INSERT,
                (
                    view.queue,
                    record.id,
                    record.task,
                    record.payload,
                    record.home,
                    record.key,
                    record.priority,
                    encoded.cost,
                    record.delay,
                    record.timeout,
                    encoded.retry,
                    record.unique,
                    record.batch_id,
                    seq,
                    sort_key,
                    now,
                    ready_at,
                    place,
                    due,
                    arrival,
                ),
            )
        if not self.cursor.rowcount:
            view.take_back_numbers()
            return None
        if self.mirror is not None:
            self.mirror.write(record.id, JobState.QUEUED)
        if record.task not in self.known if record.home is None else record.home != self.worker:
            view.roster += 1
        view.added(sort_key, seq, ready_at)
        return view.position(sort_key, seq, ready_at, delayed=ready_at > now)

    # -- run ---------------------------------------------------------------------------------------------------------

    def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        """Take jobs from the front, as far as the rules let them start now."""
        view, now = self.view, self.view.now
        jobs: list[JobRecord] = []
        upcoming, blocked = _EMPTY, set[str | None]()
        for row in view.in_order():
            home = row[_HOME]
            if (row[_TASK] not in tasks if home is None else home != self.worker) or row[_KEY] in blocked:
                continue
            record = decode(row)
            when = self.rules.next_start(view.state, now, record, len(view.running))
            if when.at <= now:
                self._start(record)
                jobs.append(record)
                if len(jobs) == limit:
                    return Claimed(jobs, _EMPTY, now)
                continue
            upcoming = min(when, upcoming, key=lambda one: one.at)
            if not when.lane:
                return Claimed(jobs, upcoming, now)
            blocked.add(record.key)
        ready_at = view.next_ready_at()
        if ready_at is not None and ready_at < upcoming.at:
            upcoming = When(ready_at, on_event=True, reason="the next job is delayed")
        return Claimed(jobs, upcoming, now)

    def _start(self, record: JobRecord) -> None:
        view = self.view
        now = view.now
        record.state = JobState.RUNNING
        record.started_at = now
        record.worker = self.worker
        record.fence += 1
        record.progress, record.message = None, ""
        record.lease_until = now + self.lease
        self.cursor.execute(_START, (now, self.worker, record.fence, record.lease_until, record.seq))
        if self.mirror is not None:
            self.mirror.write(record.id, JobState.RUNNING)
        view.removed(record.seq, delayed=False)
        view.state = self.rules.start(view.state, now, record, len(view.running))
        view.add_running(record)

    def _held(self, record: JobRecord) -> JobRecord | None:
        """The running job, if this worker still holds it by the same claim."""
        found = self.view.running.get(record.id)
        if found is None or found.worker != self.worker or found.fence != record.fence:
            return None
        return found

    def beat(self, held: Sequence[JobRecord], extend: bool) -> Beat:
        """Which jobs are lost, and which are to be cancelled. `extend`: write leases and progress too."""
        mine = [found for record in held if (found := self._held(record)) is not None]
        if extend:
            until = self.view.now + self.lease
            progress = {record.id: (record.progress, storable_text(record.message)) for record in held}
            self.cursor.executemany(
                "UPDATE pacer_jobs SET lease_until = ?, progress = ?, message = ? WHERE seq = ?",
                [(until, *progress[record.id], record.seq) for record in mine],
            )
            for record in mine:
                record.lease_until = until
        return Beat(
            lost=frozenset(record.id for record in held) - {record.id for record in mine},
            cancel=frozenset(record.id for record in mine if record.cancel_requested),
        )

    def settle(self, held: JobRecord, outcome: Outcome, retry: Retry | None) -> tuple[Ending, Settled]:
        """Apply what the rules say. The `Ending` has yet to be applied to the record that was handed in."""
        job = self._held(held)
        if job is None:
            raise LeaseLostError(held.id)
        view = self.view
        job.progress, job.message = held.progress, held.message
        view.remove_running(job)
        view.state, fate, outcome = self.rules.settle(view.state, view.now, job, outcome, len(view.running), retry)
        if fate.state is JobState.QUEUED:
            ending = Ending(fate)
            self._requeue(job, fate, job.recoveries)
        else:
            result = self._storable_result(outcome.result)
            ending = Ending(fate, view.now, result)
            self._finish(job, fate, job.recoveries, result)
        return ending, Settled(held, outcome.hold, view.state)

    def release(self, held: Iterable[JobRecord]) -> list[tuple[JobRecord, Ending]]:
        """Back to where they stood; the pacing policy is told, the job's counters are not."""
        endings = []
        for record in held:
            job = self._held(record)
            if job is not None:
                self.interrupt(job)
                state, error = (
                    (JobState.CANCELLED, "cancelled") if job.cancel_requested else (JobState.QUEUED, job.error)
                )
                fate = Fate(state, job.ready_at, error, job.failures, job.throttles)
                self.apply(job, fate, job.recoveries)
                endings.append((record, Ending(fate, self.view.now)))
        return endings

    def interrupt(self, job: JobRecord) -> None:
        """A run is broken off: shutdown, or the crash of its worker."""
        view = self.view
        view.remove_running(job)
        view.state = self.rules.finish(view.state, view.now, job, INTERRUPTED, len(view.running))

    # -- out ---------------------------------------------------------------------------------------------------------

    def apply(self, job: JobRecord, fate: Fate, recoveries: int) -> None:
        """Write what becomes of a job that neither waits nor runs at this moment."""
        if fate.state is JobState.QUEUED:
            self._requeue(job, fate, recoveries)
        else:
            self._finish(job, fate, recoveries, None)

    def _requeue(self, job: JobRecord, fate: Fate, recoveries: int) -> None:
        view = self.view
        delayed, arrival = fate.ready_at > view.now, view.next_arrival()
        self.cursor.execute(
            _REQUEUE,
            (
                None if delayed else job.seq,
                fate.ready_at if delayed else None,
                arrival,
                fate.ready_at,
                storable_text(fate.error),
                fate.failures,
                fate.throttles,
                recoveries,
                job.progress,
                storable_text(job.message),
                job.seq,
            ),
        )
        if self.mirror is not None:
            self.mirror.write(job.id, JobState.QUEUED)
        view.added(job.sort_key, job.seq, fate.ready_at)

    def finish(self, job: JobRecord, state: JobState, error: str) -> None:
        """A waiting job, just read, leaves for good."""
        fate = Fate(state, job.ready_at, error, job.failures, job.throttles)
        self._finish(job, fate, job.recoveries, None)
        Ending(fate, self.view.now).apply(job)

    def _storable_result(self, result: Any) -> Any:
        """The result, unless the codec gave something that SQLite cannot hold: the job has succeeded all the same."""
        if result is None or isinstance(result, str | bytes):
            return result
        self.rules.guard.note(type(result), "encode_result", "the codec must give str or bytes; the result was dropped")
        return None

    def _finish(self, job: JobRecord, fate: Fate, recoveries: int, result: Any) -> None:
        self.cursor.execute(
            _FINISH,
            (
                fate.state.value,
                self.view.now,
                storable_text(fate.error),
                result,
                fate.failures,
                fate.throttles,
                recoveries,
                job.progress,
                storable_text(job.message),
                job.seq,
            ),
        )
        if self.mirror is not None:
            self.mirror.write(job.id, fate.state)

    # -- what people ask and say -------------------------------------------------------------------------------------

    def job(self, job_id: str) -> JobRecord | None:
        """The job as it is now."""
        row = self.cursor.execute(_BY_ID, (self.view.queue, storable_text(job_id))).fetchone()
        return None if row is None else decode(row)

    def position(self, job_id: str) -> int | None:
        """Its place among the waiting jobs."""
        record = self.job(job_id)
        return None if record is None else self._position(record)

    def _position(self, record: JobRecord) -> int | None:
        if record.state is not JobState.QUEUED:
            return None
        return self.view.position(record.sort_key, record.seq, record.ready_at, self._is_delayed(record))

    def _is_delayed(self, record: JobRecord) -> bool:
        row: Row = self.cursor.execute("SELECT due FROM pacer_jobs WHERE seq = ?", (record.seq,)).fetchone()
        return row[0] is not None

    def snapshot(self) -> Snapshot:
        """The queue now, with the age of the oldest waiting job."""
        row = self.cursor.execute(
            "SELECT created_at FROM pacer_jobs WHERE queue = ? AND arrival IS NOT NULL ORDER BY arrival LIMIT 1",
            (self.view.queue,),
        ).fetchone()
        return self.view.snapshot(None if row is None else row[0])

    def batch(self, batch_id: str) -> BatchProgress | None:
        """Counts by state."""
        rows = self.cursor.execute(
            "SELECT state, count(*) FROM pacer_jobs WHERE queue = ? AND batch_id = ? GROUP BY state",
            (self.view.queue, storable_text(batch_id)),
        ).fetchall()
        if not rows:
            return None
        counts = {JobState(state): count for state, count in rows}
        return BatchProgress(batch_id=batch_id, total=sum(counts.values()), counts=counts)

    def cancel(self, job_id: str) -> JobState | None:
        """Cancel now if it waits, ask if it runs."""
        record = self.job(job_id)
        if record is None:
            return None
        found = record.state
        if found is JobState.QUEUED:
            self.view.removed(record.seq, self._is_delayed(record))
            self.finish(record, JobState.CANCELLED, "cancelled while waiting")
        elif found is JobState.RUNNING:
            self.cursor.execute("UPDATE pacer_jobs SET cancel_requested = 1 WHERE seq = ?", (record.seq,))
            self.view.running[job_id].cancel_requested = True
        return found

    def set_paused(self, paused: bool) -> None:
        """Effective for all workers at once."""
        self.view.state = attrs.evolve(self.view.state, paused=paused)
        self.view.dirty = True
