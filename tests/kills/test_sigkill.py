"""Two processes work on one SQLite file and are killed with SIGKILL, one or the other, again and again."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from random import Random
from typing import TextIO

import anyio
import attrs
import pytest

from pacer import JobState

sys.path.insert(0, str(Path(__file__).parent))
import worker  # the same module that the processes run

KILLS = 50

# New processes are made of one that has imported what takes long.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["anyio._backends._asyncio", "pacer.stores.sqlite"])


@attrs.frozen
class Said:
    what: str
    job_id: str
    at: float
    process: str


@attrs.define(eq=False)
class Process:
    """One worker process, and all it said."""

    process: ForkServerProcess
    stdout: TextIO
    said: list[Said] = attrs.field(factory=list)

    @classmethod
    def start(cls, path: Path, prefix: str) -> Process:
        ours, theirs = PROCESSES.Pipe(duplex=False)
        with ours, theirs:
            process = PROCESSES.Process(target=worker.run, args=(str(path), prefix, theirs))
            process.start()
            return cls(process, os.fdopen(os.dup(ours.fileno())))

    def listen(self, lines: int) -> None:
        """Read so many lines, or to the end."""
        for _ in range(lines):
            line = self.stdout.readline()
            if not re.fullmatch(r"\w+ \S+ [\d.]+ \d+\n", line):
                assert line == "" or self.process.exitcode is not None, f"unexpected output: {line!r}"
                return
            what, job_id, at, process = line.split()
            self.said.append(Said(what, job_id, float(at), process))

    def kill(self) -> None:
        self.process.kill()
        self.listen(sys.maxsize)
        self.process.join()
        assert self.process.exitcode == -signal.SIGKILL, "the process ended before it was killed"
        self.stdout.close()


def run_and_kill(path: Path, random: Random) -> list[Said]:
    """Kill one of two processes at random moments of its traffic, and start another in its place."""
    alive, said = [Process.start(path, f"p{n}") for n in range(2)], list[Said]()
    try:
        for n in range(KILLS):
            victim = random.choice(alive)
            victim.listen(random.randint(1, 30))
            alive.remove(victim)
            victim.kill()
            said += victim.said
            if n < KILLS - 2:
                alive.append(Process.start(path, f"p{n + 2}"))
    finally:
        for process in alive:
            process.kill()
    return sorted(said, key=lambda one: one.at)


async def finish(path: Path, acknowledged: Iterable[str]) -> dict[str, JobState]:
    """A last process that lives: it drains the queue and looks every job up."""
    scheduler, _ = worker.make_scheduler(str(path))
    async with scheduler:
        assert await scheduler.drain(timeout=60)
        return {job_id: (await scheduler.job(job_id)).state for job_id in acknowledged}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kills") / "jobs.db"


@pytest.fixture(scope="module")
def said(path: Path) -> list[Said]:
    return run_and_kill(path, Random(50))


def test_nothing_acknowledged_is_lost(said: list[Said], path: Path) -> None:
    acknowledged = {one.job_id for one in said if one.what == "acknowledged"}
    assert len(acknowledged) > KILLS
    states = anyio.run(finish, path, acknowledged)
    assert set(states.values()) == {JobState.SUCCEEDED}


def test_nothing_settled_runs_again(said: list[Said]) -> None:
    settled_at: dict[str, float] = {}
    runs = defaultdict(int)
    for one in said:
        if one.what == "settled":
            assert one.job_id not in settled_at, f"{one.job_id} was settled twice"
            settled_at[one.job_id] = one.at
        if one.what == "started":
            runs[one.job_id] += 1
            assert one.job_id not in settled_at, f"{one.job_id} ran again after it was settled"
    assert len(settled_at) > KILLS
    assert max(runs.values()) > 1, "no kill hit a running job: the test has shown nothing"


def test_one_pace_and_one_job_at_a_time_hold_over_both_processes(said: list[Said]) -> None:
    last = {one.job_id: one.process for one in said if one.what == "started"}
    # A process that stood still for as long as its lease has lost its job to the one that started it last.
    runs = [one for one in said if one.what == "started" or (one.what, one.process) == ("ended", last.get(one.job_id))]
    for earlier, later in pairwise(runs):
        if later.what == "ended":
            assert (earlier.what, earlier.job_id) == ("started", later.job_id), "two jobs ran at once"
        else:
            # After a kill the job before has no end; then its lease had to run out first.
            assert later.at - earlier.at >= worker.PAUSE, "a job started before the pause was over"


def test_the_file_is_sound(said: list[Said], path: Path) -> None:
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
