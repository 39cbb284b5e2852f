import anyio

from pacer import JobCancelledError, Scheduler, current_job

scheduler = Scheduler(concurrency=2)


async def read(pages: int) -> None:
    for page in range(pages):
        current_job().progress(page / pages, f"page {page + 1} of {pages}")
        await anyio.sleep(1)


async def main() -> None:
    async with scheduler:
        short = await scheduler.enqueue(read, 4)
        long = await scheduler.enqueue(read, 1000)
        await anyio.sleep(2.5)
        job = await scheduler.job(short.job_id)
        print(f"{job.state}: {job.progress:.0%}, {job.message}")

        await scheduler.cancel(long.job_id)
        try:
            await scheduler.wait(long)
        except JobCancelledError as error:
            print(error.reason)

        await scheduler.pause()
        status = await scheduler.status()
        print(f"{status.running} running, paused: {status.paused}")
        print(f"nothing starts because: {status.waiting_for}")
        await scheduler.resume()

        print("empty in time:", await scheduler.drain(timeout=60))


if __name__ == "__main__":
    anyio.run(main)
