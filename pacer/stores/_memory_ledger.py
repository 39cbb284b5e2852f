"""One queue in the memory of this process: what a ledger can do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from pacer._ends import Fate
from pacer._errors import LeaseLostError, QueueFullError
from pacer._job import BatchProgress, JobRecord, JobState, Outcome, Retry
from pacer._minutes import Tally
from pacer._overview import Listed, Listing, Rerun, WorkerSeen
from pacer._reruns import enqueued_again, not_rerunnable
from pacer._rules import EXPIRED, INTERRUPTED, UNUSED, Rules
from pacer._snapshot import LOOK_AHEAD, QueueState, Snapshot
from pacer._wall import moment
from pacer.protocols import Added, Addition, Beat, Claimed, Expired, Settled, When
from pacer.stores._memory_overview import batch, history, listed, tally, workers
from pacer.stores._memory_queue import QueueData, Watcher, WorkerSaid
from pacer.stores._parts import LEFT_BEHIND, Tenure, begin_anew_where_changed, keep_what_changed
from pacer.stores._running import seen_running

_EMPTY = When(math.inf, on_event=True, reason="nothing waits")
# Seconds by which the clock on the wall and this one may part before the machine is taken to have slept, or the clock
# on the wall to have been set.
_APART = 60.0


@attrs.define(eq=False)
class MemoryLedger:
    """`MemoryStore` as one worker sees it. No method ever waits, which is what makes each of them atomic."""

    _data: QueueData
    _given: Rules
    """On the queue's clock."""
    _tenure: Tenure
    _worker: str
    now: Callable[[], float]
    _wall: Callable[[], float]
    _epoch: float
    """What the clock on the wall showed when this one's was 0."""
    _lease: float | None
    _keep_finished: int
    _first_epoch: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._first_epoch = self._epoch

    @property
    def rules(self) -> Rules:
        """On the queue's clock, with the numbers that a person has set."""
        state = self._data.state
        return self._given.tuned(state) if state.numbers else self._given  # asked several times a job

    @property
    def heartbeat(self) -> float | None:
        """A third of the lease; None without one."""
        return None if self._lease is None else self._lease / 3

    @property
    def poll(self) -> float | None:
        """Other schedulers on the same object change it unseen only when there is a lease to watch."""
        return self.heartbeat

    @property
    def risks(self) -> Sequence[str]:
        """That a process may end is no news."""
        return ()

    def watch(self, changed: Callable[[], None], ended: Callable[[str | None], None]) -> None:
        """Other schedulers on the same object are heard of at once."""
        self._data.watchers[self._worker] = Watcher(changed, ended)

    def _tell(self, ended: JobRecord | None = None) -> None:
        """The others: the queue has changed, and this job has ended or waits again."""
        if len(self._data.watchers) > 1:
            self._data.tell(self._worker, ended)

    def utc(self, at: float) -> datetime:
        """The wall clock's time when this ledger's clock showed `at`."""
        self._look_at_the_wall()
        return moment(self._epoch + at)

    def _look_at_the_wall(self) -> None:
        """An event loop's clock stands still while the machine sleeps, and does not know when the wall's was set.

        In virtual time it runs ahead, and may: the wall's is not followed back to before what it showed at first.
        """
        epoch = max(self._wall() - self.now(), self._first_epoch)
        if abs(epoch - self._epoch) > _APART:
            self._epoch, self._given = epoch, self._tenure.rules.on_clock(epoch)

    def goodbye(self) -> None:
        """It leaves."""
        self._data.workers.pop(self._worker, None)
        self._data.watchers.pop(self._worker, None)

    def hello(self, tasks: frozenset[str], slots: int = 0) -> None:
        """Note that this worker is alive and what it can run; one that is retired is not counted any more."""
        if self._tenure.guest:
            return
        if self._retired:
            self._data.workers.pop(self._worker, None)
        else:
            self._data.workers[self._worker] = WorkerSaid(self._until(), tasks, slots)

    def _until(self) -> float:
        """Until when a lease lasts that begins now."""
        return math.inf if self._lease is None else self.now() + self._lease

    # -- as long as nobody takes the queue over ----------------------------------------------------------------------

    @property
    def _retired(self) -> bool:
        if self._data.parts is self._tenure.text:
            return False
        self._tenure.look(self._data.parts)
        return self._tenure.retired

    def _check_in_charge(self) -> None:
        """Raises TakenOverError."""
        if self._retired:
            self._tenure.check_in_charge()

    def _state(self) -> QueueState:
        """The queue's state, as far as this worker's strategies understand it."""
        data = self._data
        return begin_anew_where_changed(data.state, data.parts, self.rules) if self._retired else data.state

    def _keep(self, state: QueueState) -> None:
        """This is the state now, as far as it is this worker's to say."""
        data = self._data
        data.state = keep_what_changed(state, data.state, data.parts, self.rules) if self._retired else state
        data.put_away()

    # -- in the order in which a job meets them ----------------------------------------------------------------------

    async def add(self, records: Sequence[JobRecord]) -> Addition:
        """Admit all, or none."""
        self._check_in_charge()
        now = self._look()
        fresh = self._data.fresh(records)
        dropped = self._admit(fresh, now) if fresh else []
        new = {id(record) for record in fresh}
        jobs = [self._added(record, id(record) in new, now) for record in records]
        return Addition(jobs, dropped, self._snapshot(now))

    def _added(self, record: JobRecord, new: bool, now: float) -> Added:
        """One after the other, so that each position is that at the moment at which the job came in."""
        old = None if new else self._data.existing(record)
        if old is None:
            return Added(record, self._insert(record, now), created=True)
        return Added(old, self._position(old, now), created=False)

    def _admit(self, fresh: Sequence[JobRecord], now: float) -> list[JobRecord]:
        """Ask the rules; raises QueueFullError. Returns the jobs that were dropped to make room."""
        return self._drop(self._room_for(fresh, now), now)

    def _room_for(self, fresh: Sequence[JobRecord], now: float) -> int:
        """How many of the oldest have to leave for them. Raises QueueFullError."""
        waiting = self._data.waiting
        return self.rules.admit(
            fresh, len(waiting), lambda: self._snapshot(now), lambda key: waiting.place_of(key, now)
        )

    def _drop(self, count: int, now: float) -> list[JobRecord]:
        dropped = self._data.waiting.oldest(count) if count else []
        for record in dropped:
            self._leave(record, JobState.DROPPED, now, "dropped for a newer job")
        return dropped

    def _insert(self, record: JobRecord, now: float) -> int:
        data = self._data
        data.seq += 1
        record.seq = data.seq
        record.created_at = now
        record.ready_at = now + record.delay
        if record.expires is not None:
            record.expires_at = now + record.expires
        rules = self.rules
        record.sort_key, data.state = rules.place(data.state, record)
        data.enter(record)
        position = data.waiting.add(record, now)
        data.state = rules.promised(data.state, record, position, lambda: self._snapshot(now))
        self._tell()
        return position

    async def claim(self, tasks: frozenset[str], limit: int) -> Claimed:
        """Take jobs from the front, as far as the rules let them start now."""
        self._check_in_charge()
        self._look_at_the_wall()
        now = self._look()
        jobs: list[JobRecord] = []
        upcoming, before = _EMPTY, len(self._data.waiting)
        while len(jobs) < limit:
            found = self._startable(tasks, now)
            if isinstance(found, When):
                upcoming = found
                break
            self._start(found, now)
            jobs.append(found)
        queue = self.rules.queue
        if queue.wait_timeout != 0 and len(self._data.waiting) < queue.capacity <= before:
            self._tell()  # there is room now that others may be waiting for
        return Claimed(jobs, upcoming, now)

    def _startable(self, tasks: frozenset[str], now: float) -> JobRecord | When:
        """The first job that may start now, or when to ask again. A blocked lane does not block the others."""
        data, running = self._data, len(self._data.running)
        upcoming = _EMPTY
        blocked: set[str | None] = set()  # six times as fast as `set[str | None]()`
        for record in data.waiting.ready(now):
            mine = record.task in tasks if record.home is None else record.home == self._worker
            if not mine or record.key in blocked or (record.expires_at is not None and record.expires_at <= now):
                continue
            when = self.rules.next_start(data.state, now, record, running)
            if when.at <= now:
                return record
            upcoming = min(when, upcoming, key=lambda one: one.at)
            if when.lane:
                blocked.add(record.key)
            elif not when.never:
                return upcoming
        ready_at = data.waiting.next_ready_at()
        if ready_at is not None and ready_at < upcoming.at:
            return When(ready_at, on_event=True, reason="the next job is delayed")
        return upcoming

    def _start(self, record: JobRecord, now: float) -> None:
        data = self._data
        data.waiting.remove(record)
        record.state = JobState.RUNNING
        record.started_at = now
        record.worker = self._worker
        record.fence += 1
        record.progress, record.message = None, ""
        record.lease_until = math.inf if self._lease is None else now + self._lease
        data.state = self.rules.start(data.state, now, record, len(data.running))
        data.running[record.id] = record
        data.put_away()

    async def beat(self, held: Sequence[JobRecord]) -> Beat:
        """Extend the leases."""
        said = self._data.workers.get(self._worker)
        if said is not None:
            self.hello(said.tasks, said.slots)
        mine, until = [record for record in held if self._holds(record)], self._until()
        for record in mine:
            record.lease_until = until
        return Beat(
            lost=frozenset(record.id for record in held) - {record.id for record in mine},
            cancel=frozenset(record.id for record in mine if record.cancel_requested),
        )

    def _holds(self, record: JobRecord) -> bool:
        return self._data.running.get(record.id) is record and record.worker == self._worker

    async def settle(self, held: JobRecord, outcome: Outcome, retry: Retry | None) -> Settled:
        """Apply what the rules say."""
        if not self._holds(held):
            raise LeaseLostError(held.id)
        data, now = self._data, self.now()
        del data.running[held.id]
        state, fate, outcome = self.rules.settle(self._state(), now, held, outcome, len(data.running), retry)
        self._keep(state)
        self._apply(held, fate, now, outcome.result)
        return Settled(held, outcome.hold, state)

    def _apply(self, record: JobRecord, fate: Fate, now: float, result: Any = None) -> None:
        """Of a job that neither waits nor runs at this moment."""
        fate.apply(record)
        if fate.state is JobState.QUEUED:
            record.ready_at = fate.ready_at
            record.worker = record.started_at = None
            self._data.waiting.add(record, now)
        else:
            self._data.finish(record, now, result, keep=self._keep_finished)
        self._tell(record)

    async def release(self, held: Sequence[JobRecord], *, begun: bool = True) -> None:
        """Back to where they stood; the pacing policy is told, the job's counters are not."""
        now = self.now()
        for record in held:
            if self._holds(record):
                self._interrupt(record, now, INTERRUPTED if begun else UNUSED)
                cancelled = record.cancel_requested
                state, error = (JobState.CANCELLED, "cancelled") if cancelled else (JobState.QUEUED, record.error)
                self._apply(record, Fate.of(record, state, error), now)

    def _interrupt(self, record: JobRecord, now: float, outcome: Outcome = INTERRUPTED) -> None:
        data = self._data
        del data.running[record.id]
        self._keep(self.rules.finish(self._state(), now, record, outcome, len(data.running)))

    async def recover(self, tasks: frozenset[str], slots: int = 1) -> Sequence[JobRecord]:
        """Apply the rules to jobs whose worker is gone, or that nobody alive can run."""
        self.hello(tasks, slots)
        data, now = self._data, self._look()
        if self._retired:
            return self._leave_behind(now)
        alive = {name: one.tasks for name, one in data.workers.items() if one.until > now}
        known = frozenset[str]().union(*alive.values())
        changed = []
        for record in [*data.running.values(), *data.waiting]:
            runnable = record.task in known if record.home is None else record.home in alive
            if record.state is JobState.RUNNING:
                if record.worker == self._worker or record.lease_until > now:
                    continue
                self._interrupt(record, now)
            elif runnable:
                continue
            else:
                data.waiting.remove(record)
            fate = self.rules.recover(record, runnable)
            record.recoveries += record.started_at is not None
            self._apply(record, fate, now)
            changed.append(record)
        return changed

    def _leave_behind(self, now: float) -> list[JobRecord]:
        """Others see to the rest; but the waiting jobs that only this worker could run will not be run any more."""
        mine = [record for record in self._data.waiting if record.home == self._worker]
        for record in mine:
            self._leave(record, JobState.STALE, now, LEFT_BEHIND)
        return mine

    async def expire(self) -> Expired:
        """Take out the waiting jobs whose time to start is over."""
        data = self._data
        self._look()
        expired, data.expired = data.expired, []
        return Expired(expired, data.waiting.next_expiry())

    def _look(self) -> float:
        """What time it is; jobs whose time is over leave before anybody can see them wait."""
        now = self.now()
        self._take_expired(now)
        return now

    def _take_expired(self, now: float) -> None:
        for record in self._data.waiting.expired(now):
            self._leave(record, JobState.EXPIRED, now, EXPIRED)
            self._data.expired.append(record.copy())

    def _leave(self, record: JobRecord, state: JobState, now: float, error: str) -> None:
        """A waiting job leaves for good."""
        self._data.waiting.remove(record)
        self._apply(record, Fate.of(record, state, error), now)

    async def job(self, job_id: str) -> JobRecord | None:
        """The job as it is now; do not change it."""
        self._look()
        return self._data.jobs.get(job_id)

    async def position(self, job_id: str) -> int | None:
        """Its place among the waiting jobs."""
        now = self._look()
        record = self._data.jobs.get(job_id)
        return None if record is None else self._position(record, now)

    def _position(self, record: JobRecord, now: float) -> int | None:
        return self._data.waiting.position(record, now) if record.state is JobState.QUEUED else None

    async def snapshot(self, ahead: int = LOOK_AHEAD) -> Snapshot:
        """The queue as it is now; it always names all of LOOK_AHEAD, which costs nothing here."""
        now = self._look()
        oldest = self._data.waiting.oldest(1)
        return self._snapshot(now, oldest[0].created_at if oldest else None)

    def _snapshot(self, now: float, oldest_at: float | None = None) -> Snapshot:
        data = self._data
        running = seen_running(data.running.values(), now)
        return Snapshot(now, self._state(), len(data.waiting), running, oldest_at, data.waiting.front(LOOK_AHEAD))

    async def batch(self, batch_id: str) -> BatchProgress | None:
        """Counts by state."""
        self._look()
        return batch(self._data, batch_id)

    async def listed(self, listing: Listing) -> Listed:
        """Some of the jobs in one state; all of them are looked at, which is quick here."""
        return listed(self._data, listing, self._look())

    async def tally(self, most: int) -> Mapping[JobState, int]:
        """How many ended jobs there are in each state."""
        self._look()
        return tally(self._data, most)

    async def history(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on."""
        return history(self._data, since)

    async def workers(self) -> Sequence[WorkerSeen]:
        """Those who have it open."""
        return workers(self._data, self.now())

    async def cancel(self, job_id: str) -> JobState | None:
        """Cancel now if it waits, ask if it runs."""
        now = self._look()
        record = self._data.jobs.get(job_id)
        if record is None:
            return None
        found = record.state
        if found is JobState.QUEUED:
            self._leave(record, JobState.CANCELLED, now, "cancelled while waiting")
        elif found is JobState.RUNNING:
            record.cancel_requested = True
        return found

    async def set_paused(self, paused: bool) -> None:
        """Effective for all workers at once."""
        self._data.state = attrs.evolve(self._data.state, paused=paused)
        self._tell()

    async def end_hold(self) -> bool:
        """Effective for all workers at once."""
        was = self._state()
        state = self.rules.end_hold(was, self.now())
        if state is was:
            return False
        self._keep(state)
        self._tell()
        return True

    async def set_rate(self, rate: float | None) -> None:
        """Effective for all workers at once."""
        self._check_in_charge()
        self._data.state = self.rules.set_rate(self._data.state, self._look(), rate)
        self._tell()

    async def set_numbers(self, numbers: Mapping[str, float | None]) -> None:
        """Effective for all workers at once."""
        self._check_in_charge()
        self._data.state = self.rules.set_numbers(self._data.state, numbers)
        self._tell()

    async def rerun(self, job_ids: Sequence[str]) -> Rerun:
        """Back into the queue, as long as there is room."""
        self._check_in_charge()
        data, now = self._data, self._look()
        jobs, dropped, refused = list[JobRecord](), list[JobRecord](), dict[str, str]()
        for job_id in job_ids:
            record = data.jobs.get(job_id)
            taken = None if record is None or record.unique is None else data.unique.get(record.unique)
            refusal = not_rerunnable(record, None if taken is None else taken.id)
            if refusal or record is None:
                refused[job_id] = refusal
                continue
            try:
                drop = self._room_for([record], now)
            except QueueFullError as full:
                return Rerun(jobs, refused, dropped, full)
            self._come_back(record, now)  # first, or it might be forgotten for those that leave
            jobs.append(record)
            dropped += self._drop(drop, now)
        return Rerun(jobs, refused, dropped)

    def _come_back(self, record: JobRecord, now: float) -> None:
        data = self._data
        del data.finished[record.id]
        enqueued_again(record, now)
        if record.unique is not None:
            data.unique[record.unique] = record
        data.waiting.add(record, now)
        self._tell(record)

    async def tick(self, name: str, was: float | None, at: float, records: Sequence[JobRecord]) -> Addition | None:
        """Add them for this time, unless that has been done."""
        self._check_in_charge()
        data = self._data
        if data.state.ticks.get(name) != was:
            return None
        addition = await self.add(records) if records else Addition([], [], self._snapshot(self._look()))
        data.state = attrs.evolve(data.state, ticks={**data.state.ticks, name: at})
        return addition
