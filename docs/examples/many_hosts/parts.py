from collections import Counter
from contextlib import AsyncExitStack
from zlib import crc32

import anyio

from pacer import BoundedQueue, Scheduler
from pacer.pacing import TokenBucket

PARTS = 4
RATE = 100  # a second: what the upstream allows for all of them


def part(number: int) -> Scheduler:
    return Scheduler(
        name=f"mails-{number}",
        queue=BoundedQueue(500),
        pacing=TokenBucket(RATE / PARTS),
        concurrency=5,  # store=PostgresStore(...), the same for all of them
    )


parts = [part(number) for number in range(PARTS)]
started: Counter[str] = Counter()


async def send(tenant: str) -> None:
    started[tenant] += 1


for one in parts:
    one.task(name="send")(send)


def part_of(tenant: str) -> Scheduler:
    return parts[crc32(tenant.encode()) % PARTS]


async def main() -> None:
    tenants = [f"tenant-{number}" for number in range(1, 9)]
    async with AsyncExitStack() as stack:
        for one in parts:
            await stack.enter_async_context(one)
        for tenant in tenants:
            for _ in range(100):
                await part_of(tenant).enqueue(send, tenant)
        await anyio.sleep(2)
    for one in parts:
        mine = [tenant for tenant in tenants if part_of(tenant) is one]
        count = sum(started[tenant] for tenant in mine)
        print(f"{one.name}: {count} mails in 2 s, for {', '.join(mine)}")


if __name__ == "__main__":
    anyio.run(main)
