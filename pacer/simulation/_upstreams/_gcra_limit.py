"""A steady rate with a burst, as token buckets of services are."""

from __future__ import annotations

import math

import attrs

from pacer._validation import positive, seconds
from pacer.protocols import LimitReport
from pacer.simulation._arrivals import Arrival
from pacer.simulation._upstreams._limit import EDGE


@attrs.frozen
class GcraLimit:
    """Allows `limit` per `per` seconds, refilled continuously, and `burst` at one moment after idle time.

    The generic cell rate algorithm (ITU-T I.371) with `T = per / limit`: a request of amount q is admitted from
    `TAT + q * T - burst * T` on, and makes it `TAT = max(TAT, now) + q * T`. Refused requests cost nothing.

    State: TAT.

    Args:
        limit: How much is allowed per `per` seconds, above 0.
        per: Seconds, above 0; 60 by default.
        burst: How much is allowed at one moment, above 0; `limit` by default, as token buckets mostly have it.
        of: The dimension that is counted; "requests" by default.
    """

    limit: float = attrs.field(validator=positive)
    per: float = attrs.field(default=60.0, converter=seconds, validator=positive)
    burst: float | None = attrs.field(default=None, validator=attrs.validators.optional(positive))
    of: str = attrs.field(default="requests", kw_only=True)
    _interval: float = attrs.field(init=False, eq=False, repr=False)
    _reserve: float = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        # Computed once: a simulation asks for them with every request.
        object.__setattr__(self, "_interval", self.per / self.limit)
        object.__setattr__(self, "_reserve", self._interval * (self.limit if self.burst is None else self.burst))

    def initial_state(self) -> float:
        """A full bucket."""
        return -math.inf

    def wait(self, state: float, now: float, request: Arrival) -> float:
        """Until there is enough for it in the bucket."""
        spend = request.amount(self.of) * self._interval
        if spend > self._reserve + EDGE:
            return math.inf
        early = state + spend - self._reserve - now
        return early if early > EDGE else 0.0

    def take(self, state: float, now: float, request: Arrival) -> float:
        """TAT moves on."""
        return max(state, now) + request.amount(self.of) * self._interval

    def report(self, state: float, now: float, request: Arrival) -> LimitReport:
        """`reset_in` is the time until the bucket is full."""
        full_in = max(0.0, state - now)
        remaining = math.floor((self._reserve - full_in) / self._interval + EDGE)
        return LimitReport(
            name=self.of, limit=self.limit, remaining=max(0, remaining), reset_in=full_in, window=self.per
        )

    def rate(self, now: float) -> tuple[str, float]:
        """The same at all times."""
        return self.of, self.limit / self.per
