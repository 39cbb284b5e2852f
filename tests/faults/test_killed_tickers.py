"""Four processes enqueue one periodic job and are killed with SIGKILL, one or the other, again and again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import anyio
import attrs
import pytest
from pool import Pool, pool
from pool_worker import Plan, make_scheduler
from servers import Server

from pacer import JobState

EVERY = 0.2
KILLS = 40
SKEWS = (0.0, 3600.0, -3600.0, 0.0)


@pytest.fixture
def sqlite_workers(tmp_path: Path) -> Iterator[Pool]:
    plan = Plan(name="", log=str(tmp_path / "log"), store="sqlite", address=str(tmp_path / "jobs.db"), place="")
    with pool(plan, tmp_path) as found:
        yield found


async def all_jobs(plan: Plan) -> dict[str, JobState]:
    """Every job that there is, once all that wait have run."""
    scheduler, _ = make_scheduler(attrs.evolve(plan, name="last", every=0.0))
    found: dict[str, JobState] = {}
    async with scheduler:
        assert await scheduler.drain(timeout=60)
        after = None
        while True:
            page = await scheduler.jobs(*(state for state in JobState if state.final), limit=200, after=after)
            found |= {job.id: job.state for job in page.jobs}
            after = page.after
            if after is None:
                return found


def start(workers: Pool, skews: Sequence[float]) -> None:
    workers.plan = attrs.evolve(workers.plan, every=EVERY, produces=False)
    for skew in itertools.islice(itertools.cycle(skews), 4):
        workers.start(skew=skew)
    workers.wait_for("settled", 3)


def kill_at_random(workers: Pool, kills: int, skews: Sequence[float]) -> None:
    random = Random(kills)
    for _ in range(kills):
        workers.linger(random.randint(1, 4), seconds=random.uniform(0.0, 0.3))
        workers.kill(random.choice(workers.alive))
        workers.start(skew=random.choice(skews))
    workers.now()
    workers.wait_for("settled", 5)


def check(workers: Pool) -> None:
    """One job for each time, and none is left out."""
    workers.end()
    states = anyio.run(all_jobs, workers.plan)
    assert set(states.values()) == {JobState.SUCCEEDED}
    times = sorted(datetime.fromisoformat(job.removeprefix("every:tick:")) for job in states)
    assert len(times) > KILLS / 4, "the kills took no time: nothing has been shown"
    steps = {later - earlier for earlier, later in itertools.pairwise(times)}
    assert max(steps) - timedelta(microseconds=2) <= timedelta(seconds=EVERY) <= min(steps) + timedelta(microseconds=2)


def test_on_a_server_there_is_one_job_for_each_time(workers: Pool, server: Server) -> None:
    """The server is killed, too. The clocks of some of the processes are an hour off; that changes nothing."""
    start(workers, SKEWS)
    kill_at_random(workers, KILLS // 2, SKEWS)
    server.kill()
    server.start()
    kill_at_random(workers, KILLS // 2, SKEWS)
    check(workers)


def test_on_a_file_there_is_one_job_for_each_time(sqlite_workers: Pool) -> None:
    start(sqlite_workers, (0.0,))
    kill_at_random(sqlite_workers, KILLS, (0.0,))
    check(sqlite_workers)
