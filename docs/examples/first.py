import anyio

from pacer import BoundedQueue, Scheduler
from pacer.backoff import ExponentialBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause

scheduler = Scheduler(
    queue=BoundedQueue(50),  # the 51st waiting job is refused, with a time to come back
    pacing=FixedPause(10),  # 10 s between the end of a job and the next start
    # 0, 15, 30, 60, ... 300 s on top, after failures in a row
    backoff=ExponentialBackoff(15, maximum=300, after=2),
    estimator=MovingAverage(initial=20, weight=0.2),
)


async def summarise(text: str) -> str:
    await anyio.sleep(20)  # here you call the service that limits you
    return text.partition(" ")[0]


async def main() -> None:
    async with scheduler:
        texts = ["One fish", "Two fish", "Red fish"]
        receipts = [await scheduler.enqueue(summarise, text) for text in texts]
        for receipt in receipts:
            if wait := receipt.estimate:  # None if no time can be named
                seconds = f"{wait.seconds:.0f} s ({wait.low:.0f} to {wait.high:.0f})"
                print(f"position {receipt.position}: in {seconds}")
        for receipt in receipts:
            print(await scheduler.wait(receipt))


if __name__ == "__main__":
    anyio.run(main)
