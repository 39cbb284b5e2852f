import anyio

from pacer import Scheduler
from pacer.backoff import CircuitBreaker

scheduler = Scheduler(backoff=CircuitBreaker(failures=3, open_for=30), concurrency=3)


async def request(number: int) -> None:
    now = anyio.current_time()
    up = now >= 40
    print(f"t = {now:2.0f} s: {number} {'is answered' if up else 'fails'}")
    await anyio.sleep(1)
    if not up:
        raise ConnectionError("the upstream is away")


async def main() -> None:
    async with scheduler:
        for number in range(1, 13):
            await scheduler.enqueue(request, number)
        await scheduler.drain()


if __name__ == "__main__":
    anyio.run(main)
