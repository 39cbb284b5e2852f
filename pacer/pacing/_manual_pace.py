"""A pace that is changed by hand while the queue runs."""

from __future__ import annotations

import math
from typing import TypedDict

import attrs

from pacer._job import Outcome
from pacer._validation import positive, seconds
from pacer.pacing._all_of import Combinable
from pacer.pacing._cost import requests
from pacer.pacing._token_bucket import CATCH_UP
from pacer.protocols import NOW, JobFacts, When


class ManualPaceState(TypedDict):
    """What `ManualPace` keeps."""

    rate: float | None
    since: float | None
    cost: float


@attrs.frozen
class ManualPace(Combinable):
    """`rate` starts per `per` seconds, evenly spaced, until somebody sets another rate.

    The recipe says how fast it begins. `await scheduler.set_rate(2)` sets another rate: 0 stops the queue, None goes
    back to the recipe's. The rate that was set is in the state, which all workers share and which survives a restart.
    Jobs that wait are timed anew, both ways, because only the last start is kept:

        earliest = since + cost * per / rate

    with `since` the last start and `cost` what it cost (the job's `"requests"`, 1 by default). A start that is late by
    up to 10 ms, for a job that has been ready since, counts from when it was due: timers are late. At one rate a
    closed window of W seconds holds at most `1 + floor((W + 0.01) * rate / per)` starts of cost 1.

    Not for a limit that is known beforehand: the recipe of a `TokenBucket` can be read, compared and tested. Not for
    stopping a queue and nothing else: `Scheduler.pause` does it for every policy. Not inside `PerKey`: no rate can be
    set there.

    State: `rate`, the rate set by hand, None for the recipe's; `since` and `cost` of the last start, None and 0 before
    the first.

    Args:
        rate: Starts per `per` seconds at first, above 0.
        per: Seconds, above 0; 1 by default.
    """

    rate: float = attrs.field(validator=positive)
    per: float = attrs.field(default=1.0, converter=seconds, validator=positive)

    starts_ahead = True

    def with_rate(self, state: ManualPaceState, now: float, rate: float | None) -> ManualPaceState:
        """The state with another rate from now on.

        Args:
            state: The state so far.
            now: When it is changed. The schedule does not depend on it: the last start is what times are counted from.
            rate: Starts per `per` seconds; 0 stops the queue, None goes back to the recipe's rate.

        Raises:
            ValueError: The rate is negative or not finite.
        """
        if rate is not None and not 0 <= rate < math.inf:
            msg = f"ManualPace: rate must be a finite number, 0 or more, or None for that of the recipe, got {rate!r}"
            raise ValueError(msg)
        return {"rate": None if rate is None else float(rate), "since": state["since"], "cost": state["cost"]}

    def rate_now(self, state: ManualPaceState) -> float:
        """Starts per `per` seconds: as set by hand, or else the recipe's."""
        rate = state["rate"]
        return self.rate if rate is None else rate

    def rate_limit(self, state: ManualPaceState, now: float) -> float:
        """The rate as it is set now, in starts of cost 1 a second; 0 while it is stopped by hand."""
        return self.rate_now(state) / self.per

    def rested(self, state: ManualPaceState, now: float) -> bool:
        """Whether the rate is the recipe's."""
        return state["rate"] is None

    def initial_state(self) -> ManualPaceState:
        """The recipe's rate, and nothing has started."""
        return {"rate": None, "since": None, "cost": 0.0}

    def earliest(self, state: ManualPaceState, now: float, job: JobFacts, running: int) -> When:
        """When the last start is long enough ago at the present rate."""
        rate = self.rate_now(state)
        if rate == 0:
            return When(math.inf, on_event=True, by_hand=True, reason="stopped by hand: rate of 0")
        due = self._due(state, rate)
        if due <= now or requests(job) <= 0:
            return NOW
        by_hand = "" if state["rate"] is None else ", set by hand"
        return When(due, on_event=True, by_hand=True, reason=f"rate of {rate:g} per {self.per:g} s{by_hand}")

    def started(self, state: ManualPaceState, now: float, job: JobFacts, running: int) -> ManualPaceState:
        """The next start is counted from this one."""
        cost = requests(job)
        if cost <= 0:
            return state
        rate, since = self.rate_now(state), now
        if rate > 0 and (due := self._due(state, rate)) >= now - CATCH_UP:
            since = max(due, min(now, job.ready_at))
        return {"rate": state["rate"], "since": since, "cost": cost}

    def ended(
        self, state: ManualPaceState, now: float, job: JobFacts, outcome: Outcome, running: int
    ) -> ManualPaceState:
        """Nothing to learn: people decide. The last start costs nothing if it was not used."""
        if outcome.unused and now == job.started_at and requests(job) > 0:
            return {**state, "cost": 0.0}
        return state

    def _due(self, state: ManualPaceState, rate: float) -> float:
        since = state["since"]
        return -math.inf if since is None else since + state["cost"] * self.per / rate
