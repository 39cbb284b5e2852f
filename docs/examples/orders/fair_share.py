import anyio

from pacer import BoundedQueue, Scheduler
from pacer.pacing import FixedPause
from pacer.queues import FairShare

order = FairShare(weights={"paying": 2})
scheduler = Scheduler(queue=BoundedQueue(50, order=order), pacing=FixedPause(1))
served: list[str] = []


async def work(tenant: str) -> None:
    served.append(tenant)


async def main() -> None:
    async with scheduler:
        await scheduler.pause()  # so that all of them are there before the first starts
        for tenant in ["flood"] * 6 + ["paying"] * 4 + ["other"] * 2:
            await scheduler.options(key=tenant).enqueue(work, tenant)
        await scheduler.resume()
        await scheduler.drain()
    print(", ".join(served))


if __name__ == "__main__":
    anyio.run(main)
