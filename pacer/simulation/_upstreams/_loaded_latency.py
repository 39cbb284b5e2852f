"""The more it works on, the longer each takes."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence
from random import Random
from typing import Any

import attrs

from pacer.simulation._arrivals import Arrival
from pacer.simulation._upstreams._latency import Latency, latency


def _schedule(value: float | Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    if isinstance(value, float | int):
        return ((0.0, float(value)),)
    return tuple((float(start), float(capacity)) for start, capacity in value)


@attrs.frozen
class LoadedLatency:
    """A server that works on `capacity` requests at full speed, and shares that out among more.

    Formula: `latency * max(1, n / capacity)`, n being the requests in flight with the new one among them: processor
    sharing, with the load at a request's arrival taken for all of its time. Throughput is at most
    `capacity / latency`, however many are sent at once.

    Not for servers that refuse what they cannot take: give the upstream a limit for these.

    Args:
        latency: How long a request takes without load, a number, a distribution or another latency.
        capacity: How many it works on at full speed, above 0; or pairs of a time in seconds and the capacity from then
            on, the first at 0.
    """

    latency: Latency = attrs.field(converter=latency)
    capacity: Sequence[tuple[float, float]] = attrs.field(converter=_schedule)

    @capacity.validator
    def _check(self, attribute: attrs.Attribute[Any], value: Sequence[tuple[float, float]]) -> None:
        times = [start for start, _ in value]
        rises = all(early < late for early, late in itertools.pairwise(times))
        if not times or times[0] != 0 or not rises or not all(capacity > 0 for _, capacity in value):
            msg = f"LoadedLatency: capacity must be above 0, and its times must begin at 0 and rise, got {value!r}"
            raise ValueError(msg)

    def seconds(self, now: float, request: Arrival, in_flight: int, random: Random) -> float:
        """Longer, the more are there."""
        index = bisect_right(self.capacity, now, key=lambda step: step[0]) - 1
        load = (in_flight + 1) / self.capacity[index][1]
        return self.latency.seconds(now, request, in_flight, random) * max(1.0, load)
