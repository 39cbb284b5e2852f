"""How long the upstream takes to answer."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Protocol

import attrs

from pacer.simulation._arrivals import Arrival
from pacer.simulation._distributions import Distribution, distribution


class Latency(Protocol):
    """Seconds that an admitted request takes: a recipe, without state."""

    def seconds(self, now: float, request: Arrival, in_flight: int, random: Random) -> float:
        """For this request, beside `in_flight` others. All chance comes from `random`."""


@attrs.frozen
class Drawn:
    """Drawn from a distribution, times the request's size, whatever the load."""

    distribution: Distribution

    def seconds(self, now: float, request: Arrival, in_flight: int, random: Random) -> float:
        """The same distribution for all."""
        return self.distribution.draw(random) * request.size


def latency(value: float | timedelta | Distribution | Latency) -> Latency:
    """A converter: a number or a distribution stands for a latency that does not depend on the load."""
    if not isinstance(value, type) and hasattr(value, "seconds") and not isinstance(value, timedelta):
        return value  # type: ignore[return-value]
    return Drawn(distribution(value))  # type: ignore[arg-type]
