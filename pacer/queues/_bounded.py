"""A queue with a limit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import attrs

from pacer._validation import not_negative, one_of, optional_seconds, part, whole
from pacer.protocols import Admission, JobOrder
from pacer.queues._fifo import Fifo

_ROOM, _NO_ROOM = Admission(accepted=True), Admission(accepted=False)

WhenFull = Literal["reject", "wait", "drop-oldest"]


@attrs.frozen
class BoundedQueue:
    """At most `capacity` jobs wait; running ones do not count, delayed ones and those due for a retry do.

    A job that comes back (throttled, to be retried, after a crash) always finds its place again, even above capacity.

    Not with "wait" for jobs that enqueue others into their own queue: when it is full and all slots are taken by jobs
    that wait for room, none of them ever ends. Give them a `timeout`, or the new jobs a queue of their own.

    Args:
        capacity: How many jobs may wait, 1 or more.
        when_full: "reject" raises QueueFullError at once; "wait" lets `enqueue` wait for a slot, in order of calling;
            "drop-oldest" removes the job that has waited longest (its state becomes `dropped`).
        timeout: With "wait": seconds after which QueueFullError is raised all the same; None (default) waits for ever.
        order: Which waiting job is next; first come, first served by default.
    """

    capacity: int = attrs.field(validator=whole(1))
    when_full: WhenFull = attrs.field(default="reject", validator=one_of(*get_args(WhenFull)))
    timeout: float | None = attrs.field(
        default=None,
        converter=optional_seconds,
        validator=attrs.validators.optional(not_negative),
        kw_only=True,
    )
    order: JobOrder[Any] = attrs.field(factory=Fifo, validator=part(JobOrder, "Fifo()"), kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.timeout is not None and self.when_full != "wait":
            msg = f'BoundedQueue: timeout goes with when_full="wait", not with {self.when_full!r}'
            raise ValueError(msg)

    @property
    def wait_timeout(self) -> float | None:
        """Seconds that `enqueue` waits for a slot."""
        return self.timeout if self.when_full == "wait" else 0.0

    def admit(self, incoming: int, waiting: int, expected_wait: Callable[[], float | None]) -> Admission:
        """Accept while there is room for all of them."""
        excess = waiting + incoming - self.capacity
        if excess <= 0:
            return _ROOM
        if self.when_full == "drop-oldest" and incoming <= self.capacity:
            return Admission(accepted=True, drop=min(excess, waiting))
        return _NO_ROOM
