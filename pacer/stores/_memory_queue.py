"""What there is of one queue in the memory of this process, whoever has it open."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from pacer._job import JobRecord, JobState
from pacer._minutes import KEPT, Tally
from pacer._snapshot import QueueState
from pacer.stores._waiting import WaitingJobs


@attrs.frozen(eq=False)
class Watcher:
    """What one of the workers wants to be told of the doings of the others; see `Ledger.watch`."""

    changed: Callable[[], None]
    ended: Callable[[str | None], None]


@attrs.frozen
class WorkerSaid:
    """What is known of one of the workers: until when it is alive, what it can run, and how much at once."""

    until: float
    tasks: frozenset[str]
    slots: int


@attrs.define(eq=False)
class QueueData:
    """All there is of one named queue."""

    state: QueueState
    parts: str
    """With which strategies and settings it is run: the `Tenure.text` of the worker that opened it last."""
    waiting: WaitingJobs = attrs.field(factory=WaitingJobs)
    running: dict[str, JobRecord] = attrs.field(factory=dict)
    jobs: dict[str, JobRecord] = attrs.field(factory=dict)
    finished: OrderedDict[str, JobRecord] = attrs.field(factory=OrderedDict)
    """In the order in which they ended. The first leaves for each that comes: a dict would search for it."""
    expired: list[JobRecord] = attrs.field(factory=list)
    """Jobs that have expired and have yet to be told of."""
    unique: dict[str, JobRecord] = attrs.field(factory=dict)
    batches: dict[str, list[JobRecord]] = attrs.field(factory=dict)
    workers: dict[str, WorkerSaid] = attrs.field(factory=dict)
    watchers: dict[str, Watcher] = attrs.field(factory=dict)
    minutes: deque[Tally] = attrs.field(factory=lambda: deque(maxlen=KEPT))
    """What happened in minutes that are over."""
    seq: int = 0
    loop: object = None
    shift: float = 0.0
    left_at: float | None = None
    left_wall: float = 0.0

    # -- jobs that come and go ---------------------------------------------------------------------------------------

    def existing(self, record: JobRecord) -> JobRecord | None:
        """The job that has the id or the unique key of this one."""
        found = self.jobs.get(record.id)
        if found is None and record.unique is not None:
            found = self.unique.get(record.unique)
        return found

    def fresh(self, records: Sequence[JobRecord]) -> list[JobRecord]:
        """Those that stand for no job of the queue, nor for one before them."""
        fresh = [record for record in records if self.existing(record) is None]
        if len(fresh) < 2:
            return fresh
        first, uniques = dict[str, JobRecord](), set[str]()
        for record in fresh:
            if record.id not in first and record.unique not in uniques:
                first[record.id] = record
                if record.unique is not None:
                    uniques.add(record.unique)
        return list(first.values())

    def enter(self, record: JobRecord) -> None:
        """A new job can be found from now on."""
        self.jobs[record.id] = record
        if record.unique is not None:
            self.unique[record.unique] = record
        if record.batch_id is not None:
            self.batches.setdefault(record.batch_id, []).append(record)

    def finish(self, record: JobRecord, now: float, result: Any, *, keep: int) -> None:
        """A job has ended, as its state says. Of those that have ended, so many are kept."""
        record.ended_at, record.result, record.worker = now, result, None
        if record.state is JobState.SUCCEEDED:  # others may be run again
            record.payload = None
        if record.unique is not None:
            self.unique.pop(record.unique, None)
        self.finished[record.id] = record
        if len(self.finished) > keep:
            _, first = self.finished.popitem(last=False)
            self._forget(first)

    def _forget(self, record: JobRecord) -> None:
        del self.jobs[record.id]
        if record.batch_id is not None:
            batch = self.batches[record.batch_id]
            batch.remove(record)
            if not batch:
                del self.batches[record.batch_id]

    def put_away(self) -> None:
        """What happened in minutes that are over goes into a place of its own, to be read by people only."""
        if self.state.past:
            self.minutes.extend(self.state.past)
            self.state = attrs.evolve(self.state, past=())

    def tell(self, worker: str, ended: JobRecord | None) -> None:
        """Tell all but this worker that the queue has changed, and that this job has ended or waits again."""
        for name, watcher in list(self.watchers.items()):
            if name != worker:
                if ended is not None:
                    watcher.ended(ended.id)
                watcher.changed()
