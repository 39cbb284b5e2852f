import anyio

from pacer import Retry, Scheduler, current_job
from pacer.backoff import ExponentialBackoff, NoBackoff

scheduler = Scheduler(backoff=NoBackoff())


@scheduler.task(timeout=30, retry=Retry(attempts=3, backoff=ExponentialBackoff(5)))
async def flaky(name: str) -> str:
    job = current_job()
    print(f"t = {anyio.current_time():2.0f} s: {name}, attempt {job.attempt}")
    if name == "a" and job.attempt < 3:
        raise ConnectionError("reset by peer")
    return name


async def main() -> None:
    async with scheduler:
        for name in "ab":
            await scheduler.enqueue(flaky, name)
        await scheduler.drain()


if __name__ == "__main__":
    anyio.run(main)
