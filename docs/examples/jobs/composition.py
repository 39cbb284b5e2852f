import anyio

from pacer import Scheduler, Throttled
from pacer.backoff import ExponentialBackoff
from pacer.pacing import FixedPause

scheduler = Scheduler(
    pacing=FixedPause(10), backoff=ExponentialBackoff(15, maximum=300, after=2)
)
script = iter(["fail", "fail", "fail", "succeed", "throttled", "succeed"])


async def act() -> None:
    step = next(script)
    print(f"t = {anyio.current_time():3.0f} s: {step}")
    match step:
        case "fail":
            raise ConnectionError
        case "throttled":
            raise Throttled(retry_after=30)


async def main() -> None:
    async with scheduler:
        for _ in range(5):  # the throttled one runs twice
            await scheduler.enqueue(act)
        await scheduler.drain()


if __name__ == "__main__":
    anyio.run(main)
