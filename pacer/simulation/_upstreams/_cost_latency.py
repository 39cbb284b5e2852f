"""A request takes the longer, the more it uses."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import attrs

from pacer._validation import not_negative, seconds
from pacer.simulation._arrivals import Arrival
from pacer.simulation._distributions import Constant, Distribution, distribution


def _rates(instance: object, attribute: attrs.Attribute[Any], value: Mapping[str, float]) -> None:
    for rate in value.values():
        not_negative(instance, attribute, rate)


@attrs.frozen
class CostLatency:
    """A fixed part and one in proportion to what the request uses, as a language model takes for each token.

    Formula: `(base + sum of per[d] * amount of d) * noise * size`.

    Args:
        base: Seconds that every request takes, 0 or more.
        per: Seconds for each unit of a dimension: `{"tokens": 0.03}`.
        noise: A factor of its own for each request, a number or a distribution; 1 by default. `LogNormal(1, 0.3)` has
            the mean 1.
    """

    base: float = attrs.field(converter=seconds, validator=not_negative)
    per: Mapping[str, float] = attrs.field(validator=_rates)
    noise: Distribution = attrs.field(default=Constant(1.0), converter=distribution, kw_only=True)

    def seconds(self, now: float, request: Arrival, in_flight: int, random: Random) -> float:
        """Whatever the load."""
        work = sum(rate * request.amount(name) for name, rate in self.per.items())
        return (self.base + work) * self.noise.draw(random) * request.size
