"""One queue in a database: what a ledger can do, as plain calls inside a transaction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from pacer._ends import Fate
from pacer._errors import LeaseLostError, QueueFullError
from pacer._job import BatchProgress, JobRecord, JobState, Outcome, Retry
from pacer._rules import EXPIRED, INTERRUPTED, UNUSED, Rules
from pacer._snapshot import Snapshot
from pacer.protocols import Added, Addition, Beat, Claimed, Settled, When
from pacer.stores._rows import Encoded, decode, encode, storable_text
from pacer.stores._seams import Jobs, View

_EMPTY = When(math.inf, on_event=True, reason="nothing waits")

AT_ONCE: Final = 2000
"""So many waiting jobs leave in one transaction, unless somebody asks for more: others must not have to wait for all
that may leave at the same time, nor a server to be told of it in one go."""
_TASK, _HOME, _KEY = 1, 3, 4


@attrs.frozen
class Ending:
    """What a job that was held here has become; written to the record once the transaction has been committed."""

    fate: Fate
    cancel_requested: bool
    ended_at: float | None = None
    result: Any = None

    def apply(self, record: JobRecord) -> None:
        """Make the record say so."""
        fate = self.fate
        fate.apply(record)
        record.cancel_requested, record.worker = self.cancel_requested, None
        if fate.state is JobState.QUEUED:
            record.ready_at, record.started_at = fate.ready_at, None
        else:
            record.ended_at, record.result, record.payload = self.ended_at, self.result, None


def _asked_early(when: When, now: float, ahead: float, on_event: bool) -> When:
    """When to ask again for a job that may start then: early enough to take several start times at once.

    `on_event`: of one of the jobs that have been asked about, if not of this one, the answer may become sooner.
    """
    if on_event and not when.on_event:
        when = attrs.evolve(when, on_event=True)
    if when.lane or not now + ahead < when.at < math.inf:
        return when
    return attrs.evolve(when, at=when.at - ahead / 2)


@attrs.define(eq=False)
class StoredQueue:
    """The operations, in the order in which a job meets them. None of them commits.

    An operation that refuses (QueueFullError, LeaseLostError, TakenOverError, NotEncodableError) does so before it has
    written anything. None changes the records it is given beyond what the store fills in at admission, so that it can
    be run again after a rollback.
    """

    table: Jobs
    view: View
    worker: str
    lease: float
    known: frozenset[str] = frozenset()
    """The functions that this worker can run."""
    alive_until: float = 0.0
    """Until when the others take this worker to be alive, if it is not heard of again."""
    ahead: float = 0.0
    """Seconds ahead of the clock for which start times are given out, if the pacing policy allows it."""
    overdue: bool = False
    """Whether jobs may wait that have expired: they were too many for this transaction."""

    @property
    def rules(self) -> Rules:
        """The rules, on the queue's clock."""
        return self.view.rules

    # -- in ----------------------------------------------------------------------------------------------------------

    def add(self, records: Sequence[JobRecord]) -> Addition:
        """Admit all, or none."""
        self.view.check_in_charge()
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
        self.table.look_up(records)
        fresh: dict[str, JobRecord] = {}
        uniques: set[str] = set()
        for record in records:
            if record.id not in fresh and record.unique not in uniques and self.table.same(record) is None:
                fresh[record.id] = record
                if record.unique is not None:
                    uniques.add(record.unique)
        return list(fresh.values())

    def _admit(self, fresh: Sequence[JobRecord], certain: bool) -> list[JobRecord]:
        """Ask the rules; raises QueueFullError. Returns the jobs that were dropped to make room.

        Not `certain`: the job may exist already, and then nobody has to make room for it.
        """
        try:
            drop = self.rules.admit(fresh, self.view.waiting, self.view.passing_snapshot, self.view.place_of)
        except QueueFullError:
            if not certain and self.table.same(fresh[0]) is not None:
                return []
            raise
        drop = min(drop, len(fresh) + AT_ONCE)  # more are asked for where the queue has become smaller
        return self.drop(drop) if drop and (certain or self.table.same(fresh[0]) is None) else []

    def _added(self, record: JobRecord, encoded: Encoded, new: bool) -> Added:
        old = None if new else self.table.same(record)
        if old is None:
            position = self.insert(record, encoded)
            if position is not None:
                return Added(record, position, created=True)
            old = self.table.same(record)
            assert old is not None  # noqa: S101 - it was in the way of the new one just now
        return Added(old, self._position(old), created=False)

    def drop(self, count: int) -> list[JobRecord]:
        """The jobs that waited longest leave."""
        dropped = []
        for record, delayed in self.table.oldest(count):
            self.finish(record, delayed, JobState.DROPPED, "dropped for a newer job")
            dropped.append(record)
        return dropped

    def insert(self, record: JobRecord, encoded: Encoded, came_at: float = math.inf) -> int | None:
        """Write a new job; returns its position, or None if there is one with its id or unique key.

        `came_at`: when it was enqueued, if that was before now.
        """
        view = self.view
        now = view.now
        record.created_at = created_at = min(came_at, now)
        ready_at = created_at + record.delay
        # A delay that is over is none: the table tells delayed jobs by it.
        record.ready_at = ready_at = ready_at if ready_at > now else created_at
        if record.expires is not None:
            record.expires_at = created_at + record.expires
        record.sort_key, placed = self.rules.place(view.state, record)
        sort_key = record.sort_key
        record.seq = seq = view.next_seq()
        if not self.table.insert(record, encoded, view.next_arrival()):
            view.take_back_numbers()
            return None
        view.state = placed
        if not self._runs_here(record):
            view.roster += 1
        view.added(record, ready_at)
        position = view.position(sort_key, seq, ready_at, delayed=ready_at > now)
        record.promised_low = record.promised_high = None
        if came_at >= now:  # what is promised counts from the enqueueing
            view.state = self.rules.promised(view.state, record, position, view.passing_snapshot)
        if record.promised_high is not None:
            self.table.promise(record)
        return position

    def _runs_here(self, record: JobRecord) -> bool:
        """Whether this worker can run it, and is known to be alive."""
        mine = record.task in self.known if record.home is None else record.home == self.worker
        return mine and self.alive_until > self.view.now

    # -- run ---------------------------------------------------------------------------------------------------------

    def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        """Take jobs from the front, as far as the rules let them start now, or a moment ahead."""
        self.view.check_in_charge()
        view, now = self.view, self.view.now
        if self.overdue:
            return Claimed([], When(now, reason="jobs that have expired leave first"), now)
        ahead = self.ahead if self.rules.starts_ahead else 0.0
        jobs: list[JobRecord] = []
        upcoming, on_event = _EMPTY, False
        blocked: set[str | None] = set()  # six times as fast as `set[str | None]()`
        for row in view.in_order():
            home = row[_HOME]
            if (row[_TASK] not in tasks if home is None else home != self.worker) or row[_KEY] in blocked:
                continue
            record = decode(row)
            at, when = self._next_start(record, now + ahead)
            if record.expires_at is not None and record.expires_at <= at:
                continue  # its time is over by then; one of the next transactions takes it out
            if when.at <= at:
                self._start(record, at)
                jobs.append(record)
                if len(jobs) == limit:
                    return Claimed(jobs, _EMPTY, now)
                continue
            upcoming = min(when, upcoming, key=lambda one: one.at)
            on_event = on_event or (when.on_event and not when.by_hand)
            if when.lane:
                blocked.add(record.key)
            elif not when.never:
                return Claimed(jobs, _asked_early(upcoming, now, ahead, on_event), now)
        ready_at = view.next_ready_at()
        if ready_at is not None and ready_at < upcoming.at:
            upcoming = When(ready_at, on_event=True, reason="the next job is delayed")
        return Claimed(jobs, upcoming, now)

    def _next_start(self, record: JobRecord, until: float) -> tuple[float, When]:
        """At which time the job was asked about last, and the answer: now, or ahead of the clock but not after `until`.

        Start times that are given out never go back, so that for the pacing policy, time does not.
        """
        state, running = self.view.state, len(self.view.running)
        at = state.paced(self.view.now)
        when = self.rules.next_start(state, at, record, running)
        if at < when.at <= until and not when.lane:
            at = when.at
            when = self.rules.next_start(state, at, record, running)
        return at, when

    def _start(self, record: JobRecord, at: float) -> None:
        view = self.view
        now = view.now
        record.state = JobState.RUNNING
        record.started_at = at
        record.worker = self.worker
        record.fence += 1
        record.progress, record.message = None, ""
        record.lease_until = now + self.lease
        self.table.start(record)
        view.removed(record, delayed=False)
        view.state = self.rules.start(view.state, at, record, len(view.running))
        if at > now:
            view.state = attrs.evolve(view.state, claimed_to=at)
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
            progress = {record.id: record for record in held}
            for record in mine:
                given = progress[record.id]
                record.progress, record.message = given.progress, given.message
            self.table.keep(mine, until)
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
            ending = Ending(fate, job.cancel_requested)
            self._requeue(job, fate, job.recoveries)
        else:
            result, problem = self._storable_result(outcome.result)
            if problem:
                fate = attrs.evolve(fate, error=problem)
            ending = Ending(fate, job.cancel_requested, view.now, result)
            self.table.finish(job, fate, job.recoveries, view.now, result)
        return ending, Settled(held, outcome.hold, view.state)

    def release(self, held: Iterable[JobRecord], *, begun: bool) -> list[tuple[JobRecord, Ending]]:
        """Back to where they stood; the pacing policy is told, the job's counters are not."""
        endings = []
        for record in held:
            job = self._held(record)
            if job is not None:
                self.interrupt(job, INTERRUPTED if begun else UNUSED)
                state, error = (
                    (JobState.CANCELLED, "cancelled") if job.cancel_requested else (JobState.QUEUED, job.error)
                )
                fate = Fate.of(job, state, error)
                self.apply(job, fate, job.recoveries)
                endings.append((record, Ending(fate, job.cancel_requested, self.view.now)))
        return endings

    def interrupt(self, job: JobRecord, outcome: Outcome = INTERRUPTED) -> None:
        """A run is broken off (shutdown, or the crash of its worker), or is not to begin after all."""
        view = self.view
        view.remove_running(job)
        view.state = self.rules.finish(view.state, view.now, job, outcome, len(view.running))

    # -- out ---------------------------------------------------------------------------------------------------------

    def apply(self, job: JobRecord, fate: Fate, recoveries: int) -> None:
        """Write what becomes of a job that neither waits nor runs at this moment."""
        if fate.state is JobState.QUEUED:
            self._requeue(job, fate, recoveries)
        else:
            self.table.finish(job, fate, recoveries, self.view.now, None)

    def _requeue(self, job: JobRecord, fate: Fate, recoveries: int) -> None:
        view = self.view
        self.table.requeue(job, fate, recoveries, view.now, view.next_arrival())
        view.added(job, fate.ready_at)

    def expire(self) -> list[JobRecord]:
        """Take out the waiting jobs whose time to start is over; of many, the first `AT_ONCE`."""
        jobs = []
        for job, delayed in self.table.expired(self.view.now, AT_ONCE):
            self.finish(job, delayed, JobState.EXPIRED, EXPIRED)
            jobs.append(job)
        self.overdue = len(jobs) >= AT_ONCE
        return jobs

    def finish(self, job: JobRecord, delayed: bool, state: JobState, error: str) -> None:
        """A waiting job, just read, leaves for good."""
        fate = Fate.of(job, state, error)
        self.view.removed(job, delayed)
        self.table.finish(job, fate, job.recoveries, self.view.now, None)
        Ending(fate, job.cancel_requested, self.view.now).apply(job)

    def _storable_result(self, result: Any) -> tuple[Any, str]:
        """The result, unless the codec gave what no database can hold; and why. The job has succeeded all the same."""
        if isinstance(result, str) and (result.isascii() or storable_text(result) == result):
            return result, ""
        if result is None or isinstance(result, bytes):
            return result, ""
        what = "a lone surrogate" if isinstance(result, str) else type(result).__name__
        problem = f"the codec must give str or bytes of Unicode, it gave {what}"
        self.rules.guard.note(type(result), "encode_result", problem)
        return None, f"result not kept: {problem}"

    # -- what people ask and say -------------------------------------------------------------------------------------

    def job(self, job_id: str) -> JobRecord | None:
        """The job as it is now."""
        return self.table.find(job_id)

    def position(self, job_id: str) -> int | None:
        """Its place among the waiting jobs."""
        record = self.table.find(job_id)
        return None if record is None else self._position(record)

    def _position(self, record: JobRecord) -> int | None:
        if record.state is not JobState.QUEUED:
            return None
        delayed = self.table.is_delayed(record)
        return self.view.position(record.sort_key, record.seq, record.ready_at, delayed)

    def snapshot(self, ahead: int) -> Snapshot:
        """The queue now, with the age of the oldest waiting job."""
        return self.view.named_snapshot(self.table.oldest_at(), ahead)

    def batch(self, batch_id: str) -> BatchProgress | None:
        """Counts by state."""
        counts = self.table.batch(batch_id)
        return BatchProgress(batch_id=batch_id, total=sum(counts.values()), counts=counts) if counts else None

    def cancel(self, job_id: str) -> JobState | None:
        """Cancel now if it waits, ask if it runs."""
        record = self.table.find(job_id)
        if record is None:
            return None
        found = record.state
        if found is JobState.QUEUED:
            delayed = self.table.is_delayed(record)
            self.finish(record, delayed, JobState.CANCELLED, "cancelled while waiting")
        elif found is JobState.RUNNING:
            self.table.request_cancel(record)
            self.view.running[record.id].cancel_requested = True
        return found
