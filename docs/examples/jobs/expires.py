import anyio

from pacer import BoundedQueue, JobCancelledError, Scheduler
from pacer.pacing import FixedPause
from pacer.queues import EarliestDeadline

queue = BoundedQueue(50, order=EarliestDeadline())
scheduler = Scheduler(queue=queue, pacing=FixedPause(10))


@scheduler.task
async def refresh(name: str) -> None:
    print(f"t = {anyio.current_time():2.0f} s: {name}")


async def main() -> None:
    async with scheduler:
        first = await scheduler.enqueue(refresh, "then a pause of 10 s")
        await scheduler.wait(first)
        await scheduler.enqueue(refresh, "no hurry")
        await scheduler.options(expires=60).enqueue(refresh, "within a minute")
        late = await scheduler.options(expires=5).enqueue(refresh, "within 5 s")
        try:
            await scheduler.wait(late)
        except JobCancelledError as error:
            print(f"t = {anyio.current_time():2.0f} s: {error.reason}")
        await scheduler.drain()


if __name__ == "__main__":
    anyio.run(main)
