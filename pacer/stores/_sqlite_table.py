"""The rows of one queue's jobs, and with them those of the application's own table."""

# ruff: noqa: S608 - SQL is put together from constants and quoted identifiers; values are always bound

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from pacer._ends import Fate
from pacer._job import JobRecord, JobState
from pacer._minutes import KEPT, Tally
from pacer._overview import Mark
from pacer.stores._rows import COLUMNS, LISTED, PLAIN, Encoded, Row, decode, storable_text
from pacer.stores._sqlite_mirror import Mirror

_INSERT: Final = """
INSERT INTO pacer_jobs (queue, id, task, payload, home, key, priority, cost, delay, timeout, retry, unique_key,
    batch_id, seq, sort_key, created_at, ready_at, expires_at, place, due, arrival, headers, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued')
ON CONFLICT DO NOTHING
"""

# Of a job without options; half the work, and the usual case.
_INSERT_PLAIN: Final = """
INSERT INTO pacer_jobs (queue, id, task, payload, seq, sort_key, created_at, ready_at, place, arrival, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued')
ON CONFLICT DO NOTHING
"""
_WAITING: Final = "FROM pacer_jobs WHERE queue = ? AND arrival IS NOT NULL"
_BY_ID: Final = f"SELECT {COLUMNS} FROM pacer_jobs WHERE queue = ? AND id = ?"
_BY_UNIQUE: Final = f"SELECT {COLUMNS} FROM pacer_jobs WHERE queue = ? AND unique_key = ? AND ended_at IS NULL"
_OLDEST: Final = f"SELECT {COLUMNS}, due {_WAITING} ORDER BY arrival LIMIT ?"
_EXPIRED: Final = f"SELECT {COLUMNS}, due {_WAITING} AND expires_at <= ? ORDER BY expires_at, seq LIMIT ?"
_OF_KIND: Final = f"SELECT {COLUMNS}, due {_WAITING} AND task = ? AND home IS ? LIMIT ?"
_PROMISE: Final = "UPDATE pacer_jobs SET promised_low = ?, promised_high = ? WHERE seq = ?"
_START: Final = (
    "UPDATE pacer_jobs SET state = 'running', started_at = ?, worker = ?, fence = ?, lease_until = ?, "
    "progress = NULL, message = '', arrival = NULL, place = NULL WHERE seq = ?"
)
_KEEP: Final = "UPDATE pacer_jobs SET lease_until = ?, progress = ?, message = ? WHERE seq = ?"
_REQUEUE: Final = (
    "UPDATE pacer_jobs SET state = 'queued', place = ?, due = ?, arrival = ?, ready_at = ?, error = ?, failures = ?, "
    "first_failed_at = ?, retry_delay = ?, throttles = ?, recoveries = ?, progress = ?, message = ?, "
    "started_at = NULL, worker = NULL WHERE seq = ?"
)
_FINISH: Final = (
    "UPDATE pacer_jobs SET state = ?, ended_at = ?, error = ?, result = ?, failures = ?, first_failed_at = ?, "
    "throttles = ?, recoveries = ?, progress = ?, message = ?, worker = NULL, "
    # What has not succeeded can be run again.
    "payload = CASE ? WHEN 'succeeded' THEN NULL ELSE payload END, "
    "arrival = NULL, place = NULL, due = NULL WHERE seq = ?"
)
_READMIT: Final = (
    "UPDATE pacer_jobs SET state = 'queued', place = seq, due = NULL, arrival = ?, created_at = ?, ready_at = ?, "
    "expires_at = ?, started_at = NULL, ended_at = NULL, failures = 0, first_failed_at = NULL, retry_delay = 0, "
    "promised_low = NULL, promised_high = NULL, throttles = 0, recoveries = 0, cancel_requested = 0, progress = NULL, "
    "message = '', result = NULL WHERE seq = ?"
)
_LISTED_READY: Final = (
    f"SELECT {LISTED} FROM pacer_jobs WHERE queue = ? AND place IS NOT NULL AND (sort_key, place) > (?, ?) "
    "ORDER BY sort_key, place LIMIT ?"
)
_LISTED_DELAYED: Final = (
    f"SELECT {LISTED} FROM pacer_jobs WHERE queue = ? AND due IS NOT NULL AND (due, seq) > (?, ?) "
    "ORDER BY due, seq LIMIT ?"
)
_LISTED_ENDED: Final = (
    f"SELECT {LISTED} FROM pacer_jobs WHERE queue = ? AND ended_at IS NOT NULL AND state {{which}} "
    "AND (ended_at, seq) < (?, ?) ORDER BY ended_at DESC, seq DESC LIMIT ?"
)
_TALLY: Final = (
    "SELECT count(*) FROM (SELECT 1 FROM pacer_jobs WHERE queue = ? AND ended_at IS NOT NULL AND state {which} LIMIT ?)"
)
_PRUNE: Final = (
    "DELETE FROM pacer_jobs WHERE seq IN "
    "(SELECT seq FROM pacer_jobs WHERE queue = ? AND ended_at < ? ORDER BY ended_at LIMIT ?)"
)


@attrs.define(eq=False)
class JobTable:
    """Reads and writes jobs. Every change of a state goes through here, so the mirror misses none."""

    cursor: sqlite3.Cursor
    queue: int
    mirror: Mirror | None

    # -- writing -----------------------------------------------------------------------------------------------------

    def insert(self, record: JobRecord, encoded: Encoded, arrival: int) -> bool:
        """A new job; False if there is one with its id or unique key."""
        seq, ready_at, created_at = record.seq, record.ready_at, record.created_at
        if encoded is PLAIN:
            self.cursor.execute(
                _INSERT_PLAIN,
                (
                    self.queue,
                    record.id,
                    record.task,
                    record.payload,
                    seq,
                    record.sort_key,
                    created_at,
                    ready_at,
                    seq,
                    arrival,
                ),
            )
        else:
            place, due = _place(seq, ready_at, created_at)
            self.cursor.execute(
                _INSERT,
                (
                    self.queue,
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
                    record.sort_key,
                    created_at,
                    ready_at,
                    record.expires_at,
                    place,
                    due,
                    arrival,
                    encoded.headers,
                ),
            )
        if not self.cursor.rowcount:
            return False
        self._mirror(record.id, JobState.QUEUED)
        return True

    def promise(self, record: JobRecord) -> None:
        """When a job is expected to start, as its record says."""
        self.cursor.execute(_PROMISE, (record.promised_low, record.promised_high, record.seq))

    def start(self, record: JobRecord) -> None:
        """A job runs from now on, as its record says."""
        self.cursor.execute(_START, (record.started_at, record.worker, record.fence, record.lease_until, record.seq))
        self._mirror(record.id, JobState.RUNNING)

    def keep(self, records: Iterable[JobRecord], until: float) -> None:
        """Running jobs are held until then, and are as far as their records say."""
        self.cursor.executemany(
            _KEEP, [(until, record.progress, storable_text(record.message), record.seq) for record in records]
        )

    def requeue(self, job: JobRecord, fate: Fate, recoveries: int, now: float, arrival: int) -> None:
        """A job comes back into the queue."""
        place, due = _place(job.seq, fate.ready_at, now)
        self.cursor.execute(
            _REQUEUE,
            (
                place,
                due,
                arrival,
                fate.ready_at,
                storable_text(fate.error),
                fate.failures,
                fate.first_failed_at,
                fate.retry_delay,
                fate.throttles,
                recoveries,
                job.progress,
                storable_text(job.message),
                job.seq,
            ),
        )
        self._mirror(job.id, JobState.QUEUED)

    def finish(self, job: JobRecord, fate: Fate, recoveries: int, now: float, result: Any) -> None:
        """A job has ended for good."""
        self.cursor.execute(
            _FINISH,
            (
                fate.state.value,
                now,
                storable_text(fate.error),
                result,
                fate.failures,
                fate.first_failed_at,
                fate.throttles,
                recoveries,
                job.progress,
                storable_text(job.message),
                fate.state.value,
                job.seq,
            ),
        )
        self._mirror(job.id, fate.state)

    def readmit(self, job: JobRecord, arrival: int) -> None:
        """A job that had ended waits again, as its record says: ready at once."""
        self.cursor.execute(_READMIT, (arrival, job.created_at, job.ready_at, job.expires_at, job.seq))
        self._mirror(job.id, JobState.QUEUED)

    def note_minute(self, minute: Tally) -> None:
        """What happened in a minute that is over; what is older than a day goes."""
        number = int(minute[0])
        self.cursor.execute(
            "INSERT OR REPLACE INTO pacer_minutes (queue, minute, tally) VALUES (?, ?, ?)",
            (self.queue, number, json.dumps(minute)),
        )
        self.cursor.execute("DELETE FROM pacer_minutes WHERE queue = ? AND minute <= ?", (self.queue, number - KEPT))

    def request_cancel(self, job: JobRecord) -> None:
        """The worker that runs the job is to cancel it."""
        self.cursor.execute("UPDATE pacer_jobs SET cancel_requested = 1 WHERE seq = ?", (job.seq,))

    def prune(self, older_than: float, limit: int) -> int:
        """Remove jobs that ended before this time, the oldest first. Returns how many."""
        self.cursor.execute(_PRUNE, (self.queue, older_than, limit))
        return self.cursor.rowcount

    def _mirror(self, job_id: str, state: JobState) -> None:
        if self.mirror is not None:
            self.mirror.write(job_id, state)

    # -- reading -----------------------------------------------------------------------------------------------------

    def look_up(self, records: Sequence[JobRecord]) -> None:
        """A file is as near as memory."""

    def find(self, job_id: str) -> JobRecord | None:
        """The job with this id."""
        row = self.cursor.execute(_BY_ID, (self.queue, storable_text(job_id))).fetchone()
        return None if row is None else decode(row)

    def same(self, record: JobRecord) -> JobRecord | None:
        """The job that this one stands for: with its id, or with its unique key and not finished."""
        found = self.find(record.id)
        if found is None and record.unique is not None:
            row = self.cursor.execute(_BY_UNIQUE, (self.queue, record.unique)).fetchone()
            return None if row is None else decode(row)
        return found

    def is_delayed(self, job: JobRecord) -> bool:
        """Whether a waiting job may not start yet as far as it is concerned."""
        row = self.cursor.execute("SELECT due FROM pacer_jobs WHERE seq = ?", (job.seq,)).fetchone()
        return row[0] is not None

    def oldest(self, count: int) -> list[tuple[JobRecord, bool]]:
        """The jobs that have waited longest, and whether they are delayed."""
        return _with_delay(self.cursor.execute(_OLDEST, (self.queue, count)).fetchall())

    def oldest_at(self) -> float | None:
        """When the job that has waited longest was enqueued."""
        row = self.cursor.execute(f"SELECT created_at {_WAITING} ORDER BY arrival LIMIT 1", (self.queue,)).fetchone()
        return None if row is None else row[0]

    def expired(self, now: float, limit: int) -> list[tuple[JobRecord, bool]]:
        """The first waiting jobs whose time to start is over, and whether they are delayed."""
        return _with_delay(self.cursor.execute(_EXPIRED, (self.queue, now, limit)).fetchall())

    def kinds(self) -> list[tuple[str, str | None]]:
        """The tasks and homes of all that wait."""
        return self.cursor.execute(f"SELECT DISTINCT task, home {_WAITING}", (self.queue,)).fetchall()

    def of_kind(self, task: str, home: str | None, limit: int) -> list[tuple[JobRecord, bool]]:
        """Some waiting jobs of this task and home, as many as there are up to a limit; and whether they are delayed."""
        return _with_delay(self.cursor.execute(_OF_KIND, (self.queue, task, home, limit)).fetchall())

    def batch(self, batch_id: str) -> dict[JobState, int]:
        """How many jobs of the batch are in which state."""
        rows = self.cursor.execute(
            "SELECT state, count(*) FROM pacer_jobs WHERE queue = ? AND batch_id = ? GROUP BY state",
            (self.queue, storable_text(batch_id)),
        )
        return {JobState(state): count for state, count in rows}

    def waiting(self, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows of the waiting jobs behind this mark: ready ones in order, then delayed ones by time."""
        rows: list[Row] = []
        if after is None or after.shelf == 0:
            start = (-math.inf, 0) if after is None else (after.at, after.seq)
            rows = self.cursor.execute(_LISTED_READY, (self.queue, *start, count)).fetchall()
            after = None
        if len(rows) < count:
            start = (-math.inf, 0) if after is None else (after.at, after.seq)
            rows += self.cursor.execute(_LISTED_DELAYED, (self.queue, *start, count - len(rows))).fetchall()
        return rows

    def ended(self, state: JobState, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows of the jobs that ended so, the last first, before the one of this mark."""
        before = (math.inf, 0) if after is None else (after.at, after.seq)
        return self.cursor.execute(_LISTED_ENDED.format(which=_which(state)), (self.queue, *before, count)).fetchall()

    def tally(self, most: int) -> dict[JobState, int]:
        """How many jobs ended so are there, for each state, counted up to so many."""
        found = {}
        for state in JobState:
            if state.final:
                sql = _TALLY.format(which=_which(state))
                (found[state],) = self.cursor.execute(sql, (self.queue, most)).fetchone()
        return {state: count for state, count in found.items() if count}

    def minutes(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on, in order, as far as it was noted."""
        rows = self.cursor.execute(
            "SELECT tally FROM pacer_minutes WHERE queue = ? AND minute >= ? ORDER BY minute", (self.queue, since)
        )
        return [json.loads(text) for (text,) in rows]


def _which(state: JobState) -> str:
    """As SQL, so that SQLite takes the index that belongs to the state."""
    return f"= '{state.value}'" + (" AND state <> 'succeeded'" if state is not JobState.SUCCEEDED else "")


def _place(seq: int, ready_at: float, now: float) -> tuple[int | None, float | None]:
    """What is in the columns `place` and `due` of a waiting job."""
    return (None, ready_at) if ready_at > now else (seq, None)


def _with_delay(rows: Iterable[tuple[Any, ...]]) -> list[tuple[JobRecord, bool]]:
    return [(decode(row[:-1]), row[-1] is not None) for row in rows]


@attrs.frozen(eq=False)
class WorkerTable:
    """Those who have one queue open."""

    cursor: sqlite3.Cursor
    queue: int

    def tasks(self, worker: str) -> str | None:
        """What it said that it can run; None if it is not known."""
        row = self.cursor.execute(
            "SELECT tasks FROM pacer_workers WHERE queue = ? AND worker = ?", (self.queue, worker)
        ).fetchone()
        return None if row is None else row[0]

    def note(self, worker: str, until: float, tasks: str) -> None:
        """It is alive until then, if it is not heard of again."""
        self.cursor.execute(
            "INSERT OR REPLACE INTO pacer_workers (queue, worker, alive_until, tasks) VALUES (?, ?, ?, ?)",
            (self.queue, worker, until, tasks),
        )

    def remove(self, worker: str) -> None:
        """It has left."""
        self.cursor.execute("DELETE FROM pacer_workers WHERE queue = ? AND worker = ?", (self.queue, worker))

    def all(self) -> list[tuple[str, float, str]]:
        """Their names, until when they are alive, and what they can run."""
        return self.cursor.execute(
            "SELECT worker, alive_until, tasks FROM pacer_workers WHERE queue = ?", (self.queue,)
        ).fetchall()
