"""The same workload and upstream behind a real scheduler on a virtual-time loop."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import anyio
import attrs

from pacer import OutcomeKind, QueueFullError, Scheduler, Throttled, current_job, events
from pacer.simulation import Client, Happening, Upstream, Workload
from pacer.simulation._upstream import RunningUpstream
from pacer.testing import run_virtual

WHAT = {
    events.JobStarted: "started",
    events.JobSucceeded: "succeeded",
    events.JobThrottled: "throttled",
    events.JobRescheduled: "failed",
    events.JobFailed: "ended",
    events.JobDropped: "dropped",
    events.JobExpired: "expired",
}


@attrs.frozen
class Step:
    """One line of a timeline."""

    at: float
    what: str
    job: int


async def until(at: float) -> None:
    """Exactly then: `anyio.sleep_until` sleeps for a difference, which may be off by a rounding error."""
    loop = asyncio.get_running_loop()
    if at > loop.time():
        reached = loop.create_future()
        loop.call_at(at, reached.set_result, None)
        await reached


def real_timeline(client: Client, workload: Workload, upstream: Upstream, seed: int) -> list[Step]:
    """What a real scheduler does with these jobs. The scheduler must have a seed of its own."""
    steps: list[Step] = []

    def observe(event: Any) -> None:
        if type(event) in WHAT:
            steps.append(Step(event.at, WHAT[type(event)], int(event.job_id)))

    async def main() -> None:
        scheduler: Scheduler = attrs.evolve(client.scheduler, observers=(observe,))
        service = RunningUpstream(upstream, Random(f"{seed}/upstream"))
        async with scheduler:

            @scheduler.task(name="job")
            async def run(arrival: Any) -> None:
                seconds, outcome = service.ask(anyio.current_time(), arrival)
                if outcome.limits or outcome.cost:  # as of now, as headers would be taken
                    current_job().report(limits=outcome.limits, cost=outcome.cost)
                await anyio.sleep(seconds)
                service.answered()
                if outcome.kind is OutcomeKind.THROTTLED:
                    raise Throttled(outcome.retry_after, outcome.error)
                if outcome.kind is OutcomeKind.FAILED:
                    raise RuntimeError(outcome.error)

            for number, arrival in enumerate(workload.arrivals(Random(f"{seed}/workload"))):
                await until(arrival.at)
                options = scheduler.options(
                    job_id=str(number),
                    key=arrival.key,
                    priority=arrival.priority,
                    cost=arrival.cost,
                    retry=client.retry,
                    expires=client.expires,
                )
                try:
                    await options.enqueue(run, arrival)
                except QueueFullError:
                    steps.append(Step(anyio.current_time(), "refused", number))
            await scheduler.drain()

    run_virtual(main)
    return steps


def simulated_timeline(happenings: list[Happening]) -> list[Step]:
    """A simulation's happenings, without arrivals; the run with which a job fails for good is its end."""
    steps: list[Step] = []
    for one in happenings:
        if one.what == "ended":
            steps.pop()
        if one.what != "arrived":
            steps.append(Step(one.at, one.what, one.job))
    return steps
