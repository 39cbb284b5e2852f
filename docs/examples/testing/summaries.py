import anyio

from pacer import BoundedQueue, Scheduler
from pacer.pacing import FixedPause


async def summarise(text: str) -> str:
    await anyio.sleep(20)
    return text.partition(" ")[0]


def make_scheduler() -> Scheduler:
    return Scheduler(queue=BoundedQueue(50), pacing=FixedPause(10))
