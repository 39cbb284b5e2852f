"""A budget of tokens, or of anything else that is known for sure only at the end of a job."""

from __future__ import annotations

import math
from functools import cached_property

import attrs

from pacer._job import Outcome
from pacer._validation import not_negative, positive, seconds
from pacer.pacing._all_of import Combinable
from pacer.pacing._cost import not_used
from pacer.protocols import NOW, JobFacts, When


@attrs.frozen
class Budget(Combinable):
    """At most `tokens` per `per` seconds on the long run: reserved at the start of a job, settled at its end.

    A job reserves its expected cost in one dimension (`enqueue(..., cost={"tokens": 1800})`) when it starts. At its end
    the real cost counts instead, if the job has reported one (`current_job().report(cost={"tokens": 1312})`): too much
    is given back at once, too little becomes a debt that delays the jobs after it. A run that reports no cost is
    taken to have cost what was expected, however it ended: also one that was broken off (cancelled, lost in a crash),
    because its request may have arrived. Only one that had not begun costs nothing. Whatever runs at once, what is
    reserved never exceeds the budget.

    The generic cell rate algorithm in its virtual-scheduling form (ITU-T I.371), corrected afterwards. The state is one
    time, `TAT`, at which the budget would be full again. With `T = per / tokens`, an expected cost q and a real one a:

        earliest = TAT + q * T - burst * T
        at the start:  TAT = max(TAT, now) + q * T
        at the end:    TAT = TAT - (q - a) * T            if a < q
                       TAT = max(TAT, now) + (a - q) * T  if a > q

    It fills continuously, as the budgets of LLM upstreams do. A closed window of W seconds holds at most
    `W / T + burst` reserved tokens, less what was given back in it. For an upstream that counts `tokens` in a fixed
    or sliding window use half: `Budget(tokens / 2, per=per)`. With costs that take a millionth of a second or less of
    the budget, the rounding of times shows.

    Not for a number of requests, which is known at the start: `TokenBucket` is meant for it. Both at once:
    `TokenBucket(600, per=60) & Budget(100_000, per=60)`.

    State: TAT, or None before the first cost.

    Args:
        tokens: Tokens per `per` seconds, above 0.
        per: Seconds, above 0; 1 by default.
        burst: Tokens that may be reserved at once after idle time, above 0; `tokens` by default. A job that is expected
            to cost more can never start.
        dimension: The name under which jobs say what they cost; `"tokens"` by default.
        default: Expected cost of a job that does not name the dimension, 0 or more; 0 by default, which means that it
            never waits, and owes what it reports.
    """

    tokens: float = attrs.field(validator=positive)
    per: float = attrs.field(default=1.0, converter=seconds, validator=positive)
    burst: float = attrs.field(
        default=attrs.Factory(lambda self: self.tokens, takes_self=True), validator=positive, kw_only=True
    )
    dimension: str = attrs.field(default="tokens", kw_only=True)
    default: float = attrs.field(default=0.0, validator=not_negative, kw_only=True)

    starts_ahead = True

    @cached_property
    def _reason(self) -> str:
        return f"budget of {self.tokens:g} {self.dimension} per {self.per:g} s"

    @property
    def interval(self) -> float:
        """Seconds in which one token is filled up."""
        return self.per / self.tokens

    def rested(self, state: float | None, now: float) -> bool:
        """Whether the budget is full."""
        return state is None or state <= now

    def rate_limit(self, state: float | None, now: float) -> float | None:
        """`tokens / per` if the dimension is `"requests"`; 0 if one is more than the burst.

        None for any other dimension: how many jobs a second that is depends on what they cost.
        """
        if self.dimension != "requests":
            return None
        return self.tokens / self.per if self.burst >= 1 else 0.0

    def initial_state(self) -> float | None:
        """A full budget."""
        return None

    def earliest(self, state: float | None, now: float, job: JobFacts, running: int) -> When:
        """When the budget holds the job's expected cost; never if that is above `burst`."""
        cost = job.cost.get(self.dimension, self.default)
        if cost > self.burst:
            reason = f"its cost of {cost:g} {self.dimension} is above the {self.burst:g} that may be used at once"
            return When(math.inf, reason=reason)
        if state is None or cost <= 0:
            return NOW
        at = state + (cost - self.burst) * (self.per / self.tokens)
        if at <= now:
            return NOW
        return When(at, running > 0, self._reason)

    def started(self, state: float | None, now: float, job: JobFacts, running: int) -> float | None:
        """Reserve the expected cost."""
        cost = job.cost.get(self.dimension, self.default)
        if cost <= 0:
            return state
        since = now if state is None or state < now else state
        return since + cost * (self.per / self.tokens)

    def ended(self, state: float | None, now: float, job: JobFacts, outcome: Outcome, running: int) -> float | None:
        """Settle with the real cost, if it is known."""
        reserved = job.cost.get(self.dimension, self.default)
        if outcome.unused:
            return state if state is None else state - not_used(job, now, outcome, reserved * (self.per / self.tokens))
        used = None if outcome.cost is None else outcome.cost.get(self.dimension)
        if used is None or not 0 <= used < math.inf or used == reserved:
            return state
        difference = (used - reserved) * (self.per / self.tokens)
        if state is None or (used > reserved and state < now):
            state = now
        return state + difference
