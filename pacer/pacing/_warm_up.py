"""A rate that grows from cold to full."""

from __future__ import annotations

from functools import cached_property

import attrs

from pacer._job import Outcome
from pacer._validation import one_or_more, positive, seconds
from pacer.pacing._all_of import Combinable
from pacer.pacing._cost import requests
from pacer.protocols import NOW, JobFacts, When


@attrs.frozen
class WarmUp(Combinable):
    """`rate` starts per `per` seconds when warm; slower at first and after idle time.

    For an upstream that has to warm up itself: caches, connections, instances that are added as load grows. The
    formula of Guava's `SmoothWarmingUp` (Google, 2012). Idle time stores permits, and stored permits are dear: with the
    stable interval `I = per / rate` and the cold one `C = cold_factor * I`,

        threshold = 0.5 * seconds / I
        most = threshold + 2 * seconds / (I + C)
        interval(stored) = I                                                  up to the threshold
                         = I + (stored - threshold) * (C - I) / (most - threshold)  above it

    A start of cost q (the job's `"requests"`, 1 by default) takes up to q stored permits and moves the next start by
    the area under that line, and by `I` for each one that was not stored: what a start costs delays the next one, so
    the first never waits, whatever its cost. Idle time stores `most / seconds` permits a second, up to `most`. From
    cold to warm it takes `seconds` at the highest pace. No start follows another of cost q sooner than `q * I`, so a
    closed window of W seconds holds at most `1 + floor(W / I)` starts of cost 1.

    Not for a steady trickle below the rate: the time between starts cools it down again, so that it may never be warm.
    Not for using up a rate to the last percent, for the same reason: timers are late. Use `TokenBucket` there.

    State: the time of the next start, and the stored permits; or None before the first job, when it is cold.

    Args:
        rate: Starts per `per` seconds when warm, above 0.
        per: Seconds, above 0; 1 by default.
        seconds: Time from cold to warm, above 0.
        cold_factor: How many times longer the interval is when cold, 1 or more; 3 by default.
    """

    rate: float = attrs.field(validator=positive)
    per: float = attrs.field(default=1.0, converter=seconds, validator=positive)
    seconds: float = attrs.field(converter=seconds, validator=positive, kw_only=True)
    cold_factor: float = attrs.field(default=3.0, validator=one_or_more, kw_only=True)

    @cached_property
    def interval(self) -> float:
        """Seconds between starts when warm."""
        return self.per / self.rate

    @cached_property
    def threshold(self) -> float:
        """Stored permits up to which it is warm."""
        return 0.5 * self.seconds / self.interval

    @cached_property
    def most(self) -> float:
        """Stored permits when cold."""
        return self.threshold + 2 * self.seconds / (self.interval * (1 + self.cold_factor))

    @cached_property
    def _slope(self) -> float:
        """Seconds by which the interval grows with each stored permit above the threshold."""
        return (self.cold_factor - 1) * self.interval / (self.most - self.threshold)

    @cached_property
    def _reason(self) -> str:
        return f"rate of {self.rate:g} per {self.per:g} s with a warm-up of {self.seconds:g} s"

    def rate_limit(self, state: list[float] | None, now: float) -> float:
        """Starts of cost 1 a second as warm as it is now: from `rate / per / cold_factor` when cold to `rate / per`.

        It grows as long as jobs start that fast; idle time takes it back.
        """
        _, stored = self._cooled(state, now)
        return 1.0 / (self.interval + max(0.0, stored - self.threshold) * self._slope)

    def initial_state(self) -> list[float] | None:
        """Cold."""
        return None

    def earliest(self, state: list[float] | None, now: float, job: JobFacts, running: int) -> When:
        """When the last start is paid for."""
        if state is None or state[0] <= now or requests(job) <= 0:
            return NOW
        return When(state[0], False, self._reason)

    def started(self, state: list[float] | None, now: float, job: JobFacts, running: int) -> list[float] | None:
        """Cool down for the time since the last start was paid for, then charge the next start for this one."""
        cost = requests(job)
        if cost <= 0:
            return state
        next_start, stored = self._cooled(state, now)
        taken = min(cost, stored)
        wait = self._area(stored) - self._area(stored - taken) + (cost - taken) * self.interval
        return [next_start + wait, stored - taken]

    def ended(self, state: list[float], now: float, job: JobFacts, outcome: Outcome, running: int) -> list[float]:
        """Nothing to learn: starts are what counts."""
        return state

    def _cooled(self, state: list[float] | None, now: float) -> tuple[float, float]:
        """The time of the next start, no sooner than now, and what is stored by then."""
        if state is None:
            return now, self.most
        next_start, stored = state
        if now <= next_start:
            return next_start, stored
        return now, min(self.most, stored + (now - next_start) * (self.most / self.seconds))

    def _area(self, stored: float) -> float:
        """Seconds that so many stored permits cost, all together."""
        area = stored * self.interval
        above = stored - self.threshold
        if above <= 0:
            return area
        return area + above * above * self._slope / 2
