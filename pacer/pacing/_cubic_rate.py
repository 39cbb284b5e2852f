"""The rate control of the AWS clients' adaptive retry mode."""

from __future__ import annotations

import math
from typing import TypedDict

import attrs

from pacer._job import Outcome, OutcomeKind
from pacer._validation import positive
from pacer.pacing._all_of import Combinable
from pacer.pacing._cost import requests
from pacer.protocols import NOW, JobFacts, When

SCALE = 0.4
BETA = 0.7
BIN_SECONDS = 0.5
SMOOTHING = 0.8
MOST_OF_MEASURED = 2.0
FIRST_RATE = 1.0


class CubicRateState(TypedDict):
    """What `CubicRate` knows. Amounts are requests; times are on the store's clock.

    Attributes:
        empty_at: When the bucket held nothing, at its current rate: it holds `(now - empty_at) * rate`. None before
            the first job.
        rate: What flows into it, a second.
        limited: There has been a throttle, so starts take from the bucket.
        top: The rate at the last throttle (`w_max`).
        since: The last throttle that was counted, or the first start.
        bin: Where the current bin of the measurement begins.
        count: Answers since then.
        measured: The smoothed rate of answers.
    """

    empty_at: float | None
    rate: float
    limited: bool
    top: float
    since: float
    bin: float
    count: float
    measured: float


@attrs.frozen
class CubicRate(Combinable):
    """Unlimited until the first throttle; then a token bucket whose rate follows a cubic curve, as CUBIC does in TCP.

    The algorithm of the adaptive retry mode of the AWS clients (botocore), with its constants. With `t` seconds since
    the last throttle, `top` the rate at it and `measured` the rate of answers, in bins of 0.5 s, smoothed by 0.8:

        at a throttle:  top = min(measured, rate), or `measured` at the first;  rate = 0.7 * top
        at a success:   rate = 0.4 * (t - K) ** 3 + top,  K = (top * 0.3 / 0.4) ** (1/3)
        always:         minimum <= rate <= 2 * measured;  the bucket holds max(1, rate)

    One thing differs: of the throttles of jobs that were started before the last one was known, only one counts;
    there each multiplies the rate by 0.7. A failure counts as an answer, as it does there.

    Not for few throttles, nor for the last tenth of a limit: the curve is back at `top` after K seconds (0.9 s at 1/s,
    2 s at 10/s, 4.2 s at 100/s) and is throttled there again. In front of a limit without bursts that is a third of
    the requests at 1/s, a twentieth at 10/s, one in 500 at 100/s, and a tenth to a third of the limit goes unused.
    `AdaptiveRate` does better on all of these. Worst is an upstream that counts in long windows and names no time:
    this policy goes on asking at its rate, where those clients also wait before each retry. Not for limits below 0.5 a
    second, unless `minimum` is.
    After idle time a second's worth of jobs starts at once, and the rate is low at first, as the measured one is.

    State: eight numbers.

    Args:
        minimum: The rate never falls below this, in requests a second, above 0; 0.5 by default.
    """

    minimum: float = attrs.field(default=0.5, validator=positive, kw_only=True)

    slows_on_throttle = True

    def rate_limit(self, state: CubicRateState, now: float) -> float | None:
        """The rate as it is now, in starts of cost 1 a second; None before the first throttle: nothing is limited."""
        return state["rate"] if state["limited"] else None

    def initial_state(self) -> CubicRateState:
        """Nothing is limited yet."""
        return {
            "empty_at": None,
            "rate": FIRST_RATE,
            "limited": False,
            "top": 0.0,
            "since": 0.0,
            "bin": 0.0,
            "count": 0.0,
            "measured": 0.0,
        }

    def earliest(self, state: CubicRateState, now: float, job: JobFacts, running: int) -> When:
        """When the bucket holds the job's cost, or is full."""
        empty_at, rate = state["empty_at"], state["rate"]
        if not state["limited"] or empty_at is None:
            return NOW
        at = empty_at + min(requests(job), _capacity(rate)) / rate
        return NOW if at <= now else When(at, reason=f"cubic rate of {rate:.3g} per s")

    def started(self, state: CubicRateState, now: float, job: JobFacts, running: int) -> CubicRateState:
        """Take the job's cost from the bucket."""
        empty_at, rate = state["empty_at"], state["rate"]
        if empty_at is None:
            return {**state, "empty_at": now, "since": now, "bin": float(math.floor(now))}
        if not state["limited"]:
            return state
        full = now - _capacity(rate) / rate
        return {**state, "empty_at": max(empty_at, full) + requests(job) / rate}

    def ended(self, state: CubicRateState, now: float, job: JobFacts, outcome: Outcome, running: int) -> CubicRateState:
        """Measure, and follow the curve."""
        started_at = job.started_at
        if started_at is None or outcome.foretold or outcome.kind is OutcomeKind.IGNORED:
            return state
        begin, count, measured = state["bin"], state["count"] + requests(job), state["measured"]
        bin_now = math.floor(now / BIN_SECONDS) * BIN_SECONDS
        if bin_now > begin:
            measured = SMOOTHING * count / (bin_now - begin) + (1.0 - SMOOTHING) * measured
            begin, count = bin_now, 0.0
        top, since, limited = state["top"], state["since"], state["limited"]
        if outcome.kind is not OutcomeKind.THROTTLED:
            rate = cubic(top, max(0.0, now - since))
        elif limited and started_at < since <= now:
            rate = state["rate"]
        else:
            top = min(measured, state["rate"]) if limited else measured
            rate, since, limited = BETA * top, now, True
        rate = max(self.minimum, min(rate, MOST_OF_MEASURED * measured))
        return {
            "empty_at": _refilled(state, now, rate),
            "rate": rate,
            "limited": limited,
            "top": top,
            "since": since,
            "bin": begin,
            "count": count,
            "measured": measured,
        }


def cubic(top: float, seconds: float) -> float:
    """The rate `seconds` after a throttle at the rate `top`."""
    zero_point: float = (top * (1.0 - BETA) / SCALE) ** (1 / 3)
    return SCALE * (seconds - zero_point) ** 3 + top


def _capacity(rate: float) -> float:
    return max(1.0, rate)


def _refilled(state: CubicRateState, now: float, rate: float) -> float:
    """When the bucket would have been empty, had it always had this rate, to hold now what it does hold."""
    before = state["rate"]
    empty_at = now if state["empty_at"] is None else state["empty_at"]
    level = min((now - empty_at) * before, _capacity(before), _capacity(rate))
    return now - level / rate
