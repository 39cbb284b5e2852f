import anyio

from pacer import BoundedQueue, Scheduler
from pacer.queues import Priority

scheduler = Scheduler(queue=BoundedQueue(50, order=Priority(ageing=600)))


@scheduler.task
async def report(customer: str) -> None:
    print(f"t = {anyio.current_time():2.0f} s: {customer}")


async def main() -> None:
    async with scheduler:
        await scheduler.pause()  # so that the order below is not the order of arrival

        await scheduler.enqueue(report, "somebody")
        await scheduler.options(priority=5).enqueue(report, "somebody urgent")
        await scheduler.options(delay=30).enqueue(report, "somebody later")

        nightly = scheduler.options(unique="nightly")
        first = await nightly.enqueue(report, "everybody")
        again = await nightly.enqueue(report, "everybody")  # the first one still waits
        print(f"created: {first.created}, then {again.created}")
        print(f"the same job: {first.job_id == again.job_id}")

        await scheduler.resume()
        await scheduler.drain()


if __name__ == "__main__":
    anyio.run(main)
