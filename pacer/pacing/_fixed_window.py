"""A limit in windows that begin at fixed times."""

from __future__ import annotations

import math
from functools import cached_property

import attrs

from pacer._job import Outcome
from pacer._validation import finite, positive, seconds, whole
from pacer.pacing._all_of import Combinable
from pacer.pacing._cost import ROUNDING, requests
from pacer.protocols import NOW, JobFacts, When


@attrs.frozen
class FixedWindow(Combinable):
    """At most `limit` requests start in each window; windows begin at the same times as the upstream's.

    Windows begin where Unix time is a multiple of `per` seconds plus `offset`: with `per=60` at every full minute,
    with `per=86400` at midnight UTC, with `offset=-3600` at midnight of a zone one hour ahead of it. The cost of a job
    is its `"requests"`, 1 by default. Each window is used from its beginning, so this is the fastest pace for an
    upstream that counts this way, and only for that: any other window of `per` seconds may hold up to `2 * limit`.

    Clocks differ and requests travel: what starts at the end of one window may be counted in the next. A limit a
    little below the upstream's leaves room for that. `offset` moves the windows to where the upstream's begin.

    Not for an upstream that counts otherwise, or in windows that begin with your first request. Use `SlidingWindow`
    or `TokenBucket` there.

    State: the number of the last used window, and what was used of it; or None before the first job.

    Args:
        limit: Requests in a window, 1 or more.
        per: Length of a window in seconds, above 0.
        offset: Seconds from a multiple of `per` to the beginning of a window; 0 by default.
        epoch: Unix time at which the clock shows 0; 0 by default. Whoever opens a store fills it in.
    """

    limit: int = attrs.field(validator=whole(1))
    per: float = attrs.field(converter=seconds, validator=positive)
    offset: float = attrs.field(default=0.0, converter=seconds, validator=finite)
    epoch: float = attrs.field(default=0.0, converter=seconds, validator=finite, kw_only=True, repr=False)

    starts_ahead = True

    @cached_property
    def _reason(self) -> str:
        return f"limit of {self.limit} in this window of {self.per:g} s"

    def on_clock(self, epoch: float) -> FixedWindow:
        """The same windows on a clock that showed 0 at this Unix time."""
        return attrs.evolve(self, epoch=epoch)

    def rested(self, state: list[float] | None, now: float) -> bool:
        """Whether the last used window is over."""
        return state is None or self._end(state[0]) <= now

    def rate_limit(self, state: list[float] | None, now: float) -> float:
        """`limit / per`: starts of cost 1 a second over many windows."""
        return self.limit / self.per

    def initial_state(self) -> list[float] | None:
        """Nothing is used."""
        return None

    def earliest(self, state: list[float] | None, now: float, job: JobFacts, running: int) -> When:
        """Now if it fits into this window, else when the next one begins; never if its cost is above the limit."""
        cost = requests(job)
        if cost > self.limit:
            return When(float("inf"), reason=f"its cost of {cost:g} requests is above the limit of {self.limit}")
        if state is None or state[1] + cost <= self.limit + ROUNDING:
            return NOW
        at = self._end(state[0])
        return NOW if at <= now else When(at, False, self._reason)

    def started(self, state: list[float] | None, now: float, job: JobFacts, running: int) -> list[float]:
        """Charge it to the window of this moment."""
        cost = requests(job)
        if state is not None and now < self._end(state[0]):
            return [state[0], state[1] + cost]
        number = math.floor((now + self.epoch - self.offset) / self.per)
        if now >= self._end(number):
            number += 1  # at the very edge the division may be rounded to the wrong side of it
        return [number, cost]

    def ended(self, state: list[float], now: float, job: JobFacts, outcome: Outcome, running: int) -> list[float]:
        """Nothing to learn: starts are what counts. What was not used of this window is there again."""
        at = job.started_at
        if not outcome.unused or at is None or not self._end(state[0] - 1) <= at < self._end(state[0]):
            return state
        return [state[0], max(0.0, state[1] - requests(job))]

    def _end(self, number: float) -> float:
        """When the window with this number is over, on the clock; the same number whoever asks."""
        return (number + 1) * self.per + self.offset - self.epoch
