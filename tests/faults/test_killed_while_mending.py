"""Workers are killed with SIGKILL while all of them have failed jobs run again, and periodic jobs come in."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import anyio
import attrs
import history
from history import History
from pool import Pool
from pool_worker import CONCURRENCY, INTERVAL, Plan, make_scheduler

from pacer import JobState, Scheduler

KILLS = 20
EVERY = 0.1


async def mended(plan: Plan) -> tuple[dict[JobState, list[str]], Any, Any]:
    """A last worker has all run again until none has failed. Returns the jobs by state, their tally, the minutes."""
    scheduler, _ = make_scheduler(attrs.evolve(plan, name="last", every=0.0, frail=0.0))
    async with scheduler:
        while True:
            assert await scheduler.drain(timeout=90), f"the queue does not empty: {await scheduler.status()}"
            if not (await scheduler.retry_all(JobState.FAILED)).count:
                break
        status = await scheduler.status()
        assert (status.pending, status.running) == (0, 0)
        jobs = {state: [one async for one in listed(scheduler, state)] for state in JobState}
        return jobs, await scheduler.tally(), await scheduler.history()


async def listed(scheduler: Scheduler, state: JobState) -> Any:
    """The ids of all jobs in this state."""
    after = None
    while True:
        page = await scheduler.jobs(state, limit=100, after=after)
        for job in page.jobs:
            yield job.id
        if page.after is None:
            return
        after = page.after


def test_each_job_succeeds_once_and_what_is_listed_and_counted_is_what_there_is(workers: Pool) -> None:
    random = Random(KILLS)
    workers.plan = attrs.evolve(workers.plan, every=EVERY, frail=0.3)
    for _ in range(3):
        workers.start()
    for _ in range(KILLS):
        workers.wait_for_lines(random.randint(20, 60))
        workers.kill(random.choice(workers.alive))
        workers.start()
    workers.end()
    jobs, tally, minutes = anyio.run(mended, workers.plan)

    entries = history.read(workers.log)
    succeeded = jobs.pop(JobState.SUCCEEDED)
    assert {state: ids for state, ids in jobs.items() if ids} == {}
    assert [job for job, count in Counter(succeeded).items() if count > 1] == []
    assert dict(tally) == {JobState.SUCCEEDED: min(len(succeeded), 1000)}
    assert sum(one.succeeded for one in minutes) == len(succeeded), "each is counted, and once"
    failures = [entry for entry in entries if entry.what == "failed"]
    assert sum(one.failed for one in minutes) >= len(failures) > KILLS / 2, (
        "those are not told of whose worker was killed"
    )
    assert sum(int(entry.error) for entry in entries if entry.what == "mended") > KILLS / 2, "few have been run again"
    assert any(job.startswith("every:") for job in succeeded)

    ends = Counter(entry.job for entry in entries if entry.what == "settled")
    assert [job for job, count in ends.items() if count > 1] == []
    own = [entry for entry in entries if not entry.job.startswith("every:")]
    seen = History(own, dict.fromkeys(succeeded, JobState.SUCCEEDED), INTERVAL, CONCURRENCY, workers.plan.lease)
    assert [*seen.lost(), *seen.settled_without_a_run()] == []
    whole = History(entries, seen.states, seen.interval, seen.concurrency, seen.lease)
    assert [*whole.too_many_at_once(), *whole.too_soon(), *whole.before_their_time()] == []
