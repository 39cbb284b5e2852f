"""Last come, first served."""

from __future__ import annotations

import math
from collections.abc import Callable

import attrs

from pacer.protocols import JobFacts


@attrs.frozen
class Lifo:
    """Last come, first served: under overload some jobs are served promptly, where `Fifo` would serve all of them late.

    Formula: `key = -t`, where t is the time at which the job came in, or the next larger float if a job came in then
    already. So no two jobs are equal, and of those that came at the same moment the last one is first too. A clock that
    goes back changes nothing.

    Not for jobs that were all promised to somebody: while jobs come faster than they run, the old ones starve, and
    the position and the estimate that a job was given at first get worse. Go with it: `expires=` on the jobs, or
    `BoundedQueue(..., "drop-oldest")`, so that what is too old to be of use leaves.

    State: t of the newest job, or None.
    """

    def initial_state(self) -> float | None:
        """No job has come in."""
        return None

    def place(self, state: float | None, job: JobFacts, expected: Callable[[], float]) -> tuple[float, float]:
        """Before all that wait."""
        at = job.created_at
        if state is not None and at <= state:
            at = math.nextafter(state, math.inf)
        return -at, at

    def started(self, state: float | None, job: JobFacts, sort_key: float) -> float | None:
        """Nothing to learn."""
        return state
