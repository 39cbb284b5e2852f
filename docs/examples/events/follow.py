import anyio

from pacer import Scheduler, events


async def work() -> None:
    await anyio.sleep(5)


async def main() -> None:
    async with Scheduler() as scheduler, anyio.create_task_group() as tasks:
        tasks.start_soon(follow, scheduler)
        await anyio.sleep(1)
        await scheduler.enqueue(work)
        await scheduler.drain()
        tasks.cancel_scope.cancel()


async def follow(scheduler: Scheduler) -> None:
    with scheduler.subscribe(buffer=100) as subscription:
        async for event in subscription:
            match event:
                case events.JobEnqueued(position=position):
                    print(f"waits at position {position}")
                case events.JobStarted():
                    print("started")
                case events.JobSucceeded(duration=seconds):
                    print(f"done after {seconds:.0f} s")


if __name__ == "__main__":
    anyio.run(main)
