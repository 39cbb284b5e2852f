"""What a drain gains by more workers on one queue, and by more queues: jobs that do nothing, so that queues decide."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psycopg
import pytest
import redis
from servers import PostgresServer, RedisServer

from benchmarks.contest import Contest, Figures
from benchmarks.postgres_contenders import new_database
from benchmarks.redis_contenders import emptied
from benchmarks.shared_worker import scheduler, work
from pacer import call

SLOTS = 48
BATCH = 500
Versions = Callable[[], int]


async def fill(url: str, queue: str, jobs: int, all_slots: int) -> None:
    """Jobs that wait in a paused queue."""
    async with scheduler(url, queue, 0, all_slots) as filling:
        await filling.pause()
        for first in range(0, jobs, BATCH):
            await filling.enqueue_many(call(work) for _ in range(min(BATCH, jobs - first)))


def drain(url: str, jobs: int, workers: int, queues: Sequence[str], versions: Versions) -> Figures:
    """The queues share jobs, workers and slots evenly."""
    slots, per_queue = SLOTS // workers, SLOTS // len(queues)
    for queue in queues:
        asyncio.run(fill(url, queue, jobs // len(queues), per_queue))
    before = versions()
    starts = run([(url, queues[number % len(queues)], str(slots), str(per_queue)) for number in range(workers)])
    assert len(starts) == jobs
    took = starts[-1] - starts[0]
    commits = versions() - before
    return {"drain_per_s": (jobs - 1) / took, "commits_per_s": commits / took, "jobs_per_commit": jobs / commits}


def run(workers: Sequence[tuple[str, ...]]) -> list[float]:
    """When each job began."""
    command, root = [sys.executable, "-m", "benchmarks.shared_worker"], Path(__file__).parents[1]
    with ExitStack() as stack:
        processes = []
        for arguments in workers:
            processes.append(
                subprocess.Popen(
                    [*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
                )
            )
            stack.enter_context(processes[-1])
            stack.callback(processes[-1].kill)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        starts = [start for process in processes for start in json.loads(process.communicate(timeout=300)[0])]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return sorted(starts)


@pytest.fixture(params=["PostgreSQL", "Redis"])
def server(request: pytest.FixtureRequest) -> PostgresServer | RedisServer:
    found: PostgresServer | RedisServer = request.getfixturevalue(
        "postgres" if request.param == "PostgreSQL" else "redis"
    )
    return found


def measured(server: PostgresServer | RedisServer, jobs: int, workers: int, queues: int) -> Figures:
    names = [f"queue-{number}" for number in range(queues)]
    if isinstance(server, PostgresServer):
        url = new_database(server.dsn)
        return drain(url, jobs, workers, names, partial(in_postgres, url))
    asyncio.run(emptied(server.url))
    return drain(server.url, jobs, workers, names, partial(in_redis, server.url, names))


def in_postgres(url: str) -> int:
    """How many commits all queues have seen."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT sum(version)::bigint FROM pacer.pacer_queues").fetchone()
    assert found is not None
    return int(found[0])


def in_redis(url: str, names: Sequence[str]) -> int:
    """How many commits all queues have seen."""
    with redis.Redis.from_url(url) as client:
        return sum(int(client.hget(f"pacer:{{{name}}}:head", "version") or 0) for name in names)


def test_several_workers_and_several_queues(contest: Contest, server: PostgresServer | RedisServer) -> None:
    jobs = contest.size(4800, 96)
    counts = [2] if contest.short else [2, 4, 8]
    contenders = {"1 worker, 1 queue": (1, 1)}
    contenders |= {f"{count} workers, 1 queue": (count, 1) for count in counts}
    contenders |= {f"{count} workers, {count} queues": (count, count) for count in counts}
    contest.run(
        f"a drain, unpaced, {SLOTS} slots in all, {type(server).__name__} ({jobs} jobs)",
        {name: partial(measured, server, jobs, *numbers) for name, numbers in contenders.items()},
        rounds=3,
    )
