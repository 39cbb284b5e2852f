import anyio

from pacer import Scheduler

scheduler = Scheduler()


@scheduler.every(60)
async def sweep() -> None:
    print(f"{anyio.current_time():3.0f} s: swept")


@scheduler.task(name="report")
async def report(kind: str) -> None:
    print(f"{anyio.current_time():3.0f} s: {kind} report")


scheduler.every(100, name="short-report").call(report, "short")
scheduler.every(150, name="long-report", priority=-1).call(report, "long")


async def main() -> None:
    async with scheduler:
        await anyio.sleep(210)


if __name__ == "__main__":
    anyio.run(main)
