"""The running jobs of one queue, as a worker keeps them in memory."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from pacer._job import JobRecord
from pacer._snapshot import Running
from pacer.protocols import JobFacts


def seen_running(running: Iterable[JobFacts], now: float) -> tuple[Running, ...]:
    """What snapshots say of jobs that run."""
    return tuple(Running(job, now if job.started_at is None else job.started_at) for job in running)


@attrs.define(eq=False)
class RunningJobs:
    """Those of one queue by id, and what snapshots say of them, which is made anew only when they have changed."""

    by_id: dict[str, JobRecord] = attrs.field(factory=dict)
    _seen: tuple[Running, ...] | None = attrs.field(init=False, default=None)

    def reset(self, jobs: Iterable[JobRecord]) -> None:
        """Begin with what was read."""
        self.by_id, self._seen = {job.id: job for job in jobs}, None

    def add(self, job: JobRecord) -> None:
        """A job has been started."""
        self.by_id[job.id], self._seen = job, None

    def remove(self, job: JobRecord) -> None:
        """A job runs no more."""
        del self.by_id[job.id]
        self._seen = None

    def seen(self, now: float) -> tuple[Running, ...]:
        """What snapshots say of them."""
        if self._seen is None:
            self._seen = seen_running(self.by_id.values(), now)
        return self._seen
