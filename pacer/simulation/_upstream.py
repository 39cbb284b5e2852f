"""The service at the other end, as a recipe; and that service while a simulation runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any

import attrs

from pacer._job import Outcome, OutcomeKind
from pacer.protocols import LimitReport
from pacer.simulation._arrivals import Arrival
from pacer.simulation._distributions import Constant, Distribution, distribution
from pacer.simulation._upstreams._latency import Drawn, Latency, latency
from pacer.simulation._upstreams._limit import Limit
from pacer.simulation._upstreams._trouble import Trouble


def _several(value: Any) -> tuple[Any, ...]:
    """One part stands for a sequence of one."""
    return tuple(value) if isinstance(value, Iterable) else (value,)


def _each(*names: str) -> Any:
    def check(instance: object, attribute: attrs.Attribute[Any], value: Sequence[Any]) -> None:
        for one in value:
            missing = [name for name in names if not hasattr(one, name)]
            if missing or isinstance(one, type):
                msg = f"{type(instance).__name__}: {attribute.name} must hold parts with {names[0]}(), got {one!r}"
                raise TypeError(msg)

    return check


@attrs.frozen
class Upstream:
    """A service that limits its clients, takes time to answer, and has its bad hours.

    A request is first met by the troubles of the moment, in order: one that strikes ends it with an error. Then all
    limits have to admit it, or it is answered 429 and counted by none of them. Then it takes its time.

    Args:
        limits: One limit, or several that hold together, as requests and tokens a minute; none by default.
        latency: How long an admitted request takes: a number, a distribution, or a latency that depends on the load;
            1 second by default.
        troubles: What goes wrong and when; nothing by default.
        retry_after: Whether a 429 says how long to wait; True by default.
        reports: Whether each answer says how the limits stand, as rate-limit headers do; False by default.
        refusal: Seconds that a 429 takes, a number or a distribution; 0.05 by default.
    """

    limits: Sequence[Limit] = attrs.field(default=(), converter=_several, validator=_each("wait", "take", "report"))
    latency: Latency = attrs.field(default=Drawn(Constant(1.0)), converter=latency)
    troubles: Sequence[Trouble] = attrs.field(
        default=(), converter=_several, validator=_each("strikes", "slowdown", "over_at")
    )
    retry_after: bool = attrs.field(default=True, kw_only=True)
    reports: bool = attrs.field(default=False, kw_only=True)
    refusal: Distribution = attrs.field(default=Constant(0.05), converter=distribution, kw_only=True)

    def rate(self, now: float, dimension: str = "requests") -> float | None:
        """How much of a dimension it allows a second in the long run; None if it does not limit it."""
        rates = [rate for name, rate in (limit.rate(now) for limit in self.limits) if name == dimension]
        return min(rates, default=None)


OK = Outcome(OutcomeKind.SUCCEEDED)
_ERROR = Outcome(OutcomeKind.FAILED, error="error of the upstream")


@attrs.define(eq=False)
class RunningUpstream:
    """An upstream during one run: what has been used of its limits, and how many requests it works on."""

    recipe: Upstream
    random: Random
    in_flight: int = attrs.field(init=False, default=0)
    limits: LimitStates = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.limits = LimitStates(self.recipe.limits)

    def ask(self, now: float, request: Arrival) -> tuple[float, Outcome]:
        """A request arrives: after how many seconds it is answered, and what that makes of the job.

        Whoever asks says `answered` when that time has passed.
        """
        recipe, random = self.recipe, self.random
        beside = self.in_flight
        self.in_flight = beside + 1
        for trouble in recipe.troubles:
            after = trouble.strikes(now, random)
            if after is not None:
                return after, _ERROR
        if recipe.limits:
            wait = self.limits.wait(now, request)
            if wait > 0:
                return recipe.refusal.draw(random), self._refusal(now, wait, request)
            self.limits.take(now, request)
        seconds = recipe.latency.seconds(now, request, beside, random)
        for trouble in recipe.troubles:
            seconds *= trouble.slowdown(now)
        if request.used is None and not recipe.reports:
            return seconds, OK
        return seconds, Outcome(OutcomeKind.SUCCEEDED, cost=request.used, limits=self._reports(now, request))

    def answered(self) -> None:
        """One request less in flight."""
        self.in_flight -= 1

    def _refusal(self, now: float, wait: float, request: Arrival) -> Outcome:
        told = wait if self.recipe.retry_after and wait < math.inf else None
        return Outcome(OutcomeKind.THROTTLED, error="429", retry_after=told, limits=self._reports(now, request))

    def _reports(self, now: float, request: Arrival) -> tuple[LimitReport, ...]:
        return self.limits.reports(now, request) if self.recipe.reports else ()


@attrs.define(eq=False)
class LimitStates:
    """Limits that hold together, and how they stand."""

    _limits: Sequence[Limit]
    _states: list[Any] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._states = [limit.initial_state() for limit in self._limits]

    def wait(self, now: float, request: Arrival) -> float:
        """Seconds until all of them would admit it, as far as that is known now."""
        longest = 0.0
        for limit, state in zip(self._limits, self._states, strict=True):
            longest = max(longest, limit.wait(state, now, request))
        return longest

    def take(self, now: float, request: Arrival) -> None:
        """All of them have admitted it."""
        for index, limit in enumerate(self._limits):
            self._states[index] = limit.take(self._states[index], now, request)

    def reports(self, now: float, request: Arrival) -> tuple[LimitReport, ...]:
        """How they stand."""
        pairs = zip(self._limits, self._states, strict=True)
        return tuple(limit.report(state, now, request) for limit, state in pairs)
