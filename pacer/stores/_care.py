"""Workers that come and go, jobs they leave behind, and jobs that are long done."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import attrs

from pacer._job import JobRecord, JobState
from pacer.stores._parts import LEFT_BEHIND
from pacer.stores._queue import AT_ONCE, Ending, StoredQueue
from pacer.stores._seams import Workers

# Finished jobs removed at a time; more would keep others from writing.
_PRUNE_AT_ONCE: Final = 500


def worker_text(tasks: frozenset[str], slots: int) -> str:
    """What a worker can run, as it is written down: how many jobs at once, and which functions."""
    return json.dumps([slots, *sorted(tasks)])


def tasks_in(text: str) -> frozenset[str]:
    """The functions."""
    return frozenset(one for one in json.loads(text) if isinstance(one, str))


def slots_in(text: str) -> int:
    """How many jobs at once; 1 if a worker of an earlier version has not said it."""
    return next((one for one in json.loads(text) if isinstance(one, int)), 1)


Roster = tuple[int, frozenset[str]]
"""Which workers there are, as a number that changes with them, and all that those alive can run."""


@attrs.define(eq=False)
class Care:
    """What has to be done now and then for one queue, by each of its workers. As with `StoredQueue`, nothing commits.

    Attributes:
        patient_until: Nobody is taken to be gone before then.
        looked_at: Of which roster the waiting jobs were last looked through for some that nobody can run.
    """

    _table: Workers
    _queue: StoredQueue
    patient_until: float = attrs.field(init=False, default=0.0)
    looked_at: Roster | None = attrs.field(init=False, default=None)

    def hello(self, tasks: frozenset[str], slots: int) -> float:
        """Note that this worker is alive, what it can run and how much at once. Returns until when that holds.

        One that is retired is not counted any more. What it runs it holds by the leases of the jobs. Guests never are.
        """
        queue, view = self._queue, self._queue.view
        until = view.now + queue.lease
        if view.guest:
            return until
        if view.retired:
            queue.known = frozenset()
            if self._table.tasks(queue.worker) is not None:
                self.goodbye(queue.worker)
            return until
        text = worker_text(tasks, slots)
        queue.known, queue.alive_until = tasks, until
        if self._table.tasks(queue.worker) != text:
            self._roster_changed()
        self._table.note(queue.worker, until, text)
        return until

    def goodbye(self, worker: str) -> None:
        """This worker is leaving, or has left."""
        if self._queue.view.guest:
            return
        self._table.remove(worker)
        self._roster_changed()

    def _roster_changed(self) -> None:
        self._queue.view.roster += 1
        self._queue.view.dirty = True

    def recover(self) -> tuple[Sequence[JobRecord], Roster | None]:
        """Apply the rules to jobs whose worker is gone, or that nobody alive can run.

        Returns the jobs changed, and what `looked_at` is once that is committed.
        """
        view = self._queue.view
        if view.retired:
            return self._retire(), None
        if view.now < self.patient_until:
            return [], None
        alive, gone = self._workers()
        known = frozenset[str]().union(*alive.values())
        changed = self._recover_running(alive, known)
        # What waits is looked through only if somebody may have left since the last time, or a job has come in that
        # the worker which brought it cannot run.
        more = False
        if gone or self.looked_at != (view.roster, known):
            waiting = self._recover_waiting(alive, known)
            changed, more = changed + waiting, len(waiting) == AT_ONCE
            for worker in gone:
                self.goodbye(worker)
        return changed, None if more else (view.roster, known)

    def _retire(self) -> list[JobRecord]:
        """Leave all to those who have taken the queue over, but for waiting jobs that only this worker could run."""
        queue = self._queue
        self.hello(frozenset(), 0)
        changed = []
        for task, home in queue.table.kinds():
            if home == queue.worker:
                for job, delayed in queue.table.of_kind(task, home, AT_ONCE):
                    queue.finish(job, delayed, JobState.STALE, LEFT_BEHIND)
                    changed.append(job)
        return changed

    def _workers(self) -> tuple[dict[str, frozenset[str]], list[str]]:
        view = self._queue.view
        rows = self._table.all()
        alive = {worker: tasks_in(tasks) for worker, until, tasks in rows if until > view.now}
        return alive, [worker for worker, _, _ in rows if worker not in alive]

    def _recover_running(self, alive: dict[str, frozenset[str]], known: frozenset[str]) -> list[JobRecord]:
        queue = self._queue
        changed = []
        for job in list(queue.view.running.values()):
            # A job of its own comes back too if this worker has not kept its lease: then it does not know of it.
            if job.lease_until > queue.view.now:
                continue
            queue.interrupt(job)
            changed.append(self._apply(job, job.task in known if job.home is None else job.home in alive))
        return changed

    def _recover_waiting(self, alive: dict[str, frozenset[str]], known: frozenset[str]) -> list[JobRecord]:
        """At most `AT_ONCE` of those that nobody can run; the others the next time."""
        changed = list[JobRecord]()
        for task, home in self._queue.table.kinds():
            if task in known if home is None else home in alive:
                continue
            for job, delayed in self._queue.table.of_kind(task, home, AT_ONCE - len(changed)):
                self._queue.view.removed(job, delayed)
                changed.append(self._apply(job, runnable=False))
        return changed

    def _apply(self, job: JobRecord, runnable: bool) -> JobRecord:
        fate = self._queue.rules.recover(job, runnable)
        job.recoveries += job.started_at is not None
        self._queue.apply(job, fate, job.recoveries)
        ended_at = None if fate.state is JobState.QUEUED else self._queue.view.now
        Ending(fate, job.cancel_requested, ended_at).apply(job)
        return job

    def prune(self, older_than: float) -> bool:
        """Remove some jobs that ended before this time. Returns whether there may be more."""
        return self._queue.table.prune(older_than, _PRUNE_AT_ONCE) == _PRUNE_AT_ONCE
