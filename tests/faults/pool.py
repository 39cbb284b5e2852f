"""A pool of worker processes that a test starts, kills, stops and wakes, and what the log says of them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import history
import pool_worker
import psutil
from history import Entry, History
from waiting import until


@attrs.frozen
class Process:
    """One worker."""

    name: str
    pid: int


@attrs.define(eq=False)
class Pool:
    """Workers on one queue.

    Attributes:
        plan: What each of them is told.
        alive: Those that have not been killed.
    """

    plan: pool_worker.Plan
    _nursery: subprocess.Popen[str]
    _complaints: Path
    alive: list[Process] = attrs.field(init=False, factory=list)
    _from: int = attrs.field(init=False, default=0)
    _numbers: Iterator[int] = attrs.field(init=False, factory=itertools.count)

    # -- workers ------------------------------------------------------------------------------------------------------

    def start(self, **more: Any) -> Process:
        """One more; `more` is what it is told otherwise than the rest."""
        plan = attrs.evolve(self.plan, **{"name": f"w{next(self._numbers)}", **more})
        process = Process(plan.name, self._order({"start": attrs.asdict(plan)}))
        self.alive.append(process)
        return process

    def kill(self, process: Process) -> None:
        """As the kernel does when memory is short."""
        self.note("killed", process)
        os.kill(process.pid, signal.SIGKILL)
        self.alive.remove(process)
        status = self._order({"wait": process.pid})
        assert status == -signal.SIGKILL, f"{process} ended by itself:\n{self._complaints.read_text()}"

    def stop(self, process: Process) -> None:
        """It does nothing any more until it is woken, and does not know it."""
        os.kill(process.pid, signal.SIGSTOP)
        self.note("stopped", process)

    def wake(self, process: Process) -> None:
        """It goes on where it was stopped."""
        self.note("woken", process)
        os.kill(process.pid, signal.SIGCONT)

    def end(self) -> None:
        """Kill all of them."""
        for process in [*self.alive]:
            self.kill(process)

    def note(self, what: str, process: Process) -> None:
        """Write down in the log what is done to a worker."""
        pool_worker.Log(self.plan.log, process.name).write(what)

    def _order(self, order: Any) -> int:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(json.dumps(order) + "\n")
        self._nursery.stdin.flush()
        return int(self._nursery.stdout.readline())

    # -- the log ------------------------------------------------------------------------------------------------------

    @property
    def log(self) -> Path:
        return Path(self.plan.log)

    def wait_for_lines(self, count: int) -> None:
        """Wait until so many more things have happened."""
        size = self.log.stat().st_size
        # A line is no shorter than 60 bytes and few are longer than 120.
        self.until(lambda: self.log.stat().st_size >= size + 100 * count)

    def linger(self, lines: int, seconds: float) -> None:
        """Let so many more things happen, or fewer, if they do not come in this time."""
        size, end = self.log.stat().st_size, time.monotonic() + seconds
        until(lambda: self.log.stat().st_size >= size + 100 * lines or time.monotonic() >= end)

    def wait_for(self, what: str, count: int = 1, *, who: str | None = None, job: str | None = None) -> list[Entry]:
        """Wait until something has happened so often since `now`, to one worker or job or any. Returns when it did."""
        found: list[Entry] = []

        def enough() -> bool:
            seen = self.seen(what)
            found[:] = [one for one in seen if who in (None, one.who) and job in (None, one.job)]
            return len(found) >= count

        self.until(enough, about=job or who or "")
        return found

    def seen(self, what: str) -> list[Entry]:
        """What has happened of this kind since `now`."""
        with self.log.open() as file:
            file.seek(self._from)
            entries = [Entry(**json.loads(line)) for line in file if line.endswith("\n")]
        return [one for one in entries if one.what == what]

    def now(self) -> None:
        """What has happened so far is not waited for."""
        self._from = self.log.stat().st_size

    def until(self, look: Callable[[], object], about: str = "") -> None:
        """Wait, and say what the workers complained of, and what the log has about something, if it is in vain."""

        def alive() -> object:
            dead = [one for one in self.alive if psutil.Process(one.pid).status() == psutil.STATUS_ZOMBIE]
            assert not dead, f"{dead} ended"
            return look()

        try:
            until(alive)
        except AssertionError as error:
            lines = [line for line in self.log.read_text().splitlines() if f'"{about}"' in line or not about]
            last = "\n".join(lines[-30:])
            raise AssertionError(f"{error}\n{self._complaints.read_text()}\n{last}") from None

    def finish(self) -> History:
        """End all, drain the queue, and gather what there is to be checked."""
        self.end()
        entries = history.read(self.log)
        jobs = {entry.job for entry in entries if entry.what == "acknowledged"}
        states, left = anyio.run(pool_worker.finish, attrs.evolve(self.plan, name="last"), jobs)
        assert (left["pending"], left["running"]) == (0, 0)
        return History(history.read(self.log), states, pool_worker.INTERVAL, pool_worker.CONCURRENCY, self.plan.lease)


@contextmanager
def pool(plan: pool_worker.Plan, directory: Path) -> Iterator[Pool]:
    """A pool with nobody in it yet; all are gone at the end."""
    complaints = directory / "complaints"
    Path(plan.log).touch()
    with complaints.open("wb") as stderr:
        nursery = subprocess.Popen(
            [sys.executable, str(Path(pool_worker.__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    found = Pool(plan, nursery, complaints)
    try:
        with nursery:
            try:
                yield found
            finally:
                for process in found.alive:
                    os.kill(process.pid, signal.SIGKILL)
                assert nursery.stdin is not None
                nursery.stdin.close()
    finally:
        found.alive.clear()
