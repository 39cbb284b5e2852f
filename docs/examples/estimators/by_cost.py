from typing import Any

import anyio

from pacer import BoundedQueue, Scheduler
from pacer.estimators import ByCost, MovingAverage, PerKind
from pacer.protocols import DurationEstimator


async def summarise(tokens: int) -> None:
    await anyio.sleep(2 + 0.01 * tokens)


async def last_of_five(estimator: DurationEstimator[Any]) -> str:
    async with Scheduler(queue=BoundedQueue(50), estimator=estimator) as scheduler:
        for tokens in (500, 3000, 1000, 2000) * 5:  # so that it has something to go by
            await scheduler.options(cost={"tokens": tokens}).enqueue(summarise, tokens)
        await scheduler.drain()

        for tokens in [100] * 5:  # 3 s each, so the last starts after 12 s
            job = scheduler.options(cost={"tokens": tokens})
            receipt = await job.enqueue(summarise, tokens)
        wait = receipt.estimate
        assert wait is not None
        return f"{wait.seconds:.0f} s ({wait.low:.0f} to {wait.high:.0f})"


async def main() -> None:
    print("MovingAverage:", await last_of_five(MovingAverage()))
    print("ByCost:", await last_of_five(ByCost()))
    print("PerKind(ByCost):", await last_of_five(PerKind(ByCost())))


if __name__ == "__main__":
    anyio.run(main)
