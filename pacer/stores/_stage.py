"""Jobs enqueued in a transaction of others: staged in it, and taken into the queue once that is committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final, Protocol

import attrs

from pacer._admission import make_room
from pacer._errors import StoreUnavailableError
from pacer._job import ONE_REQUEST, JobRecord, JobState
from pacer._snapshot import Snapshot
from pacer.protocols import Added, Addition, JobFacts
from pacer.stores._queue import StoredQueue
from pacer.stores._rows import Encoded, Row, decode_headers, decode_retry, encode
from pacer.stores._running import seen_running
from pacer.stores._seams import View
from pacer.stores._state import decode_state

# The first fields of JobRecord: what is known of a job before a store has filled in the rest.
STAGED: Final = (
    "id, task, payload, home, key, priority, cost, delay, timeout, retry, unique_key, batch_id, expires, headers"
)
_COST, _RETRY = 6, 9
_AT_ONCE: Final = 500

LOOK_AHEAD_OF_STAGED: Final = 64
"""So many of the waiting jobs are named to the forecast of a staged one."""


# -- into the queue, on the database's thread --------------------------------------------------------------------------


@attrs.frozen
class Staged:
    """One job in the stage.

    Attributes:
        number: Its number there: smaller ones were staged earlier.
        came_at: When it was enqueued, on the queue's clock.
        record: What is known of it.
    """

    number: int
    came_at: float
    record: JobRecord


class Stage(Protocol):
    """The stage of one queue, inside a transaction of the queue's."""

    def waits(self) -> bool:
        """Whether jobs lie there whose transactions are committed."""

    def first(self, count: int) -> Sequence[Staged]:
        """The first of them, by number."""

    def remove(self, numbers: Sequence[int]) -> None:
        """These are in the queue."""

    def forget(self) -> None:
        """The transaction was rolled back: they may still lie there."""


def take_in(queue: StoredQueue, stage: Stage) -> Addition | None:
    """All that lies in the stage comes into the queue. Nobody is refused: there was room when it was enqueued.

    Returns what there is to tell of; None for nothing.
    """
    jobs, dropped = list[Added](), list[JobRecord]()
    while staged := stage.first(_AT_ONCE):
        queue.table.look_up([one.record for one in staged])
        for one in staged:
            excess = make_room(queue.rules, 1, queue.view.waiting)
            dropped += queue.drop(excess) if excess else []
            _take_in(queue, one, jobs, dropped)
        stage.remove([one.number for one in staged])
    return Addition(jobs, dropped, queue.view.snapshot()) if jobs or dropped else None


def _take_in(queue: StoredQueue, staged: Staged, jobs: list[Added], dropped: list[JobRecord]) -> None:
    """A job that stands for another by its id is that one. By its unique key, it ends at once and says so."""
    record, encoded = staged.record, encode(staged.record)
    position = queue.insert(record, encoded, staged.came_at)
    if position is not None:
        jobs.append(Added(record, position, created=True))
        return
    old = queue.table.same(record)
    if old is None or old.id == record.id:
        return
    record.unique = None
    if queue.insert(record, encoded, staged.came_at) is not None:
        delayed = queue.table.is_delayed(record)
        queue.finish(record, delayed, JobState.DROPPED, f"job {old.id} with the same unique key was there first")
        dropped.append(record)


def staged_record(row: Row) -> JobRecord:
    """The record of a row of `STAGED`."""
    record = JobRecord(*row[:-1])
    record.headers = None if row[-1] is None else decode_headers(row[-1])
    record.cost = ONE_REQUEST if row[_COST] is None else json.loads(row[_COST])
    record.retry = None if row[_RETRY] is None else decode_retry(row[_RETRY])
    return record


def staged_row(record: JobRecord, encoded: Encoded) -> Row:
    """What `staged_record` reads."""
    return (
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
        record.expires,
        encoded.headers,
    )


# -- into the stage, on the event loop ---------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Sight:
    """The queue, as somebody's transaction sees it.

    Attributes:
        state: `QueueState` as JSON.
        parts: With which strategies and settings, as JSON.
        waiting: How many jobs wait, with those that lie in the stage.
        running: The running jobs.
        front: The first ready jobs, in order, at most `LOOK_AHEAD_OF_STAGED`.
        known: The jobs that were asked for, without arguments and results.
    """

    state: str
    parts: str
    waiting: int
    running: Sequence[JobFacts]
    front: Sequence[JobFacts]
    known: Sequence[JobRecord]


class Transaction(Protocol):
    """Somebody's transaction on the database. Errors of its driver are left as they are: it is not ours."""

    async def look(self, records: Sequence[JobRecord]) -> Sight:
        """The queue as it is seen there, and what jobs with the ids or unique keys of these are in it or the stage."""

    async def insert(self, rows: Sequence[Row], came_at: float) -> Collection[str]:
        """Put rows of `STAGED` into the stage. Returns the ids of those that do not stand for a job that is there."""


class Door(Protocol):
    """Where the transactions of others come in to one queue."""

    async def enter(self, connection: Any) -> Transaction:
        """The transaction of a connection.

        Raises TypeError for what is no connection that can be used, StoreError for one that cannot be used now, or is
        in no transaction.
        """


@attrs.frozen(eq=False)
class Staging:
    """The way into one queue through the transactions of others."""

    view: View
    now: Callable[[], float]
    door: Door

    async def stage(self, connection: Any, records: Sequence[JobRecord]) -> Addition:
        """Put jobs into the stage: all, or none if the queue takes no more. The snapshot has nothing of them."""
        self.view.check_in_charge()
        rows = {record.id: staged_row(record, encode(record)) for record in records}
        transaction = await self.door.enter(connection)
        now = self.now()
        sight = await transaction.look(records)
        seen, known = self._snapshot(sight, now), _Known(sight.known)
        fresh = [record for record in records if known.same(record) is None]
        if fresh:
            self.view.rules.admit(fresh, seen.waiting, lambda: seen)
            created = await transaction.insert([rows[record.id] for record in fresh], now)
            missed = [record for record in fresh if record.id not in created]
            known.add((await transaction.look(missed)).known if missed else ())
            fresh = [record for record in fresh if record.id in created]
        return Addition(self._added(records, fresh, known, seen), [], seen)

    def _snapshot(self, sight: Sight, now: float) -> Snapshot:
        return Snapshot(
            now,
            decode_state(sight.state, sight.parts, self.view.rules),
            sight.waiting,
            seen_running(sight.running, now),
            None,
            sight.front,
        )

    def _added(
        self, records: Sequence[JobRecord], created: Sequence[JobRecord], known: _Known, seen: Snapshot
    ) -> list[Added]:
        """Each with the last place that it can have now: what its order makes of it is seen when it comes in."""
        places = {record.id: seen.waiting + number for number, record in enumerate(created, 1)}
        jobs = []
        for record in records:
            place = places.get(record.id)
            if place is not None:
                record.created_at = seen.now
                record.ready_at = seen.now + record.delay
                record.expires_at = None if record.expires is None else seen.now + record.expires
                jobs.append(Added(record, place, created=True))
                continue
            old = known.same(record)
            if old is None:
                msg = f"job {record.id!r}: another transaction with its id or unique key has just ended; try again"
                raise StoreUnavailableError(msg)
            waits = old.state is JobState.QUEUED
            jobs.append(Added(old, max(1, seen.waiting) if waits else None, created=False))
        return jobs


class _Known:
    """Jobs that exist, by what makes others stand for them."""

    def __init__(self, jobs: Sequence[JobRecord]) -> None:
        self._by_id: dict[str, JobRecord] = {}
        self._by_unique: dict[str, JobRecord] = {}
        self.add(jobs)

    def add(self, jobs: Sequence[JobRecord]) -> None:
        for job in jobs:
            self._by_id[job.id] = job
            if job.unique is not None and not job.state.final:
                self._by_unique[job.unique] = job

    def same(self, record: JobRecord) -> JobRecord | None:
        found = self._by_id.get(record.id)
        return found if found is not None or record.unique is None else self._by_unique.get(record.unique)
