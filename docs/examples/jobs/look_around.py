import anyio

from pacer import JobState, Scheduler
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause

scheduler = Scheduler(
    pacing=FixedPause(10), estimator=MovingAverage(initial=2), observers=()
)


@scheduler.task(name="analyse")
async def analyse(number: int) -> None:
    await anyio.sleep(2)
    if number == 1:
        raise ValueError("no text on page 3")


async def main() -> None:
    async with scheduler:
        for number in range(1, 8):
            await scheduler.options(job_id=f"paper-{number}").enqueue(analyse, number)
        await anyio.sleep(4)

        why = await scheduler.explain("paper-7")
        assert why.seconds is not None
        assert why.estimate is not None
        print(f"{why.ahead} jobs are before paper-7")
        print(f"nothing starts for {why.seconds:.0f} s: {why.reason}")
        print(f"it starts in about {why.estimate.seconds:.0f} s")

        await scheduler.set_numbers({"pacing.seconds": 5})
        why = await scheduler.explain("paper-7")
        assert why.estimate is not None
        print(f"with a pause of 5 s, in about {why.estimate.seconds:.0f} s")

        page = await scheduler.jobs(JobState.FAILED)
        print([(job.id, job.error) for job in page.jobs])
        await scheduler.retry("paper-1")
        print("next:", [upcoming.job.id for upcoming in await scheduler.upcoming(3)])


if __name__ == "__main__":
    anyio.run(main)
