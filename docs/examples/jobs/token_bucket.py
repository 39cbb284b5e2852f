import anyio

from pacer import Scheduler
from pacer.pacing import TokenBucket

# 30 requests a minute, up to 3 at one moment after idle time, and at most 4 under way.
scheduler = Scheduler(pacing=TokenBucket(rate=30, per=60, burst=3), concurrency=4)
starts: list[float] = []


async def request() -> None:
    starts.append(anyio.current_time())
    await anyio.sleep(5)


async def main() -> None:
    async with scheduler:
        for _ in range(8):
            await scheduler.enqueue(request)
        await scheduler.drain()
    print([round(start - starts[0], 2) for start in starts])


if __name__ == "__main__":
    anyio.run(main)
