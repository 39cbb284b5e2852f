"""What arrives: one job of a workload, and where workloads get them from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import NamedTuple, Protocol

from pacer._job import ONE_REQUEST


class Arrival(NamedTuple):
    """A job that somebody wants to have done; to the upstream, its request.

    Attributes:
        at: When it arrives, in seconds from the start of the run.
        key: Its lane, for example a tenant; None is a lane of its own.
        cost: What it is expected to use, by dimension, as `Scheduler.options(cost=...)`.
        priority: Larger is more urgent.
        size: How much longer than usual the upstream takes for it; 1 is usual.
        used: What it really uses, as the upstream counts it; None (default): its cost.
        turn: Its number among the jobs of one user of a closed loop, from 1.
    """

    at: float
    key: str | None = None
    cost: Mapping[str, float] = ONE_REQUEST
    priority: int = 0
    size: float = 1.0
    used: Mapping[str, float] | None = None
    turn: int = 1

    def amount(self, dimension: str) -> float:
        """How much of one dimension the upstream counts: one request unless it says otherwise, none of all others."""
        used = self.cost if self.used is None else self.used
        return used.get(dimension, 1.0 if dimension == "requests" else 0.0)


class Workload(Protocol):
    """A recipe for arrivals. One whose jobs follow from the end of others also has a method `after`.

    `after(arrival, now, random) -> Arrival | None` is called when a job of this workload has ended for good or was
    turned away, and names the one that follows.
    """

    @property
    def endless(self) -> bool:
        """Whether it goes on for ever, so that the run needs an end of its own."""

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        """The arrivals in order of time. All chance comes from `random`."""
