from collections import Counter

import anyio

from pacer import LoggingObserver, Scheduler, events
from pacer.pacing import FixedPause

counts: Counter[str] = Counter()
waited: list[float] = []


def measure(event: events.Event) -> None:
    counts[type(event).__name__] += 1
    match event:
        case events.JobStarted(waited=seconds):
            waited.append(seconds)


async def work() -> None:
    await anyio.sleep(5)


async def main() -> None:
    scheduler = Scheduler(pacing=FixedPause(10), observers=(LoggingObserver(), measure))
    async with scheduler:
        for _ in range(3):
            await scheduler.enqueue(work)
        await scheduler.drain()
    print(dict(counts))
    print("waited:", waited)


if __name__ == "__main__":
    anyio.run(main)
