"""Several processes of `pace_worker.py` on one queue, each with one plan."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
from pace_worker import Plan, work

from pacer import Scheduler, call

WITHIN = 120.0


@attrs.frozen(order=True)
class Start:
    """When the queue let a job start, on the server's clock, and when it did, on the machine's monotonic one."""

    allowed: float
    started: float


@attrs.frozen
class Run:
    """The starts of all jobs, and what lies between the first and the last of them.

    Attributes:
        starts: In the order in which they were allowed.
        seconds: From the moment at which all processes could begin until no job was left.
    """

    starts: Sequence[Start]
    seconds: float


async def paced(plan: Plan, jobs: int, skews: Sequence[float]) -> Run:
    """All jobs wait before any process begins. One process for each of `skews`."""
    async with plan.scheduler(works=False) as producer:
        await producer.pause()
        await producer.enqueue_many([call(work) for _ in range(jobs)])
        with processes([attrs.evolve(plan, skew=skew) for skew in skews]) as started:
            await asyncio.to_thread(all_ready, started)
            began = asyncio.get_running_loop().time()
            await producer.resume()
            async with asyncio.timeout(WITHIN):
                await until_empty(producer)
            took = asyncio.get_running_loop().time() - began
            said = await asyncio.gather(*(asyncio.to_thread(one.communicate, "stop\n", WITHIN) for one in started))
    assert [one.returncode for one in started] == [0] * len(skews)
    starts = sorted(Start(*start) for out, _ in said for start in json.loads(out))
    assert len(starts) == jobs
    return Run(starts, took)


@contextlib.contextmanager
def processes(plans: Sequence[Plan]) -> Iterator[list[subprocess.Popen[str]]]:
    worker = Path(__file__).with_name("pace_worker.py")
    with contextlib.ExitStack() as stack:
        started = []
        for plan in plans:
            command = [sys.executable, worker, json.dumps(attrs.asdict(plan))]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            started.append(stack.enter_context(process))
            stack.callback(process.kill)
        yield started


def all_ready(started: Sequence[subprocess.Popen[str]]) -> None:
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"


async def until_empty(producer: Scheduler) -> None:
    while (status := await producer.status()).pending or status.running:
        await asyncio.sleep(0.05)


def most_within(times: Sequence[float], window: float) -> int:
    """The most of these sorted times in any closed window of this length."""
    first, most = 0, 0
    for last, at in enumerate(times):
        while at - times[first] > window:
            first += 1
        most = max(most, last - first + 1)
    return most
