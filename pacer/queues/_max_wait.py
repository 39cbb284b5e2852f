"""A queue that promises a wait, and refuses whom it cannot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from pacer._validation import part, positive, seconds, whole
from pacer.protocols import Admission, JobOrder
from pacer.queues._fifo import Fifo

_ROOM = Admission(accepted=True)
_UNKNOWN = Admission(accepted=False, reason="when a job would start cannot be said, as while the queue is paused")


@attrs.frozen
class MaxWait:
    """Takes in only jobs that are expected to start within so many seconds: bounded by the wait, not by slots.

    What is expected is the forecast of the newcomer's start, at the place that the order gives it; of a batch, that of
    the job that starts last. A delay that a job asks for itself does not count. When no time can be named, as while
    the queue is paused, nothing can be promised, and every job is refused. So is every job while an idle queue is held
    for longer than that. `QueueFullError.retry_after` is the time after which the wait is expected to be short enough.

    The promise is made once, and is a forecast: an outage that comes later makes it untrue. With an order other than
    `Fifo` and `FairShare`, jobs that come later may, too. Jobs that must not start late get `expires=` as well.

    It refuses at once; there is no waiting for room and no dropping of others, because either would make somebody's
    wait longer than what was promised. Each admission makes a forecast, which takes a millisecond or two while up to a
    hundred jobs wait, and about ten with a thousand.

    Not where every job has to be taken, however long it waits: that is a `BoundedQueue` as large as it has to be. Not
    before the estimator has seen jobs, unless its `initial` is about right.

    Args:
        seconds: The longest wait that is promised, above 0.
        capacity: How many jobs may wait whatever the forecast says, 1 or more: a limit for memory, 10 000 by default.
        order: Which waiting job is next; first come, first served by default.
    """

    seconds: float = attrs.field(converter=seconds, validator=positive)
    capacity: int = attrs.field(default=10_000, validator=whole(1), kw_only=True)
    order: JobOrder[Any] = attrs.field(factory=Fifo, validator=part(JobOrder, "Fifo()"), kw_only=True)

    @property
    def wait_timeout(self) -> float:
        """It refuses at once."""
        return 0.0

    def admit(self, incoming: int, waiting: int, expected_wait: Callable[[], float | None]) -> Admission:
        """Accept while there is room and the wait is short enough."""
        wait = expected_wait()
        if wait is None:
            return _UNKNOWN
        if waiting + incoming > self.capacity:
            return Admission(accepted=False, retry_after=max(0.0, wait - self.seconds))
        if wait <= self.seconds:
            return _ROOM
        reason = f"a job would start in about {wait:.0f} s, and no more than {self.seconds:g} s are promised"
        return Admission(accepted=False, retry_after=wait - self.seconds, reason=reason)
