"""What the jobs of a made-up workload are like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import accumulate
from random import Random
from typing import Any

import attrs

from pacer._job import ONE_REQUEST
from pacer._validation import not_negative
from pacer.simulation._arrivals import Arrival
from pacer.simulation._distributions import Constant, Distribution, distribution


def _costs(value: Mapping[str, Any] | None) -> Mapping[str, Distribution] | None:
    return None if value is None else {name: distribution(one) for name, one in value.items()}


def _weights(instance: object, attribute: attrs.Attribute[Any], value: Mapping[Any, float] | None) -> None:
    if value is None:
        return
    for weight in value.values():
        not_negative(instance, attribute, weight)
    if not sum(value.values()) > 0:
        msg = f"{type(instance).__name__}: {attribute.name} must have a weight above 0, got {dict(value)!r}"
        raise ValueError(msg)


_PLAIN = Arrival(0.0)[1:]


@attrs.frozen
class JobMix:
    """What jobs are like: their keys, costs, priorities and sizes, each drawn independently of the others.

    Args:
        keys: Lanes with the weights at which they occur: `{"small": 1, "large": 9}`; None (default): no key.
        cost: By dimension, a number or a distribution: `{"requests": 1, "tokens": LogNormal(1800)}`; None (default):
            one request.
        priorities: Priorities with their weights; None (default): all 0.
        size: How much longer than usual the upstream takes for a job, a number or a distribution; 1 by default.
    """

    keys: Mapping[str, float] | None = attrs.field(default=None, validator=_weights)
    cost: Mapping[str, Distribution] | None = attrs.field(default=None, converter=_costs)
    priorities: Mapping[int, float] | None = attrs.field(default=None, validator=_weights)
    size: Distribution = attrs.field(default=Constant(1.0), converter=distribution)

    def maker(self, random: Random) -> Callable[[float], Arrival]:
        """A function that makes the job that arrives at a time."""
        if self == JobMix():
            # As `Arrival(at)` does, in half the time.
            return lambda at: Arrival._make((at, *_PLAIN))
        key, priority = _chooser(self.keys, None, random), _chooser(self.priorities, 0, random)

        def make(at: float) -> Arrival:
            cost = ONE_REQUEST
            if self.cost is not None:
                cost = {name: one.draw(random) for name, one in self.cost.items()}
            return Arrival(at, key(), cost, priority(), self.size.draw(random))

        return make


def _chooser(weights: Mapping[Any, float] | None, default: Any, random: Random) -> Callable[[], Any]:
    if weights is None:
        return lambda: default
    choices, cumulative = list(weights), list(accumulate(weights.values()))
    return lambda: random.choices(choices, cum_weights=cumulative)[0]
