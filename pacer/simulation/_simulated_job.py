"""A job during a run, and where it came from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from random import Random
from typing import TYPE_CHECKING

import attrs

from pacer._job import JobRecord
from pacer.simulation._arrivals import Arrival

if TYPE_CHECKING:
    from pacer.simulation._station import Station


@attrs.define(eq=False)
class Source:
    """A workload during a run, and who gets its jobs."""

    arrivals: Iterator[Arrival]
    after: Callable[[Arrival, float, Random], Arrival | None] | None
    random: Random
    choose: Callable[[], Station]


@attrs.define(eq=False)
class SimulatedJob(JobRecord):
    """A job's record, and what it was made from."""

    arrival: Arrival = attrs.field(kw_only=True)
    source: Source = attrs.field(kw_only=True)
    number: int = attrs.field(kw_only=True)

    def copy(self) -> SimulatedJob:
        """Another one with the same content."""
        return copy.copy(self)
