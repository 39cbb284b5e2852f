"""One worker of `test_processes.py`: `python -m benchmarks.worker_process FILE RATE SLOTS`.

It says "ready", waits for a line, runs jobs until the queue is empty, and prints when each of its own began.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from pacer import BoundedQueue, Scheduler
from pacer.pacing import TokenBucket, Unpaced
from pacer.stores.sqlite import SqliteStore

starts: list[float] = []


async def work() -> None:
    starts.append(time.time())


def scheduler(path: Path, rate: float, slots: int) -> Scheduler:
    """The same in every process; rate 0 is unpaced."""
    made = Scheduler(
        queue=BoundedQueue(100_000),
        pacing=TokenBucket(rate=rate) if rate else Unpaced(),
        store=SqliteStore(path),
        concurrency=slots,
    )

    made.task(name="work")(work)
    return made


async def main(path: str, rate: str, slots: str) -> None:
    async with scheduler(Path(path), float(rate), int(slots)) as running:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await running.resume()
        await running.drain()
    print(json.dumps(starts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
