import anyio

from pacer import Scheduler
from pacer.pacing import PerKey, TokenBucket

# One request every 2 seconds for each tenant, and one a second for all of them.
scheduler = Scheduler(
    pacing=PerKey(TokenBucket(30, per=60)) & TokenBucket(60, per=60), concurrency=10
)


async def request(tenant: str) -> None:
    print(f"t = {anyio.current_time():.0f} s: {tenant}")


async def main() -> None:
    async with scheduler:
        for tenant in ("a", "a", "a", "b", "c"):
            await scheduler.options(key=tenant).enqueue(request, tenant)
        await scheduler.drain()


if __name__ == "__main__":
    anyio.run(main)
