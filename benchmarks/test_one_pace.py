"""One pace over many processes on PostgreSQL and Redis: how much of the rate is used, and whether it is ever exceeded.

The times are those at which jobs really began, by the one monotonic clock of the machine. What the queue allowed, on
the server's clock, is asserted too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

import psycopg
import pytest
import redis
from pace_run import Run, most_within, paced
from pace_worker import WINDOW, Plan
from servers import PostgresServer, RedisServer

from benchmarks.contest import Contest, Figures, quantile
from benchmarks.postgres_contenders import new_database

HOUR = 3600.0
Calls = Callable[[], int]
Pace = tuple[str, dict[str, float]]


@pytest.fixture(params=["PostgreSQL", "Redis"])
def server(request: pytest.FixtureRequest) -> PostgresServer | RedisServer:
    found: PostgresServer | RedisServer = request.getfixturevalue(
        "postgres" if request.param == "PostgreSQL" else "redis"
    )
    return found


def named(server: PostgresServer | RedisServer) -> str:
    return "PostgreSQL" if isinstance(server, PostgresServer) else "Redis"


def measured(
    server: PostgresServer | RedisServer, pace: Pace, rate: float, jobs: int, skews: Sequence[float]
) -> Figures:
    """A queue of its own; 100 slots for each process."""
    slots = (100 * len(skews), 100)
    if isinstance(server, PostgresServer):
        plan = Plan(url=new_database(server.dsn), place="pacer", pace=pace, slots=slots)
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            return run(plan, rate, jobs, skews, partial(transactions, connection))
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
        plan = Plan(url=server.url, place="pacer", pace=pace, slots=slots)
        return run(plan, rate, jobs, skews, partial(commands, client))


def transactions(connection: psycopg.Connection) -> int:
    """So many has PostgreSQL ended in all databases; reads count too."""
    found = connection.execute("SELECT sum(xact_commit) FROM pg_stat_database").fetchone()
    assert found is not None
    return int(found[0])


def commands(client: redis.Redis) -> int:
    """So many scripts has Redis run; what a script calls does not count."""
    stats = client.info("commandstats")
    return sum(int(stats[name]["calls"]) for name in stats if name.partition("_")[2].startswith(("eval", "fcall")))


def run(plan: Plan, rate: float, jobs: int, skews: Sequence[float], calls: Calls) -> Figures:
    before = calls()
    found = asyncio.run(paced(plan, jobs, skews))
    return figures(found, rate, (calls() - before) / jobs)


def figures(run: Run, rate: float, calls: float) -> Figures:
    started, allowed = sorted(one.started for one in run.starts), [one.allowed for one in run.starts]
    took = started[-1] - started[0]
    # The two clocks differ by the same all the time. The job that was least late came, say, at once.
    late = [one.started - one.allowed for one in run.starts]
    within_window = most_within(allowed, WINDOW - 1e-6) / rate
    assert within_window <= 1.02
    found = {"of_limit": (len(started) - 1) / took / rate, "calls_per_job": calls}
    if took > WINDOW:
        found |= {"worst_second": most_within(started, WINDOW) / rate, "worst_second_allowed": within_window}
    return found | {"late_p99_ms": (quantile(late, 0.99) - min(late)) * 1e3}


def test_one_pace(contest: Contest, server: PostgresServer | RedisServer) -> None:
    rate = 100.0
    jobs = contest.size(1000, 60)
    bucket, interval = ("TokenBucket", {"rate": rate, "burst": 1}), ("MinInterval", {"seconds": 1 / rate})
    many = [0.0] * contest.size(8, 2)

    contenders: dict[str, tuple[Pace, Sequence[float]]] = {
        "TokenBucket, 1 process": (bucket, [0.0]),
        f"TokenBucket, {len(many)} processes": (bucket, many),
        "TokenBucket, one of them an hour ahead": (bucket, [HOUR, *many[1:]]),
        f"MinInterval, {len(many)} processes": (interval, many),
    }
    if contest.short:
        contenders = dict(list(contenders.items())[2:3])
    contest.run(
        f"{rate:g} starts a second over several processes, {named(server)} ({jobs} jobs)",
        {name: partial(measured, server, pace, rate, jobs, skews) for name, (pace, skews) in contenders.items()},
        rounds=3,
        ratios=False,
    )


def test_one_pace_at_high_rates(contest: Contest, server: PostgresServer | RedisServer) -> None:
    many = [0.0] * contest.size(8, 2)
    rates = (1000, 2000, 4000) if not contest.short else (200,)

    def contender(rate: float) -> Callable[[], Figures]:
        pace = ("TokenBucket", {"rate": rate, "burst": 1})
        return partial(measured, server, pace, rate, int(rate * contest.size(5, 1)), many)

    contest.run(
        f"higher rates, {len(many)} processes, {named(server)}",
        {f"{rate} a second": contender(rate) for rate in rates},
        rounds=3,
        ratios=False,
    )
