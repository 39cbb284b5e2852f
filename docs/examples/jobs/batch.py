import anyio

from pacer import BoundedQueue, QueueFullError, Scheduler, call

scheduler = Scheduler(queue=BoundedQueue(5))


async def analyse(paper: str) -> str:
    await anyio.sleep(10)
    return paper.upper()


async def main() -> None:
    async with scheduler:
        batch = await scheduler.enqueue_many(
            call(analyse, paper) for paper in ("a", "b", "c", "d")
        )
        try:
            await scheduler.enqueue_many(call(analyse, paper) for paper in ("e", "f"))
        except QueueFullError:
            print("no room for both, so neither was taken")

        await anyio.sleep(25)
        progress = await scheduler.batch(batch.batch_id)
        print(f"{progress.finished} of {progress.total} done, {progress.fraction:.0%}")
        print([await scheduler.wait(receipt) for receipt in batch.receipts])


if __name__ == "__main__":
    anyio.run(main)
