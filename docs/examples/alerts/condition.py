import anyio
import attrs

from pacer import Scheduler
from pacer.alerts import Alert, AlertMessage, Finding, Look
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause


@attrs.frozen
class LongWait:
    """A job that came in now would start too late."""

    seconds: float

    def check(self, look: Look, before: Finding | None) -> Finding | None:
        estimate = look.estimate
        if estimate is None or estimate.seconds <= self.seconds:
            return None
        return Finding(
            text=f"a new job would start in {estimate.seconds:.0f} s",
            since=look.now if before is None else before.since,
            fields={"estimate_seconds": estimate.seconds},
        )


async def work() -> None:
    await anyio.sleep(1)


async def tell(message: AlertMessage) -> None:
    print(message.text)


async def main() -> None:
    alerts = [Alert(LongWait(300), tell)]
    async with Scheduler(
        pacing=FixedPause(10), estimator=MovingAverage(initial=1), alerts=alerts
    ) as scheduler:
        await anyio.sleep(5)
        for _ in range(40):
            await scheduler.enqueue(work)
        await scheduler.drain()
        await anyio.sleep(60)


if __name__ == "__main__":
    anyio.run(main)
