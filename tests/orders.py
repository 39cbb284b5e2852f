"""A queue in miniature: jobs come in and leave in the order that an order gives them."""

from __future__ import annotations

import heapq
import itertools
import json
from typing import Any

import attrs

from pacer.protocols import JobOrder
from pacer.testing import SampleJob


@attrs.define(eq=False)
class Line:
    """Waiting jobs, as a store keeps them: by sort key, then by arrival. The state goes through JSON each time."""

    order: JobOrder[Any]
    state: Any = attrs.field(init=False)
    _waiting: list[tuple[float, int, SampleJob]] = attrs.field(init=False, factory=list)
    _numbers: Any = attrs.field(init=False, factory=itertools.count)

    def __attrs_post_init__(self) -> None:
        self.state = self.order.initial_state()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, job: SampleJob, seconds: float = 60.0) -> float:
        """A job comes in, which is expected to take so many seconds; its sort key."""
        key, state = self.order.place(json.loads(json.dumps(self.state)), job, lambda: seconds)
        self.state = state
        heapq.heappush(self._waiting, (key, next(self._numbers), job))
        return key

    def start(self) -> SampleJob:
        """The first job starts."""
        key, _, job = heapq.heappop(self._waiting)
        self.state = self.order.started(json.loads(json.dumps(self.state)), job, key)
        return job

    def cancel(self, job: SampleJob) -> None:
        """A job leaves without being run; the order is told nothing."""
        self._waiting = [entry for entry in self._waiting if entry[2] is not job]
        heapq.heapify(self._waiting)

    def waiting(self, key: str | None) -> int:
        """How many jobs of this key wait."""
        return sum(job.key == key for _, _, job in self._waiting)

    def drain(self) -> list[SampleJob]:
        """All start, one after the other."""
        return [self.start() for _ in range(len(self))]


def ids(jobs: list[SampleJob]) -> list[str]:
    """What they are called."""
    return [job.id for job in jobs]
