"""Several processes keep one pace, to the letter: by the times, on the server's clock, at which starts are allowed."""

from __future__ import annotations

import math
import time
from itertools import pairwise

import attrs
import pytest
from pace_run import Run, most_within, paced
from pace_worker import CLOCK, Plan
from servers import PostgresServer, RedisServer

from pacer.stores._server._backend import CLOCK_TOLERANCE

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

RATE = 200
HOUR = 3600.0
SKEWS = [0.0, HOUR, -HOUR]
ROUNDING = 1e-6


@pytest.fixture(params=["postgres", "redis"])
def plan(request: pytest.FixtureRequest, postgres_schema: str, redis_prefix: str) -> Plan:
    pace = ("TokenBucket", {"rate": RATE, "burst": 1})
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        return Plan(url=server.dsn, place=postgres_schema, pace=pace, slots=(64, 16))
    other: RedisServer = request.getfixturevalue("redis")
    return Plan(url=other.url, place=redis_prefix, pace=pace, slots=(64, 16))


async def test_no_window_holds_more_starts_than_the_rate_allows_whatever_workers_clocks_say(plan):
    run = await paced(plan, 240, SKEWS)
    allowed = [start.allowed for start in run.starts]
    for window in (0.05, 0.25, 1.0):
        assert most_within(allowed, window - ROUNDING) <= math.floor((window + 0.01) * RATE) + 1
    assert none_began_early(run)


async def test_two_starts_are_never_closer_than_the_interval(plan):
    plan = attrs.evolve(plan, pace=("MinInterval", {"seconds": 1 / RATE}))
    run = await paced(plan, 100, SKEWS)
    allowed = [start.allowed for start in run.starts]
    assert min(after - before for before, after in pairwise(allowed)) >= 1 / RATE - ROUNDING
    assert none_began_early(run)


def none_began_early(run: Run) -> bool:
    """Whether each job began when it was allowed to or later, as far as a worker may be wrong about the server's clock.

    That is this machine's wall clock.
    """
    wall = CLOCK(time.CLOCK_REALTIME) - CLOCK(time.CLOCK_MONOTONIC)
    return all(start.started + wall >= start.allowed - CLOCK_TOLERANCE for start in run.starts)
