"""Jobs, estimates and workers for programs. The keys are stable."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pacer import Estimate, Job
from pacer.protocols import WorkerSeen


def job_data(job: Job) -> dict[str, Any]:
    """A job, without arguments and result."""
    return {
        "id": job.id,
        "task": job.task,
        "state": job.state.value,
        "position": job.position,
        "key": job.key,
        "priority": job.priority,
        "batch_id": job.batch_id,
        "cost": dict(job.cost),
        "created_at": _time(job.created_at),
        "ready_at": _time(job.ready_at),
        "expires_at": _time(job.expires_at),
        "started_at": _time(job.started_at),
        "ended_at": _time(job.ended_at),
        "worker": job.worker,
        "attempt": job.attempt,
        "throttles": job.throttles,
        "recoveries": job.recoveries,
        "progress": job.progress,
        "message": job.message,
        "error": job.error,
    }


def estimate_data(estimate: Estimate | None) -> dict[str, float] | None:
    """Seconds from now, and between which they are in 8 of 10 cases."""
    return None if estimate is None else {"seconds": estimate.seconds, "low": estimate.low, "high": estimate.high}


def worker_data(worker: WorkerSeen) -> dict[str, Any]:
    """One of those who have the queue open."""
    return {
        "name": worker.name,
        "alive_seconds": worker.alive_seconds,
        "slots": worker.slots,
        "tasks": sorted(worker.tasks),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
