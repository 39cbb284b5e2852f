"""A rate that is found by trying."""

from __future__ import annotations

import math
from typing import TypedDict

import attrs

from pacer._job import Outcome, OutcomeKind
from pacer._validation import begins_within, positive
from pacer.pacing._all_of import Combinable
from pacer.pacing._cost import requests
from pacer.pacing._token_bucket import CATCH_UP
from pacer.protocols import NOW, JobFacts, When

# Chosen by simulation, see benchmarks/test_adaptive.py: less dip or a shorter cycle is throttled more often, a lower
# power or a longer cycle needs longer to find a limit that was raised.
DIP = 0.02
POWER = 4
CYCLE_REQUESTS = 150.0
CYCLE_SECONDS = 12.0
DOUBLING_REQUESTS = 20.0
FIRST_WAIT = 0.5
_MOST_DOUBLINGS = 60.0
_MOST_CYCLES = 100.0


class AdaptiveRateState(TypedDict):
    """What `AdaptiveRate` knows. Amounts are requests; times are on the store's clock.

    Attributes:
        next_at: When the next job may start; None before the first.
        paced: The last start was held back by the pace, or nearly: the rate is in use.
        rate: Starts a second.
        aim: The limit as estimated at the last cut; `initial` before it.
        used: Succeeded since that cut while the rate was in use.
        accepted: Answered, not throttled, since `since`.
        since: The first throttle of the last row of throttles, or the first start.
        cut_at: The last throttle that was counted; None before the first.
        refused: Nothing that started after `since` has succeeded yet.
        gap: Seconds from the first throttle of the last row that ended to the start of the success that ended it.
    """

    next_at: float | None
    paced: bool
    rate: float
    aim: float
    used: float
    accepted: float
    since: float
    cut_at: float | None
    refused: bool
    gap: float


@attrs.frozen
class AdaptiveRate(Combinable):
    """Finds the rate at which the upstream does not throttle, and follows it when it changes.

    Starts are spaced by `1 / rate`. The rate is cut by a throttle and grows while it is used, as in the AIMD family
    (Chiu and Jain, 1989), but neither part is the textbook's. The cut goes to an estimate of the limit instead of a
    fixed fraction, and so takes 51 % at most. The growth is flat up to that estimate and steep beyond it, which is the
    idea of CUBIC (RFC 9438), counted here in requests and not in seconds:

        at a throttle:  m = (accepted since the throttle before + 1) / seconds since; at the first, m = rate
                        aim = (min(m, rate) + rate) / 2,  rate = 0.98 * aim
        after it:       rate = aim * (0.98 + 0.02 * (n / max(150, 12 * aim)) ** 4)
        before any:     rate = initial * 2 ** (n / 20)

    n counts the requests that succeeded since, while the rate was in use: a start that was late by more than an
    interval shows that something else is the limit, so an idle queue does not grow. `m` is the limit itself if a
    burst was used up at both throttles, and below it if there is no burst, where the rate at the throttle is right.

    Throttles of jobs that started before the last one was known teach nothing. In a row of throttles without a
    success the rate is cut once, and the wait doubles: the first is half of what the last row took, each of the
    others as long as the row has taken so far; at least `1 / rate` and at most `1 / minimum`. A Retry-After stands
    for the first, and the rules wait for it.

    In steady state about one request in 150 is throttled, fewer above 12 a second; of a limit without bursts 97 % are
    used, of others 99 %. A limit that was doubled is found after about 500 requests, and within a minute from 10 a
    second on; a halved one within half a minute. `benchmarks/test_adaptive.py` has the figures.

    Not for a limit that is known (`TokenBucket`, `SlidingWindow`) or told in headers (`ServerGuided`). Not for
    concurrency: a slow upstream that never throttles is hit at `maximum`. It needs hundreds of requests to learn, so
    at one a second it takes minutes to find that a limit was raised: to find it in one minute, a throttle a minute
    would have to be risked, which is more than one request in 100.

    State: ten numbers.

    Args:
        initial: Requests a second before anything is known, above 0.
        minimum: The rate is never cut below this, above 0; 0.01 a second by default.
        maximum: The rate never grows beyond this; 10 000 a second by default.

    Raises:
        ValueError: `initial` is not between `minimum` and `maximum`.
    """

    initial: float = attrs.field(validator=positive)
    minimum: float = attrs.field(default=0.01, validator=positive, kw_only=True)
    maximum: float = attrs.field(default=10_000.0, validator=positive, kw_only=True)

    slows_on_throttle = True

    def __attrs_post_init__(self) -> None:
        begins_within(self)

    def rate_limit(self, state: AdaptiveRateState, now: float) -> float:
        """The rate as found so far, in starts of cost 1 a second."""
        return state["rate"]

    def initial_state(self) -> AdaptiveRateState:
        """Nothing is known but `initial`."""
        return {
            "next_at": None,
            "paced": False,
            "rate": self.initial,
            "aim": self.initial,
            "used": 0.0,
            "accepted": 0.0,
            "since": 0.0,
            "cut_at": None,
            "refused": False,
            "gap": 0.0,
        }

    def earliest(self, state: AdaptiveRateState, now: float, job: JobFacts, running: int) -> When:
        """When the interval since the last start is over."""
        at = state["next_at"]
        if at is None or at <= now:
            return NOW
        return When(at, reason=f"adaptive rate of {state['rate']:.3g} per s")

    def started(self, state: AdaptiveRateState, now: float, job: JobFacts, running: int) -> AdaptiveRateState:
        """The job's cost is paid by the next one's wait."""
        at = state["next_at"]
        interval = 1.0 / state["rate"]
        if at is None:
            return {**state, "next_at": now + requests(job) * interval, "since": now}
        since = now
        if at >= now - CATCH_UP:
            since = max(at, min(now, job.ready_at))
        next_at = since + requests(job) * interval
        return {**state, "next_at": next_at, "paced": now <= at + interval}

    def ended(
        self, state: AdaptiveRateState, now: float, job: JobFacts, outcome: Outcome, running: int
    ) -> AdaptiveRateState:
        """A success lets the rate grow if it is in use; a throttle cuts it."""
        started_at = job.started_at
        if started_at is None or outcome.foretold or outcome.kind is OutcomeKind.IGNORED:
            return state
        if outcome.kind is OutcomeKind.THROTTLED:
            return self._cut(state, now, started_at, told=outcome.retry_after is not None)
        cost = requests(job)
        accepted = state["accepted"] + cost
        if outcome.kind is OutcomeKind.FAILED:
            return {**state, "accepted": accepted}
        refused, gap = state["refused"], state["gap"]
        if refused and started_at >= state["since"]:
            refused, gap = False, started_at - state["since"]
        cut_at = state["cut_at"]
        if not state["paced"] or (cut_at is not None and started_at < cut_at <= now):
            return {**state, "accepted": accepted, "refused": refused, "gap": gap}
        used = state["used"] + cost
        rate = self._grown(state["aim"], used, first=cut_at is None)
        return {**state, "accepted": accepted, "refused": refused, "gap": gap, "used": used, "rate": rate}

    def _grown(self, aim: float, used: float, *, first: bool) -> float:
        if first:
            doublings = min(_MOST_DOUBLINGS, used / DOUBLING_REQUESTS)
            return min(self.maximum, aim * math.exp2(doublings))
        cycles = min(_MOST_CYCLES, used / max(CYCLE_REQUESTS, CYCLE_SECONDS * aim))
        growth: float = cycles**POWER
        return max(self.minimum, min(self.maximum, aim * (1.0 - DIP + DIP * growth)))

    def _cut(self, state: AdaptiveRateState, now: float, started_at: float, *, told: bool) -> AdaptiveRateState:
        cut_at, rate, since = state["cut_at"], state["rate"], state["since"]
        if cut_at is not None and started_at < cut_at <= now:
            return state
        if state["refused"]:
            return {**state, "next_at": now + self._wait(rate, now - since), "cut_at": now}
        measured = rate
        if cut_at is not None and now > since:
            measured = min(rate, (state["accepted"] + 1.0) / (now - since))
        aim = (measured + rate) / 2
        rate = max(self.minimum, (1.0 - DIP) * aim)
        return {
            "next_at": now + self._wait(rate, 0.0 if told else FIRST_WAIT * state["gap"]),
            "paced": False,
            "rate": rate,
            "aim": max(self.minimum, aim),
            "used": 0.0,
            "accepted": 0.0,
            "since": now,
            "cut_at": now,
            "refused": True,
            "gap": state["gap"],
        }

    def _wait(self, rate: float, without_success: float) -> float:
        return min(1.0 / self.minimum, max(1.0 / rate, without_success))
