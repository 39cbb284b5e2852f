"""A limit in every window of a length, counted at the start of jobs."""

from __future__ import annotations

from functools import cached_property

import attrs

from pacer._job import Outcome
from pacer._validation import positive, seconds, whole
from pacer.pacing._all_of import Combinable
from pacer.pacing._cost import requests
from pacer.pacing._log import Log, is_over, noted, room_at, without
from pacer.protocols import NOW, JobFacts, When


@attrs.frozen
class SlidingWindow(Combinable):
    """At most `limit` requests start in any half-open window of `per` seconds, wherever the window begins.

    The sliding log, which alone is exact: the time of each start in the window is kept, and a job starts as soon as
    enough of them are `per` seconds old. The cost of a job is its `"requests"`, 1 by default. All of the limit may
    start at one moment, and then nothing until `per` seconds later.

    The upstream counts a request when it arrives, which is some time after the job's start. Where that matters use
    `CompletionWindow`: whether starts or ends are counted is another algorithm with another guarantee, and so another
    class.

    Costs below 1 share an entry as long as they make no more than 1 together, so that the log stays small. They then
    leave the window with the last of them: later than they might, never sooner. Where most jobs cost a small fraction,
    up to one request of the limit is lost to that.

    Not for limits of many hundreds: each start writes the whole log. With one number, and up to 100 starts a second,
    `TokenBucket(limit // 2, per=per, burst=limit // 2)` keeps the same promise. Not for spreading the load: use
    `TokenBucket` or `MinInterval` with `&`.

    State: the times of the starts in the window, with a running sum of their costs: at most `2 * limit + 1` pairs,
    half of that where no job costs less than 1.

    Args:
        limit: Requests in a window, 1 or more.
        per: Length of the window in seconds, above 0.
    """

    limit: int = attrs.field(validator=whole(1))
    per: float = attrs.field(converter=seconds, validator=positive)

    starts_ahead = True

    @cached_property
    def _reason(self) -> str:
        return f"limit of {self.limit} in any {self.per:g} s"

    def rested(self, state: Log, now: float) -> bool:
        """Whether the window is empty."""
        return is_over(state, now, self.per)

    def rate_limit(self, state: Log, now: float) -> float:
        """`limit / per`: starts of cost 1 a second over many windows."""
        return self.limit / self.per

    def initial_state(self) -> Log:
        """Nothing has started."""
        return []

    def earliest(self, state: Log, now: float, job: JobFacts, running: int) -> When:
        """When enough starts have left the window; never if the job's cost is above the limit."""
        cost = requests(job)
        if cost > self.limit:
            return When(float("inf"), reason=f"its cost of {cost:g} requests is above the limit of {self.limit}")
        at = room_at(state, cost, self.limit, self.per)
        return NOW if at <= now else When(at, False, self._reason)

    def started(self, state: Log, now: float, job: JobFacts, running: int) -> Log:
        """Write down the start."""
        return noted(state, now, requests(job), self.per)

    def ended(self, state: Log, now: float, job: JobFacts, outcome: Outcome, running: int) -> Log:
        """Nothing to learn: starts are what counts. One that was not used is struck out."""
        if not outcome.unused or job.started_at is None:
            return state
        return without(state, job.started_at, requests(job), now, self.per)
