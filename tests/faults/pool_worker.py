"""Workers for tests of faults: a process that starts them by forking, so that one is up in a moment.

It reads a line of JSON for each order on stdin and answers each with a line: `{"start": {...}}` with the process id of
a new worker, `{"wait": 123}` with how that one ended, as `subprocess.Popen.returncode` would say it.

A worker enqueues and runs jobs until it is killed, and writes down in the log all that it does. A line of the log is
one `write` to a file that was opened for appending, so that it is there whole or not at all, in the true order.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import anyio
import attrs

from pacer import (
    BoundedQueue,
    JobState,
    QueueFullError,
    Retry,
    Scheduler,
    StoreUnavailableError,
    Throttled,
    current_job,
    events,
)
from pacer.backoff import NoBackoff
from pacer.pacing import MinInterval
from pacer.protocols import Store

INTERVAL = 0.004
CONCURRENCY = 10
LEASE = 0.6
POLL = 0.05
CAPACITY = 30
LATE = (
    "anyio._backends._asyncio",
    "psycopg",
    "redis",
    *(f"pacer.stores.{one}" for one in ("postgres", "redis", "sqlite")),
)


@attrs.frozen(kw_only=True)
class Plan:
    """What a worker is told.

    Attributes:
        name: Its own, in the log.
        log: The file.
        store: "postgres", "redis" or "sqlite".
        address: Where that is.
        place: The schema, or the prefix of keys.
        produces: Whether it enqueues, too.
        skew: Seconds by which the clock on its wall is ahead.
        lease: Of its store, in seconds.
        takes: Seconds that a job takes.
        moody: Whether some runs fail or are throttled.
        every: Seconds from one periodic job to the next; 0 for none.
        frail: The share of runs that fail for good; then workers have what has failed run again, too.
    """

    name: str
    log: str
    store: str
    address: str
    place: str
    produces: bool = True
    skew: float = 0.0
    lease: float = LEASE
    takes: float = 0.01
    moody: bool = False
    every: float = 0.0
    frail: float = 0.0

    def by_way_of(self, port: int) -> str:
        """The address, with another port."""
        return re.sub(r":\d+/", f":{port}/", self.address)


@attrs.define(eq=False)
class Log:
    """What happened, by everybody, in one file."""

    path: str
    who: str

    def write(self, what: str, job: str = "", **more: Any) -> None:
        """One line more."""
        # This clock is the same in all processes, and nobody can set it.
        line = {"what": what, "who": self.who, "job": job, "at": time.clock_gettime(time.CLOCK_MONOTONIC), **more}
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(descriptor, (json.dumps(line) + "\n").encode())
        finally:
            os.close(descriptor)

    def observe(self, event: Any) -> None:
        """Events that say what has been committed."""
        match event:
            case events.JobStarted():
                # The host's clock, also where a test has moved the clock that Python code sees.
                wall = time.clock_gettime(time.CLOCK_REALTIME)
                self.write("claimed", event.job_id, decided=event.at, wall=wall)
            case events.JobSucceeded():
                self.write("settled", event.job_id, decided=event.at)
            case events.JobFailed():
                self.write("failed", event.job_id, decided=event.at, error=event.error)
            case events.OutcomeRefused():
                self.write("fenced", event.job_id)
            case events.JobRecovered():
                self.write("recovered", event.job_id, state=event.state)
            case events.JobRescheduled() | events.JobThrottled():
                self.write("again", event.job_id)
            case events.StoreFailed():
                self.write("store-failed", error=f"{event.action}: {event.error}")
            case events.PartMisbehaved():
                self.write("misbehaved", error=event.problem)
            case _:
                pass


def make_store(plan: Plan) -> Store:
    """The store of one kind."""
    match plan.store:
        case "postgres":
            from pacer.stores.postgres import PostgresStore

            return PostgresStore(plan.address, schema=plan.place, lease=plan.lease, poll=POLL)
        case "redis":
            from pacer.stores.redis import RedisStore

            return RedisStore(plan.address, prefix=plan.place, lease=plan.lease, poll=POLL)
        case "sqlite":
            from pacer.stores.sqlite import SqliteStore

            return SqliteStore(plan.address, durability="process", lease=plan.lease, poll=POLL)
    raise ValueError(plan.store)


def make_scheduler(plan: Plan, **more: Any) -> tuple[Scheduler, Any]:
    """A scheduler of the queue that all workers share, and its task."""
    log, random = Log(plan.log, plan.name), Random()
    scheduler = Scheduler(
        queue=BoundedQueue(CAPACITY),
        pacing=MinInterval(INTERVAL),
        store=make_store(plan),
        concurrency=CONCURRENCY,
        max_recoveries=10_000,
        max_throttles=10_000,
        observers=(log.observe,),
        **more,
    )

    @scheduler.task(name="work", retry=Retry(1 if plan.frail else 10_000, NoBackoff()))
    async def work(number: int) -> int:
        job = current_job().id
        log.write("began", job)
        try:
            await anyio.sleep(plan.takes)
            if plan.moody and random.random() < 0.2:
                raise random.choice([RuntimeError("a bad day"), Throttled(0.02)])
            if random.random() < plan.frail:
                raise RuntimeError("broken")
        except BaseException:
            log.write("left", job)
            raise
        log.write("ended", job)
        return number

    if plan.every:
        scheduler.every(plan.every, name="tick", missed="all").call(work, 0)
    return scheduler, work


async def produce(scheduler: Scheduler, work: Any, log: Log) -> None:
    """Enqueue one job after the other, each as often as it takes until the store says that it has it."""
    for number in range(100_000):
        job = f"{log.who}-{number}"
        log.write("asked", job)
        while True:
            try:
                await scheduler.options(job_id=job).enqueue(work, number)
            except QueueFullError as full:
                await anyio.sleep(min(full.retry_after, 0.02))
            except StoreUnavailableError as error:
                log.write("refused", job, error=str(error))
                await anyio.sleep(0.02)
            else:
                log.write("acknowledged", job)
                break


async def mend(scheduler: Scheduler, log: Log) -> None:
    """Have what has failed run again, as long as somebody works."""
    while True:
        await anyio.sleep(0.05)
        try:
            retried = await scheduler.retry_all(JobState.FAILED)
        except StoreUnavailableError as error:
            log.write("refused", error=str(error))
        else:
            log.write("mended", error=str(retried.count))


async def work_on(plan: Plan) -> None:
    """Until killed."""
    scheduler, work = make_scheduler(plan)
    log = Log(plan.log, plan.name)
    while True:
        log.write("opening")
        try:
            async with scheduler:
                log.write("open")
                async with anyio.create_task_group() as group:
                    if plan.frail:
                        group.start_soon(mend, scheduler, log)
                    if plan.produces:
                        await produce(scheduler, work, log)
                    await anyio.sleep_forever()
        except StoreUnavailableError as error:  # as long as the server cannot be reached nothing can begin
            log.write("refused", error=str(error))
            await anyio.sleep(0.02)


async def finish(plan: Plan, jobs: set[str]) -> tuple[dict[str, JobState], dict[str, int]]:
    """A last worker, which lives: it drains the queue and looks the jobs up. Returns states, and what is left."""
    scheduler, _ = make_scheduler(plan)
    async with scheduler:
        assert await scheduler.drain(timeout=90), f"the queue does not empty: {await scheduler.status()}"
        status = await scheduler.status()
        states = {}
        for job in jobs:
            found = await scheduler.job(job)
            states[job] = found.state
            if found.state is JobState.FAILED:
                print(f"{job} failed: {found.error}")  # noqa: T201 - shown with the test that it makes fail
        return states, {"pending": status.pending, "running": status.running, "succeeded": status.succeeded}


def main() -> None:
    """Start workers as told, until nobody tells any more."""
    for line in sys.stdin:
        order: Mapping[str, Any] = json.loads(line)
        if "start" in order:
            answer = _fork(Plan(**order["start"]))
        else:
            _, status = os.waitpid(order["wait"], 0)
            answer = os.waitstatus_to_exitcode(status)
        print(answer, flush=True)  # noqa: T201 - this is how it answers


def _fork(plan: Plan) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        # Its own end is all that it can be told, and it says nothing but what is in the log.
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(2, 1)
        if plan.skew:
            told = time.time
            time.time = lambda: told() + plan.skew
        anyio.run(work_on, plan)
        status = 0
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    for module in LATE:  # which each worker need not import then
        importlib.import_module(module)
    main()
