import anyio

from pacer import BoundedQueue, JobCancelledError, QueueFullError, Scheduler
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause


async def work() -> None:
    await anyio.sleep(20)


def make(queue: BoundedQueue) -> Scheduler:
    return Scheduler(
        queue=queue, pacing=FixedPause(10), estimator=MovingAverage(initial=20)
    )


async def fill(scheduler: Scheduler) -> str:
    """One job runs, two wait: full. Returns the id of the one that waits longest."""
    await scheduler.enqueue(work)
    await anyio.sleep(1)
    oldest = await scheduler.enqueue(work)
    await scheduler.enqueue(work)
    return oldest.job_id


async def main() -> None:
    async with make(BoundedQueue(2)) as scheduler:
        await fill(scheduler)
        try:
            await scheduler.enqueue(work)
        except QueueFullError as full:
            print(f"reject: {full}")

    async with make(BoundedQueue(2, when_full="wait", timeout=60)) as scheduler:
        await fill(scheduler)
        before = anyio.current_time()
        await scheduler.enqueue(work)
        print(f"wait: came in after {anyio.current_time() - before:.0f} s")

    async with make(BoundedQueue(2, when_full="drop-oldest")) as scheduler:
        oldest = await fill(scheduler)
        await scheduler.enqueue(work)
        try:
            await scheduler.wait(oldest)
        except JobCancelledError as dropped:
            print(f"drop-oldest: {dropped.reason}")


if __name__ == "__main__":
    anyio.run(main)
