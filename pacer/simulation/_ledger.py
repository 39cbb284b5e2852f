"""The memory store's ledger, as a simulation uses it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import attrs

from pacer._errors import ImpossibleJobError
from pacer._job import ONE_REQUEST, JobRecord, JobState, Outcome, Retry
from pacer._rules import Rules
from pacer._snapshot import Snapshot
from pacer.protocols import When
from pacer.simulation._simulated_job import SimulatedJob
from pacer.stores._memory_ledger import MemoryLedger
from pacer.stores._memory_queue import QueueData
from pacer.stores._parts import Tenure

TASK = "job"
_TASKS = frozenset({TASK})
_WORKER = "simulation"


@attrs.define(eq=False)
class VirtualLedger(MemoryLedger):
    """The same steps, without an event loop to await them on, and without a record of what has ended."""

    @classmethod
    def opened(cls, rules: Rules, now: Callable[[], float], epoch: float) -> VirtualLedger:
        """On a queue that has never run a job."""
        tenure = Tenure("simulation", rules)
        data = QueueData(rules.initial(), tenure.text)
        ledger = cls(data, rules.on_clock(epoch), tenure, _WORKER, now, lambda: epoch + now(), epoch, None, 0)
        ledger.hello(_TASKS)
        return ledger

    def check_possible(self, record: JobRecord, now: float) -> bool:
        """Whether `Scheduler.enqueue` would take a job of this cost at all."""
        if record.cost is ONE_REQUEST:
            return True
        try:
            self.rules.check_possible(record, now)
        except ImpossibleJobError:
            return False
        return True

    def enter(self, job: SimulatedJob, now: float) -> tuple[int, Sequence[SimulatedJob]]:
        """Take a new job in; its position, and the jobs that had to leave for it. Raises QueueFullError."""
        dropped = self._admit((job,), now)
        return self._insert(job, now), cast("list[SimulatedJob]", dropped)

    def start(self, now: float) -> SimulatedJob | When:
        """Start the first job that may start; or when to ask again."""
        found = self._startable(_TASKS, now)
        if isinstance(found, SimulatedJob):
            self._start(found, now)
            return found
        return cast("When", found)

    def end(self, record: JobRecord, now: float, outcome: Outcome, retry: Retry | None) -> None:
        """A run has ended."""
        data = self._data
        del data.running[record.id]
        data.state, fate, outcome = self.rules.settle(data.state, now, record, outcome, len(data.running), retry)
        self._apply(record, fate, now)

    def carry_on(self, pacing: Any, entered: int, succeeded: int, recent: tuple[float, float]) -> None:
        """Begin where a run has come to in which so many jobs came in, some succeeded, and nothing else happened."""
        successes, at = recent
        self._data.seq = entered
        self._data.state = attrs.evolve(
            self._data.state, pacing=pacing, succeeded=succeeded, recent_successes=successes, recent_at=at
        )

    def adopt(self, job: SimulatedJob, created_at: float, started_at: float | None) -> None:
        """One of the jobs that have not ended: it came in then, and has started or has not."""
        data = self._data
        job.seq = job.number + 1
        job.created_at = job.ready_at = created_at
        job.sort_key, data.state = self.rules.place(data.state, job)
        data.jobs[job.id] = job
        if started_at is None:
            data.waiting.add(job, created_at)
            return
        job.state, job.started_at, job.worker, job.fence = JobState.RUNNING, started_at, _WORKER, 1
        job.lease_until = math.inf
        data.running[job.id] = job

    def take_expired(self, now: float) -> Sequence[SimulatedJob]:
        """The jobs that have left because their time was over, since this was asked last."""
        self._take_expired(now)
        expired, self._data.expired = self._data.expired, []
        return cast("list[SimulatedJob]", expired)

    def view(self, now: float) -> Snapshot:
        """The queue as it is now."""
        return self._snapshot(now)

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._data.waiting)

    @property
    def running(self) -> int:
        """How many jobs run."""
        return len(self._data.running)
