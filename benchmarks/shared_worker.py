"""One worker of `test_shared_queues.py`: `python -m benchmarks.shared_worker URL QUEUE SLOTS ALL_SLOTS`.

It says "ready", waits for a line, runs jobs until its queue is empty, and prints when each of its own began.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from pacer import BoundedQueue, Scheduler
from pacer.stores._from_url import StoreUrl

starts: list[float] = []


async def work() -> None:
    starts.append(time.monotonic())


def scheduler(url: str, queue: str, slots: int, all_slots: int) -> Scheduler:
    """The same in every process but for its own slots."""
    made = Scheduler(
        queue=BoundedQueue(100_000),
        store=StoreUrl.parse(url).store(),
        name=queue,
        concurrency=all_slots,
        worker_concurrency=slots,
    )
    made.task(name="work")(work)
    return made


async def main(url: str, queue: str, slots: str, all_slots: str) -> None:
    async with scheduler(url, queue, int(slots), int(all_slots)) as running:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await running.resume()
        await running.drain()
    print(json.dumps(starts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
