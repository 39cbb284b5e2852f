import anyio

from pacer import Scheduler, call
from pacer.pacing import FixedWindow, TokenBucket
from pacer.simulation import FixedWindowLimit, History, Upstream, simulate
from pacer.stores.sqlite import SqliteStore


async def request() -> None:
    await anyio.sleep(0.01)


async def record() -> None:
    """So that there is something to look back on."""
    scheduler = Scheduler(store=SqliteStore("jobs.db"), concurrency=20)
    scheduler.task(request)
    async with scheduler:
        await scheduler.enqueue_many(call(request) for _ in range(40))
        await scheduler.drain()


async def main() -> None:
    await record()
    upstream = Upstream(FixedWindowLimit(20, per=60), latency=1)
    for pacing in (TokenBucket(20, per=60), FixedWindow(20, per=60)):
        scheduler = Scheduler(pacing=pacing, concurrency=20)
        result = simulate(scheduler, History("jobs.db"), upstream)
        print(f"{pacing}: the last of {result.arrived} after {result.makespan:.0f} s")


if __name__ == "__main__":
    anyio.run(main)
