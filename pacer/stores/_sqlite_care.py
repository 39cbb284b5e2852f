"""Workers that come and go, jobs they leave behind, and jobs that are long done."""

# ruff: noqa: S608 - SQL is put together from constants and quoted identifiers; values are always bound

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import attrs

from pacer._job import JobRecord, JobState
from pacer.stores._sqlite_queue import Ending, SqlQueue
from pacer.stores._sqlite_rows import COLUMNS, decode

# Finished jobs removed at a time; more would keep others from writing.
_PRUNE_AT_ONCE: Final = 500


@attrs.define(eq=False)
class Care:
    """What has to be done now and then for one queue, by each of its workers. As with `SqlQueue`, nothing commits."""

    queue: SqlQueue
    _looked_at: tuple[int, frozenset[str]] | None = attrs.field(init=False, default=None)

    def hello(self, tasks: frozenset[str]) -> float:
        """Note that this worker is alive and what it can run. Returns until when that holds."""
        queue, view = self.queue, self.queue.view
        until, text = view.now + queue.lease, json.dumps(sorted(tasks))
        queue.known = tasks
        row = queue.cursor.execute(
            "SELECT tasks FROM pacer_workers WHERE queue = ? AND worker = ?", (view.queue, queue.worker)
        ).fetchone()
        if row is None or row[0] != text:
            view.roster += 1
            view.dirty = True
        queue.cursor.execute(
            "INSERT OR REPLACE INTO pacer_workers (queue, worker, alive_until, tasks) VALUES (?, ?, ?, ?)",
            (view.queue, queue.worker, until, text),
        )
        return until

    def goodbye(self) -> None:
        """This worker is leaving."""
        queue, view = self.queue, self.queue.view
        queue.cursor.execute("DELETE FROM pacer_workers WHERE queue = ? AND worker = ?", (view.queue, queue.worker))
        view.roster += 1
        view.dirty = True

    def recover(self) -> Sequence[JobRecord]:
        """Apply the rules to jobs whose worker is gone, or that nobody alive can run."""
        view = self.queue.view
        alive, gone = self._workers()
        known = frozenset[str]().union(*alive.values())
        changed = self._recover_running(alive, known)
        # What waits is looked through only if somebody may have left since the last time, or a job has come in that
        # the worker which brought it cannot run.
        if gone or self._looked_at != (view.roster, known):
            changed += self._recover_waiting(alive, known)
            for worker in gone:
                self.queue.cursor.execute(
                    "DELETE FROM pacer_workers WHERE queue = ? AND worker = ?", (view.queue, worker)
                )
                view.roster += 1
                view.dirty = True
            self._looked_at = (view.roster, known)
        return changed

    def _workers(self) -> tuple[dict[str, frozenset[str]], list[str]]:
        rows = self.queue.cursor.execute(
            "SELECT worker, alive_until, tasks FROM pacer_workers WHERE queue = ?", (self.queue.view.queue,)
        ).fetchall()
        alive = {worker: frozenset(json.loads(tasks)) for worker, until, tasks in rows if until > self.queue.view.now}
        return alive, [worker for worker, _, _ in rows if worker not in alive]

    def _recover_running(self, alive: dict[str, frozenset[str]], known: frozenset[str]) -> list[JobRecord]:
        queue, view = self.queue, self.queue.view
        changed = []
        for job in list(view.running.values()):
            if job.worker == queue.worker or job.lease_until > view.now:
                continue
            queue.interrupt(job)
            changed.append(self._apply(job, job.task in known if job.home is None else job.home in alive))
        return changed

    def _recover_waiting(self, alive: dict[str, frozenset[str]], known: frozenset[str]) -> list[JobRecord]:
        queue, view = self.queue, self.queue.view
        kinds = queue.cursor.execute(
            "SELECT DISTINCT task, home FROM pacer_jobs WHERE queue = ? AND arrival IS NOT NULL", (view.queue,)
        ).fetchall()
        changed = []
        for task, home in kinds:
            if task in known if home is None else home in alive:
                continue
            rows = queue.cursor.execute(
                f"SELECT {COLUMNS}, due FROM pacer_jobs "
                "WHERE queue = ? AND arrival IS NOT NULL AND task = ? AND home IS ?",
                (view.queue, task, home),
            ).fetchall()
            for *row, due in rows:
                job = decode(tuple(row))
                view.removed(job.seq, delayed=due is not None)
                changed.append(self._apply(job, runnable=False))
        return changed

    def _apply(self, job: JobRecord, runnable: bool) -> JobRecord:
        fate = self.queue.rules.recover(job, runnable)
        job.recoveries += job.started_at is not None
        self.queue.apply(job, fate, job.recoveries)
        ended_at = None if fate.state is JobState.QUEUED else self.queue.view.now
        Ending(fate, ended_at).apply(job)
        return job

    def prune(self, older_than: float) -> bool:
        """Remove some jobs that ended before this time. Returns whether there may be more."""
        cursor = self.queue.cursor
        cursor.execute(
            "DELETE FROM pacer_jobs WHERE seq IN "
            "(SELECT seq FROM pacer_jobs WHERE queue = ? AND ended_at < ? ORDER BY ended_at LIMIT ?)",
            (self.queue.view.queue, older_than, _PRUNE_AT_ONCE),
        )
        return cursor.rowcount == _PRUNE_AT_ONCE
