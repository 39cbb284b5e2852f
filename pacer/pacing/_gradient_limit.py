"""A limit on running jobs that follows the trend of their durations."""

from __future__ import annotations

import math
from typing import TypedDict

import attrs

from pacer._job import Outcome, OutcomeKind
from pacer._validation import begins_within, one_or_more, positive, whole
from pacer.pacing._all_of import Combinable
from pacer.protocols import NOW, JobFacts, When

SMOOTHING = 0.2
WARM_UP = 10
LEAST_GRADIENT = 0.5
DROP = 0.9
# The usual duration is taken down faster than its average would if jobs have become so much quicker.
DRIFT = 2.0
DRIFT_FACTOR = 0.95


class GradientLimitState(TypedDict):
    """What `GradientLimit` knows.

    Attributes:
        limit: How many jobs may run, with a fraction.
        usual: The long-term average duration, in seconds.
        samples: How many durations it is made of, up to the number of the warm-up.
        cut_at: The last throttle that was counted; None before the first.
    """

    limit: float
    usual: float
    samples: int
    cut_at: float | None


@attrs.frozen
class GradientLimit(Combinable):
    """Lets more jobs run while durations do not rise, fewer when they do: adaptive concurrency without a known limit.

    The second gradient algorithm of Netflix' concurrency-limits (2018). For each success of `d` seconds, with `usual`
    the exponential average of the last `window` durations (the mean of the first ten before):

        g = min(1, max(0.5, tolerance * usual / d))
        limit = 0.8 * limit + 0.2 * (g * limit + queue_size)

    kept between `minimum` and `maximum`. `usual` is lowered by 5 % when it is above `2 d`. The limit stays as it is
    while fewer than half of it are running: what is not used says nothing, so an idle queue does not grow. Other than
    in the original, which ignores them, a throttle cuts the limit by 10 %; throttles of jobs that started before the
    last cut count once. Failures teach nothing. The scheduler's `concurrency` stays the outer bound.

    Not for a rate limit: an upstream that answers as fast up to the limit and then throttles never shows a gradient,
    and the limit grows until it is throttled. Not for durations that differ for reasons of their own, such as a model
    that writes long and short answers. With g at its least the limit settles at `2 * queue_size` (8): give a smaller
    `queue_size` for an upstream that takes fewer jobs. An overload that lasts becomes usual, after `window` jobs.

    State: four numbers.

    Args:
        initial: How many jobs may run at first, 1 or more; 20 by default.
        minimum: The limit never falls below this, 1 or more; 1 by default.
        maximum: The limit never grows beyond this, 1 or more; 200 by default.
        tolerance: How much longer than usual is no sign of load, as a factor of 1 or more; 1.5 by default.
        queue_size: By how many jobs the upstream may be overfilled, above 0; 4 by default.
        window: How many jobs the usual duration is taken from, 1 or more; 600 by default.

    Raises:
        ValueError: `initial` is not between `minimum` and `maximum`, or another number is out of its range.
    """

    initial: int = attrs.field(default=20, validator=whole(1))
    minimum: int = attrs.field(default=1, validator=whole(1), kw_only=True)
    maximum: int = attrs.field(default=200, validator=whole(1), kw_only=True)
    tolerance: float = attrs.field(default=1.5, validator=one_or_more, kw_only=True)
    queue_size: float = attrs.field(default=4.0, validator=positive, kw_only=True)
    window: int = attrs.field(default=600, validator=whole(1), kw_only=True)

    def __attrs_post_init__(self) -> None:
        begins_within(self)

    def initial_state(self) -> GradientLimitState:
        """Nothing is known but `initial`."""
        return {"limit": float(self.initial), "usual": 0.0, "samples": 0, "cut_at": None}

    def earliest(self, state: GradientLimitState, now: float, job: JobFacts, running: int) -> When:
        """Now if fewer than the limit run, else when one of them ends."""
        if running < int(state["limit"]):
            return NOW
        return When(math.inf, on_event=True, reason=f"adaptive limit: {running} of {int(state['limit'])} running")

    def started(self, state: GradientLimitState, now: float, job: JobFacts, running: int) -> GradientLimitState:
        """Nothing to charge: running jobs are what counts."""
        return state

    def ended(
        self, state: GradientLimitState, now: float, job: JobFacts, outcome: Outcome, running: int
    ) -> GradientLimitState:
        """Compare the duration with the usual one; a throttle cuts."""
        started_at = job.started_at
        if started_at is None or outcome.foretold:
            return state
        if outcome.kind is OutcomeKind.THROTTLED:
            return self._cut(state, now, started_at)
        duration = now - started_at
        if outcome.kind is not OutcomeKind.SUCCEEDED or duration <= 0.0:
            return state
        return self._compared(state, duration, running + 1)

    def _compared(self, state: GradientLimitState, duration: float, running: int) -> GradientLimitState:
        limit, samples = state["limit"], min(WARM_UP, state["samples"] + 1)
        weight = 1.0 / samples if state["samples"] < WARM_UP else 2.0 / (self.window + 1)
        usual = state["usual"] + weight * (duration - state["usual"])
        if running >= limit / 2:
            gradient = min(1.0, max(LEAST_GRADIENT, self.tolerance * usual / duration))
            limit += SMOOTHING * (gradient * limit + self.queue_size - limit)
            limit = float(max(self.minimum, min(self.maximum, limit)))
        if usual > DRIFT * duration:
            usual *= DRIFT_FACTOR
        return {**state, "limit": limit, "usual": usual, "samples": samples}

    def _cut(self, state: GradientLimitState, now: float, started_at: float) -> GradientLimitState:
        cut_at = state["cut_at"]
        if cut_at is not None and started_at < cut_at <= now:
            return state
        return {**state, "limit": max(float(self.minimum), DROP * state["limit"]), "cut_at": now}
