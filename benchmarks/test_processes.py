"""Several processes on one SQLite file: what a drain gains by them, and whether one pace holds over all of them."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from benchmarks.contest import Contest, Figures
from benchmarks.test_pacing import WINDOW, most_within
from benchmarks.worker_process import scheduler, work
from pacer import call

SLOTS = 50


async def fill(path: Path, jobs: int) -> None:
    """Jobs that wait in a paused queue."""
    async with scheduler(path, 0, SLOTS) as filling:
        await filling.pause()
        await filling.enqueue_many(call(work) for _ in range(jobs))


def drain(path: Path, jobs: int, rate: float, processes: int) -> list[float]:
    """When each job began, in seconds since the epoch."""
    path.unlink(missing_ok=True)
    asyncio.run(fill(path, jobs))
    command = [sys.executable, "-m", "benchmarks.worker_process", str(path), str(rate), str(SLOTS)]
    workers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]
        )
        for _ in range(processes)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    starts = [start for worker in workers for start in json.loads(worker.communicate(timeout=120)[0])]
    assert [worker.returncode for worker in workers] == [0] * processes
    assert len(starts) == jobs
    return sorted(starts)


def unpaced(path: Path, jobs: int, processes: int) -> Figures:
    starts = drain(path, jobs, 0, processes)
    return {"drain_per_s": (jobs - 1) / (starts[-1] - starts[0])}


def paced(path: Path, jobs: int, rate: float, processes: int) -> Figures:
    starts = drain(path, jobs, rate, processes)
    took = starts[-1] - starts[0]
    figures = {"of_limit": (jobs - 1) / took / rate}
    return figures | ({"worst_second": most_within(starts, WINDOW) / rate} if took > WINDOW else {})


def named(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


@pytest.fixture
def counts(contest: Contest) -> list[int]:
    return [2] if contest.short else [1, 2, 4]


def test_a_drain_by_several_processes(contest: Contest, tmp_path: Path, counts: list[int]) -> None:
    jobs = contest.size(5000, 50)
    contest.run(
        f"a drain by several processes, unpaced, {SLOTS} slots in all ({jobs} jobs)",
        {named(count): partial(unpaced, tmp_path / "jobs.db", jobs, count) for count in counts},
    )


def test_one_pace_over_several_processes(contest: Contest, tmp_path: Path, counts: list[int]) -> None:
    jobs, rate = contest.size(1000, 50), 200.0
    contest.run(
        f"one pace over several processes, {rate:g} starts a second ({jobs} jobs)",
        {named(count): partial(paced, tmp_path / "jobs.db", jobs, rate, count) for count in counts},
        rounds=3,
        ratios=False,
    )
