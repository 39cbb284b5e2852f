"""One of several processes that keep one pace: `python pace_worker.py PLAN`, as JSON.

It says "ready", runs jobs until it is sent a line, and then prints, of each job that it ran, when the queue let it
start, and when it did by CLOCK_MONOTONIC, which is the same in all processes of a machine. Everything else here sees
clocks that are ahead by `skew` seconds, the wall clock and the monotonic one.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

CLOCK = time.clock_gettime


def skew_clocks(seconds: float) -> None:
    """For all that is imported from now on."""

    def ahead(read: Callable[[], float], by: float) -> Callable[[], float]:
        return lambda: read() + by

    for name in ("time", "monotonic", "perf_counter"):
        setattr(time, name, ahead(getattr(time, name), seconds))
        setattr(time, f"{name}_ns", ahead(getattr(time, f"{name}_ns"), int(seconds * 1e9)))


if __name__ == "__main__":
    skew_clocks(json.loads(sys.argv[1])["skew"])

import asyncio  # noqa: E402 - after the clocks have been set
from typing import Any  # noqa: E402

import attrs  # noqa: E402

import pacer.pacing  # noqa: E402
from pacer import BoundedQueue, Scheduler, events  # noqa: E402
from pacer.protocols import PacingPolicy, Store  # noqa: E402

WINDOW = 1.0


@attrs.frozen(kw_only=True)
class Plan:
    """What all processes of a run have in common, but for `skew`.

    Attributes:
        url: Of the server.
        place: The schema, or the prefix of the keys.
        pace: The name of a policy, and its settings.
        slots: In all, and of each process.
        skew: Seconds by which this process's clocks are ahead.
    """

    url: str
    place: str
    pace: tuple[str, dict[str, float]]
    slots: tuple[int, int]
    skew: float = 0.0

    @property
    def pacing(self) -> PacingPolicy[Any]:
        name, settings = self.pace
        policy: PacingPolicy[Any] = getattr(pacer.pacing, name)(**settings)
        return policy

    def store(self) -> Store:
        if self.url.startswith("redis"):
            from pacer.stores.redis import RedisStore

            return RedisStore(self.url, prefix=self.place)
        from pacer.stores.postgres import PostgresStore

        return PostgresStore(self.url, schema=self.place)

    def scheduler(self, *, works: bool) -> Scheduler:
        """The same in every process; one that does not work enqueues and asks."""
        slots, here = self.slots
        scheduler = Scheduler(
            queue=BoundedQueue(1_000_000),
            pacing=self.pacing,
            store=self.store(),
            concurrency=slots,
            worker_concurrency=here if works else 0,
        )
        scheduler.task(name="work")(work)
        return scheduler


started: list[float] = []
allowed: list[float] = []


async def work() -> None:
    started.append(CLOCK(time.CLOCK_MONOTONIC))


def observe(event: events.Event) -> None:
    if isinstance(event, events.JobStarted):
        allowed.append(event.at)


async def main(plan: Plan) -> None:
    scheduler = attrs.evolve(plan.scheduler(works=True), observers=(observe,))
    scheduler.task(name="work")(work)
    async with scheduler:
        print("ready", flush=True)  # noqa: T201 - that is how it says so
        await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps(list(zip(allowed, started, strict=True))), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(Plan(**json.loads(sys.argv[1]))))
