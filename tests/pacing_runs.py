"""Jobs that run through a pacing policy in virtual time, for tests of what the policy guarantees."""

from __future__ import annotations

import heapq
import itertools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from hypothesis import strategies as st

from pacer import Outcome, OutcomeKind
from pacer.protocols import PacingPolicy
from pacer.testing import SampleJob

EPOCHS = st.sampled_from([0.0, 1.0, 1e5, 1.7e9])


@attrs.frozen(kw_only=True)
class Work:
    """One job: it comes `gap` after the one before, runs for `duration`, and turns out to have cost `used`."""

    gap: float = 0.0
    duration: float = 0.0
    cost: Mapping[str, float] = attrs.field(factory=lambda: {"requests": 1.0})
    used: Mapping[str, float] | None = None
    kind: OutcomeKind = OutcomeKind.SUCCEEDED
    key: str | None = None
    late: float = 0.0
    """How much too late the timer is that it has to wait for."""


@attrs.define
class Ran:
    """When the policy was told of its start and its end, and as which of all the starts and ends."""

    work: Work
    start: float
    start_number: int
    end: float = math.inf
    end_number: int = -1


def play(
    policy: PacingPolicy[Any], works: Sequence[Work], *, epoch: float = 0.0, concurrency: int = 10**6
) -> list[Ran]:
    """First come, first served. The state goes through JSON between all calls, as it does in a store."""
    state, now, arrived = policy.initial_state(), epoch, epoch
    running: list[tuple[float, int, SampleJob]] = []
    ran: list[Ran] = []
    told = itertools.count()

    def end_next() -> None:
        nonlocal state, now
        end, number, job = heapq.heappop(running)
        now = max(now, end)
        one = ran[number]
        one.end, one.end_number = now, next(told)
        state = stored(policy.ended(state, now, job, Outcome(one.work.kind, cost=one.work.used), len(running)))

    for number, work in enumerate(works):
        arrived += work.gap
        now = max(now, arrived)
        job = SampleJob(id=str(number), key=work.key, cost=work.cost, created_at=arrived, ready_at=arrived)
        while True:
            while running and (running[0][0] <= now or len(running) >= concurrency):
                end_next()
            when = policy.earliest(state, now, job, len(running))
            if when.at <= now:
                break
            if running and running[0][0] <= when.at:
                end_next()
                continue
            assert when.at < math.inf, f"waits for ever: {when}"
            now = when.at
            assert policy.earliest(state, now, job, len(running)).at <= now
            now += work.late
        state = stored(policy.started(state, now, job, len(running)))
        ran.append(Ran(work, now, next(told)))
        heapq.heappush(running, (now + work.duration, number, job))
    while running:
        end_next()
    return ran


def stored(state: Any) -> Any:
    """The state as a store gives it back."""
    return json.loads(json.dumps(state, allow_nan=False))


def starts(policy: PacingPolicy[Any], works: Sequence[Work], **how: Any) -> list[float]:
    """When they start."""
    return [ran.start for ran in play(policy, works, **how)]


def most_in_half_open_window(events: Sequence[tuple[float, float]], window: float) -> float:
    """The largest sum of costs in any half-open window of this length; `events` are times and costs."""
    sums = (math.fsum(cost for at, cost in events if at <= last and at + window > last) for last, _ in events)
    return max(sums, default=0.0)


def works(
    *, requests: st.SearchStrategy[float] | None = None, longest: float = 20.0, most: int = 40
) -> st.SearchStrategy[list[Work]]:
    """Random jobs; several often come at once."""
    costs = st.just(1.0) if requests is None else requests
    return st.lists(
        st.builds(
            Work,
            gap=st.one_of(st.just(0.0), st.floats(0, 30), st.sampled_from([1 / 3, 10.0])),
            duration=st.one_of(st.just(0.0), st.floats(0, longest)),
            cost=costs.map(lambda cost: {"requests": cost}),
            kind=st.sampled_from(list(OutcomeKind)),
        ),
        min_size=1,
        max_size=most,
    )
