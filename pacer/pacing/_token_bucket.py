"""A steady rate with an optional burst (GCRA)."""

from __future__ import annotations

from functools import lru_cache

import attrs

from pacer._job import Outcome
from pacer._validation import positive, seconds, whole
from pacer.pacing._all_of import Combinable
from pacer.pacing._cost import not_used, requests
from pacer.protocols import NOW, JobFacts, When

# A start that comes late because a timer or an event loop was late does not push the later ones back, as long as it is
# no later than this; a later one has waited for something else, such as a hold. At 100/s and more it is what makes the
# achieved rate equal the limit; it widens the bound below.
CATCH_UP = 0.01


@attrs.frozen
class TokenBucket(Combinable):
    """At most `rate` starts per `per` seconds on the long run, at most `burst` at one moment.

    The generic cell rate algorithm in its virtual-scheduling form (ITU-T I.371): the state is one time, the
    theoretical arrival time `TAT`, so nothing drifts and no float level can get stuck just below a token.
    With `T = per / rate` and cost q (the job's `"requests"`, 1 by default):

        earliest = TAT + q * T - burst * T
        at a start:  TAT = max(TAT, now) + q * T

    A start that is late by up to 10 ms, for a job that has been ready since, counts from TAT instead of `now`: timers
    are late. A closed window of W seconds holds at most `floor((W + 0.01) / T) + burst` starts of cost 1.

    Not for an upstream that counts in fixed windows and forbids bursts across their edge, and not for one that also
    limits tokens. With `burst` above 1 a first rush after idle time exceeds `rate` in that window, by `burst - 1`.

    State: TAT, or None before the first job.

    Args:
        rate: Starts per `per` seconds, above 0.
        per: Seconds, above 0; 1 by default.
        burst: Starts that may happen at once after idle time, 1 or more; 1 by default (no burst).
    """

    rate: float = attrs.field(validator=positive)
    per: float = attrs.field(default=1.0, converter=seconds, validator=positive)
    burst: int = attrs.field(default=1, validator=whole(1))

    starts_ahead = True

    @property
    def interval(self) -> float:
        """Seconds between starts when the rate is used up."""
        return self.per / self.rate

    def rested(self, state: float | None, now: float) -> bool:
        """Whether the bucket is full."""
        return state is None or state <= now

    def rate_limit(self, state: float | None, now: float) -> float:
        """`rate / per`, whatever the burst: starts of cost 1 a second in the long run."""
        return self.rate / self.per

    def initial_state(self) -> float | None:
        """A full bucket."""
        return None

    def earliest(self, state: float | None, now: float, job: JobFacts, running: int) -> When:
        """When the bucket holds enough for this job; never if its cost is above `burst`."""
        cost = requests(job)
        if cost > self.burst:
            reason = f"its cost of {cost:g} requests is above the burst of {self.burst}"
            return When(float("inf"), reason=reason)
        if state is None:
            return NOW
        at = state + (cost - self.burst) * self.interval
        return NOW if at <= now else When(at, reason=_reason(self.rate, self.per))

    def started(self, state: float | None, now: float, job: JobFacts, running: int) -> float:
        """Charge the job's cost."""
        since = now
        if state is not None and state >= now - CATCH_UP:
            since = max(state, min(now, job.ready_at))
        return since + requests(job) * self.interval

    def ended(self, state: float, now: float, job: JobFacts, outcome: Outcome, running: int) -> float:
        """Nothing to learn: starts are what counts. What was not used is given back."""
        return state - not_used(job, now, outcome, requests(job) * self.interval)


@lru_cache(maxsize=128)
def _reason(rate: float, per: float) -> str:
    """Formatting two numbers takes longer than all the rest of an answer."""
    return f"rate of {rate:g} per {per:g} s"
