"""Several real processes on one file: one queue, and nothing lost when one of them is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections import Counter

import pytest
from sqlite_files import make_rules

from pacer._job import JobState

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})

PRELUDE = """
import asyncio, itertools, resource, signal, sys
from pacer._errors import QueueFullError, StoreError
from pacer._job import JobRecord, Outcome, OutcomeKind
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.queues._bounded import BoundedQueue
from pacer.stores.sqlite import SqliteStore

path, me = sys.argv[1:3]
TASKS = frozenset({"work"})
DONE = Outcome(OutcomeKind.SUCCEEDED, result="1")
RULES = Rules(BoundedQueue(100_000), Unpaced(), NoBackoff(), MovingAverage(), concurrency=3)

def say(*words):
    print(*words, flush=True)

def job(name):
    return JobRecord(name, "work", "[[],{}]")
"""


def start(file, me: str, code: str) -> subprocess.Popen[str]:
    program = PRELUDE + textwrap.dedent(code) + "\nasyncio.run(main())\n"
    return subprocess.Popen(
        [sys.executable, "-c", program, str(file.path), me],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


WORK = """
async def main():
    async with SqliteStore(path).open("q", RULES, me) as ledger:
        await ledger.recover(TASKS)
        say("ready")
        sys.stdin.readline()
        for number in range(100):
            await ledger.add([job(f"{me}-{number}")])
        say("added")
        sys.stdin.readline()

        async def slot():
            while True:
                claimed = await ledger.claim(TASKS, 1)
                for one in claimed.jobs:
                    running = len((await ledger.snapshot()).running)
                    say("ran", one.id, one.fence, running)
                    await ledger.settle(one, DONE, None)
                if not claimed.jobs and not (await ledger.snapshot()).waiting:
                    return

        await asyncio.gather(*(slot() for _ in range(4)))
        say("end")
"""


async def test_two_processes_share_the_jobs_and_the_concurrency(file):
    processes = [start(file, name, WORK) for name in ("a", "b")]
    for expected in ("ready", "added"):
        for process in processes:
            assert process.stdout.readline() == f"{expected}\n"
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
    lines = []
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert output.endswith("end\n")
        lines += [line.split()[1:] for line in output.splitlines() if line.startswith("ran")]
    assert set(Counter(job_id for job_id, _, _ in lines).values()) == {1}, "each job ran once"
    assert len(lines) == 200
    assert {fence for _, fence, _ in lines} == {"1"}
    assert max(int(running) for _, _, running in lines) <= 3, "concurrency counts the jobs of both"
    async with file.open(queue="q", clock=None) as ledger:
        snapshot = await ledger.snapshot()
        assert (snapshot.queue.succeeded, snapshot.waiting, snapshot.running) == (200, 0, ())


TRAFFIC = """
async def main():
    async with SqliteStore(path).open("q", RULES, me) as ledger:
        await ledger.recover(TASKS)
        names = itertools.count()

        async def add():
            for number in names:
                await ledger.add([job(f"{me}-{number}")])
                say("added", f"{me}-{number}")

        async def run():
            while True:
                for one in (await ledger.claim(TASKS, 1)).jobs:
                    await ledger.settle(one, DONE, None)
                    say("settled", one.id)

        await asyncio.gather(*(add() for _ in range(5)), *(run() for _ in range(4)))
"""


@pytest.mark.parametrize("lines", [1, 7, 40, 150, 600])
async def test_after_a_kill_nothing_acknowledged_is_lost_and_the_rest_is_taken_over(file, lines):
    process = start(file, "victim", TRAFFIC)
    said = [process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    with process:  # communicate() would lose the lines that have been read ahead
        said += [line for line in process.stdout if line.endswith("\n")]
    words = [line.split() for line in said]
    added = {job_id for kind, job_id in words if kind == "added"}
    settled = {job_id for kind, job_id in words if kind == "settled"}
    assert added

    async with file.open(queue="q", clock=None, lease=1000, rules=make_rules(concurrency=3)) as ledger:
        states = {job_id: await ledger.job(job_id) for job_id in added | settled}
        assert None not in states.values(), "what was acknowledged is there"
        assert {states[job_id].state for job_id in settled} <= {JobState.SUCCEEDED}
        before = await ledger.snapshot()
        assert before.queue.succeeded >= len(settled)
        assert len(before.running) <= 3
    # The victim's lease of 30 s runs out.
    file.clock.now = before.now + 31
    async with file.open("heir", queue="q") as ledger:
        recovered = await ledger.recover(TASKS)
        assert {job.id for job in recovered} == {run.job.id for run in before.running}
        assert all((job.state, job.recoveries) == (JobState.QUEUED, 1) for job in recovered)
        after = await ledger.snapshot()
        assert (after.waiting, after.running) == (before.waiting + len(recovered), ())
        while jobs := (await ledger.claim(TASKS, 100)).jobs:
            assert not settled & {job.id for job in jobs}, "what was settled does not run again"
            for job in jobs:
                await ledger.settle(job, job_done(), None)
        total = before.queue.succeeded + before.waiting + len(before.running)
        assert (await ledger.snapshot()).queue.succeeded == total


def job_done():
    from pacer._job import Outcome, OutcomeKind

    return Outcome(OutcomeKind.SUCCEEDED)


FULL = """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

async def main():
    async with SqliteStore(path).open("q", RULES, me) as ledger:
        await ledger.add([job("small")])
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
        try:
            await ledger.add([job(f"j{n}") for n in range(20_000)])
        except StoreError as error:
            say(type(error).__name__)
        say((await ledger.snapshot()).waiting)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        await ledger.add([job("after")])
        say((await ledger.snapshot()).waiting)
"""


async def test_a_write_that_the_system_refuses_is_an_error_and_leaves_nothing_half_written(file):
    process = start(file, "a", FULL)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert output.split() == ["StoreUnavailableError", "1", "2"]
