"""Short jobs before long ones."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from pacer._validation import positive, seconds
from pacer.protocols import JobFacts


@attrs.frozen
class ShortestFirst:
    """The job with the shortest expected duration first, for the smallest mean wait; waiting makes up for length.

    Formula: `key = created_at + ageing * expected`, with the seconds that the estimator expected when the job came in.
    Of jobs that came in at the same time the shortest goes first, and of all orders without interruptions that one has
    the smallest sum of waits (Smith's rule, 1956). A job that is expected to take `e` seconds is overtaken by nothing
    that comes more than `ageing * e` seconds after it, so nothing starves.

    Not with an estimator that expects the same of all jobs, such as `MovingAverage`: then it is `Fifo`. Take one that
    tells them apart, `PerKind` or `ByCost`. Not if long jobs must not wait for those that came later.

    State: none.

    Args:
        ageing: Seconds of waiting that make up for one second of expected duration, above 0; 10 by default.
    """

    ageing: float = attrs.field(default=10.0, converter=seconds, validator=positive)

    def initial_state(self) -> None:
        """There is no state."""
        return

    def place(self, state: None, job: JobFacts, expected: Callable[[], float]) -> tuple[float, None]:
        """Earlier arrival and a shorter duration make the key smaller."""
        return job.created_at + self.ageing * expected(), None

    def started(self, state: None, job: JobFacts, sort_key: float) -> None:
        """Nothing to learn."""
        return
