"""How long a newcomer would wait, and when it is worth another try for one that was refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

from pacer._errors import QueueFullError
from pacer._forecast import forecast_start
from pacer._job import JobRecord
from pacer._snapshot import Facts, Snapshot, arriving
from pacer.protocols import Admission, JobFacts

if TYPE_CHECKING:
    from pacer._rules import Rules

# Retry-After when no forecast can be made because the queue is paused, and the least that is ever said.
UNKNOWN_WAIT = 60.0
LEAST_RETRY_AFTER = 0.1


def last_start(
    rules: Rules, snapshot: Snapshot, jobs: Sequence[JobRecord], position: Callable[[float], int] | None
) -> float | None:
    """How long until the last of these jobs starts, if they come in now; delays of their own do not count.

    `position` says where a new job with this sort key would come to stand, 1-based; without it, behind all others.
    """
    state = snapshot.queue
    placed: list[tuple[float, int, Facts]] = []
    for number, job in enumerate(jobs):
        newcomer = arriving(job, snapshot.now)
        key, state = rules.place(state, newcomer)
        placed.append((key, number, newcomer))
    placed.sort(key=lambda entry: entry[:2])
    highest, _, last = placed.pop()
    before = snapshot.waiting if position is None else position(highest) - 1
    ahead = snapshot.ahead[:before]
    if placed and len(ahead) == before:
        snapshot = attrs.evolve(snapshot, ahead=[*ahead, *(newcomer for _, _, newcomer in placed)])
    return _wait(rules, snapshot, last, before + len(jobs))


def refusal(
    rules: Rules, snapshot: Snapshot, jobs: Sequence[JobFacts], admission: Admission | None = None
) -> QueueFullError:
    """The error for jobs that may not enter: it says when that is expected to be different."""
    admission = admission or Admission(accepted=False)
    excess = snapshot.waiting + len(jobs) - rules.queue.capacity
    retry_after = admission.retry_after
    if retry_after is None or excess > 0:
        room = _wait(rules, snapshot, jobs[0], max(1, excess))
        retry_after = max(retry_after or 0.0, UNKNOWN_WAIT if room is None else room)
    return QueueFullError(rules.queue.capacity, max(retry_after, LEAST_RETRY_AFTER), admission.reason)


def make_room(rules: Rules, incoming: int, waiting: int) -> int:
    """How many of the oldest jobs have to leave for some that have been let in before, and are refused no more."""
    admission = rules.guard.admission(rules.queue, lambda: rules.queue.admit(incoming, waiting, lambda: None))
    return min(admission.drop, waiting) if admission.accepted else 0


def _wait(rules: Rules, snapshot: Snapshot, job: JobFacts, position: int) -> float | None:
    estimate = forecast_start(rules, snapshot, job, position)
    return None if estimate is None else estimate.seconds
