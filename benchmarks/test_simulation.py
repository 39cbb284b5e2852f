"""How many jobs a second `simulate` gets through, beside SimPy and a bare loop around a heap.

All of them do one thing: independent arrivals at 900 a second, one server, at most 1000 starts a second, evenly
spaced, exponential service times with a mean of 0.5 ms, and the mean wait at the end. SimPy's model is the shortest
that does this; the loop keeps nothing but what it needs for it. `simulate` asks a `Scheduler`'s rules and `MinInterval`
for each start, and makes a whole `Result`: percentiles, timeline, oracle, fairness.

It has two ways to go: a shorter one for as long as all jobs succeed, and the ledger of the memory store for all else
("the longer way": here it is made to go there by keeping one thing that happened).
"""

from __future__ import annotations

import heapq
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from random import Random
from time import perf_counter, process_time
from typing import Any

import pytest
import simpy

from benchmarks.contest import Contest, Figures
from pacer import BoundedQueue, Scheduler
from pacer.pacing import MinInterval
from pacer.simulation import Exponential, Poisson, Upstream, simulate

ARRIVALS, STARTS, SERVICE = 900.0, 1000.0, 0.0005


def with_simpy(jobs: int) -> float:
    env, random = simpy.Environment(), Random(1)
    server = simpy.Resource(env, capacity=1)
    waits, next_start = [0.0, 0.0], 0.0

    def job() -> Generator[Any]:
        nonlocal next_start
        came = env.now
        with server.request() as turn:
            yield turn
            if env.now < next_start:
                yield env.timeout(next_start - env.now)
            next_start = env.now + 1 / STARTS
            waits[0] += env.now - came
            yield env.timeout(random.expovariate(1 / SERVICE))
            waits[1] += 1

    def source() -> Generator[Any]:
        for _ in range(jobs):
            yield env.timeout(random.expovariate(ARRIVALS))
            env.process(job())

    env.process(source())
    env.run()
    assert waits[1] == jobs
    return waits[0] / jobs


def with_a_heap(jobs: int) -> float:
    random = Random(1)
    events, waiting = [(random.expovariate(ARRIVALS), 0, True)], deque[float]()
    next_start, busy, left, done, waits, count = 0.0, False, jobs, 0, 0.0, 0
    while events:
        now, _, arrival = heapq.heappop(events)
        count += 1
        if arrival:
            waiting.append(now)
            left -= 1
            if left:
                heapq.heappush(events, (now + random.expovariate(ARRIVALS), count, True))
        else:
            busy = False
            done += 1
        if waiting and not busy:
            start = max(now, next_start)
            waits += start - waiting.popleft()
            next_start, busy = start + 1 / STARTS, True
            heapq.heappush(events, (start + random.expovariate(1 / SERVICE), -count, False))
    assert done == jobs
    return waits / jobs


def with_pacer(keep: int, jobs: int) -> float:
    result = simulate(
        Scheduler(queue=BoundedQueue(100_000), pacing=MinInterval(1 / STARTS)),
        Poisson(ARRIVALS, jobs=jobs),
        Upstream(latency=Exponential(SERVICE)),
        keep=keep,
    )
    assert result.succeeded == jobs
    return result.wait.mean


def timed(run: Callable[[int], float], jobs: int) -> Figures:
    wall, cpu = perf_counter(), process_time()
    wait = run(jobs)
    wall, cpu = perf_counter() - wall, process_time() - cpu
    return {"jobs_per_s": jobs / wall, "jobs_per_cpu_s": jobs / cpu, "mean_wait_ms": wait * 1000}


@pytest.mark.parametrize(("keep", "full"), [(0, 1_000_000), (1, 200_000)], ids=["shorter way", "longer way"])
def test_jobs_a_second_on_one_paced_server(contest: Contest, keep: int, full: int) -> None:
    jobs = contest.size(full, 5_000)
    ways = {"SimPy": with_simpy, "a bare loop around a heap": with_a_heap, "simulate": partial(with_pacer, keep)}
    table = contest.run(
        f"one paced server, {jobs:,} jobs, simulate on its {'longer' if keep else 'shorter'} way",
        {name: partial(timed, run, jobs) for name, run in ways.items()},
        rounds=3,
    )
    if not contest.short:
        waits = [table.values(name, "mean_wait_ms")[0] for name in ways]
        assert max(waits) < 1.2 * min(waits), "they do the same thing"


PEAK = """
import resource, sys
from benchmarks.test_simulation import with_pacer
with_pacer(int(sys.argv[1]), int(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(keep: int, jobs: int) -> Figures:
    """Of a process of its own, with everything that it has imported."""
    command = [sys.executable, "-c", PEAK, str(keep), str(jobs)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    return {"peak_MB": int(run.stdout) / 1024}


@pytest.mark.parametrize("keep", [0, 1], ids=["shorter way", "longer way"])
def test_memory_does_not_grow_with_the_number_of_finished_jobs(contest: Contest, keep: int) -> None:
    sizes = [contest.size(150_000, 1_000), contest.size(300_000, 2_000)]
    table = contest.run(
        f"memory of a run, {'longer' if keep else 'shorter'} way",
        {f"{jobs:,} jobs": partial(peak, keep, jobs) for jobs in sizes},
        rounds=1,
    )
    if not contest.short:
        few, many = (table.values(f"{jobs:,} jobs", "peak_MB")[0] for jobs in sizes)
        assert many < 1.1 * few
