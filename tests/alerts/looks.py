"""A queue as conditions see it, made up."""

from __future__ import annotations

from typing import Any

import attrs

from pacer import JobState, Rules, Scheduler, Snapshot, Status
from pacer._views import make_status
from pacer.alerts import EndedJob, Look


def a_status(**changes: Any) -> Status:
    """Of a queue in which nothing happens."""
    rules: Rules = Scheduler()._rules()
    return attrs.evolve(make_status("q", rules, Snapshot(0.0, rules.initial(), 0, ()), True), **changes)


CALM = a_status()


def a_look(now: float, /, *, ready: float | None = None, refused: int = 0, ended: Any = (), **status: Any) -> Look:
    return Look(
        now=now,
        status=attrs.evolve(CALM, ready_seconds=ready, **status),
        refused=refused,
        retry_after=5.0 if refused else None,
        ended=ended,
    )


def an_end(
    job_id: str, at: float, state: JobState = JobState.DEAD, error: str = "interrupted by 4 crashes"
) -> EndedJob:
    return EndedJob(id=job_id, task="analyse", state=state, ended_at=at, error=error)
