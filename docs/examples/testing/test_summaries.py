import anyio
from summaries import make_scheduler, summarise

from pacer import Scheduler, Throttled
from pacer.backoff import ExponentialBackoff
from pacer.events import JobStarted, QueueHeld
from pacer.pacing import FixedPause
from pacer.testing import Recorder, run_virtual


def test_a_hundred_minutes_of_jobs_take_no_time() -> None:
    async def scenario() -> float:
        async with make_scheduler() as scheduler:
            for number in range(50):
                await scheduler.enqueue(summarise, f"Paper {number}")
            assert await scheduler.drain(timeout=2000)
            return anyio.current_time()

    assert (
        run_virtual(scenario) == 50 * 20 + 49 * 10
    )  # no pause after the last one is waited for


def test_a_throttled_job_holds_the_queue_and_runs_again() -> None:
    answers = iter([Throttled(retry_after=42, reason="limit_requests"), None])
    recorder = Recorder()

    async def call_upstream() -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    async def scenario() -> None:
        scheduler = Scheduler(
            pacing=FixedPause(10), backoff=ExponentialBackoff(15), observers=(recorder,)
        )
        async with scheduler:
            await scheduler.wait(await scheduler.enqueue(call_upstream))

    run_virtual(scenario)
    assert [event.at for event in recorder.of(JobStarted)] == [0, 42]
    assert [event.seconds for event in recorder.of(QueueHeld)] == [42]
