"""What a person sees of a queue and its jobs, on every store: lists, what is next, why a job waits, what happened."""

from __future__ import annotations

import math
from datetime import timedelta
from itertools import pairwise

import anyio
import pytest
from every_store import MakeStore, on_every_store

from pacer import ArgumentsUnavailableError, BoundedQueue, Job, JobState, Retry, Scheduler, UnknownJobError, call
from pacer.backoff import ConstantBackoff, ExponentialBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause, PerKey, TokenBucket

pytestmark = pytest.mark.anyio


def ids(jobs: list[Job]) -> list[str]:
    return [job.id for job in jobs]


async def analyse(number: int, *, fail: bool = False) -> int:
    await anyio.sleep(2)
    if fail:
        msg = f"no text in {number}"
        raise ValueError(msg)
    return number


def make_scheduler(make: MakeStore, **settings: object) -> Scheduler:
    usual: dict[str, object] = {"pacing": FixedPause(10), "estimator": MovingAverage(initial=2), "observers": ()}
    scheduler = Scheduler(store=make(), **{**usual, **settings})  # type: ignore[arg-type]
    scheduler.task(name="analyse")(analyse)
    return scheduler


@on_every_store
async def test_a_job_that_waits_is_explained_with_what_is_in_the_way_and_for_how_long(make: MakeStore) -> None:
    async with make_scheduler(make) as scheduler:
        for number in range(1, 8):
            await scheduler.options(job_id=f"job-{number}").enqueue(analyse, number)
        await anyio.sleep(1)
        busy = await scheduler.explain("job-7")
        assert (busy.ahead, busy.reason, busy.seconds) == (5, "1 of 1 running", None)
        await anyio.sleep(3)
        paused = await scheduler.explain("job-7")
        assert (paused.ahead, paused.reason) == (5, "pause of 10 s after the last job")
        assert paused.seconds == pytest.approx(8, abs=0.1)
        assert paused.estimate is not None
        assert paused.estimate.seconds == pytest.approx(8 + 5 * 12, abs=1)
        await scheduler.pause()
        by_hand = await scheduler.explain("job-7")
        assert (by_hand.reason, by_hand.seconds, by_hand.estimate) == ("paused by hand", None, None)


@on_every_store
async def test_a_hold_is_named_with_its_cause(make: MakeStore) -> None:
    backoff = ExponentialBackoff(15, maximum=300)
    async with make_scheduler(make, backoff=backoff, pacing=TokenBucket(100)) as scheduler:
        await scheduler.enqueue(analyse, 1, fail=True)
        await scheduler.options(job_id="waits").enqueue(analyse, 2)
        await anyio.sleep(3)
        found = await scheduler.explain("waits")
    assert found.reason == "backoff of 15 s after 1 failure in a row"
    assert found.seconds == pytest.approx(14, abs=0.1)


@on_every_store
async def test_a_delayed_job_and_one_to_be_retried_wait_for_their_time(make: MakeStore) -> None:
    retry = Retry(attempts=2, backoff=ConstantBackoff(30))
    async with make_scheduler(make, pacing=TokenBucket(100)) as scheduler:
        await scheduler.options(job_id="later", delay=60).enqueue(analyse, 1)
        await scheduler.options(job_id="again", retry=retry).enqueue(analyse, 2, fail=True)
        await anyio.sleep(12)
        later, again = await scheduler.explain("later"), await scheduler.explain("again")
    assert later.reason == "its delay is not due yet"
    assert later.seconds == pytest.approx(48, abs=0.1)
    assert again.reason == "its next attempt is not due yet"
    assert again.seconds == pytest.approx(20, abs=0.1)
    assert (later.ahead, again.ahead) == (1, 0)


@on_every_store
async def test_a_job_whose_key_is_at_its_limit_says_so_while_others_may_start(make: MakeStore) -> None:
    pacing = PerKey(TokenBucket(1, per=60))
    async with make_scheduler(make, pacing=pacing) as scheduler:
        await scheduler.options(key="a").enqueue(analyse, 1)
        await scheduler.options(key="a", job_id="second").enqueue(analyse, 2)
        await anyio.sleep(3)
        found = await scheduler.explain("second")
    assert found.reason
    assert found.seconds == pytest.approx(57, abs=0.1)


@on_every_store
async def test_a_job_that_nobody_can_run_says_so(make: MakeStore) -> None:
    async with make_scheduler(make, worker_concurrency=0) as scheduler:
        await scheduler.options(job_id="job").enqueue(analyse, 1)
        # The one worker knows the function, and runs nothing.
        found = await scheduler.explain("job")
        seen = await scheduler.workers()
    assert (found.ahead, found.reason, found.seconds) == (0, "no worker is there that can run analyse", None)
    assert found.estimate is None
    assert [one.tasks for one in seen] == [frozenset({"analyse"})]


@on_every_store
async def test_what_does_not_wait_has_nothing_in_its_way(make: MakeStore) -> None:
    async with make_scheduler(make) as scheduler:
        receipt = await scheduler.enqueue(analyse, 1)
        await scheduler.wait(receipt)
        found = await scheduler.explain(receipt.job_id)
        assert (found.job.state, found.ahead, found.reason, found.estimate) == (JobState.SUCCEEDED, None, "", None)
        with pytest.raises(UnknownJobError):
            await scheduler.explain("unknown")


@on_every_store
async def test_the_next_jobs_are_named_in_order_with_a_time_each(make: MakeStore) -> None:
    async with make_scheduler(make) as scheduler:
        for number in range(6):
            await scheduler.options(job_id=f"job-{number}").enqueue(analyse, number)
        await anyio.sleep(1)
        found = await scheduler.upcoming(3)
        assert ids([one.job for one in found]) == ["job-1", "job-2", "job-3"]
        assert [one.job.position for one in found] == [1, 2, 3]
        starts = [one.estimate.seconds for one in found if one.estimate is not None]
        assert starts == pytest.approx([11, 23, 35], abs=1)


@on_every_store
async def test_jobs_of_several_ends_are_one_list_the_last_first_however_short_its_pages(make: MakeStore) -> None:
    async with make_scheduler(make, pacing=FixedPause(0)) as scheduler:
        for number in range(12):
            await scheduler.options(job_id=f"job-{number}").enqueue(analyse, number, fail=number % 4 == 1)
            await scheduler.options(job_id=f"gone-{number}", delay=900).enqueue(analyse, number)
            await scheduler.cancel(f"gone-{number}")
        await scheduler.drain()
        states = (JobState.FAILED, "succeeded", JobState.CANCELLED)
        whole = await scheduler.jobs(*states, limit=100)
        assert whole.after is None
        ends = [job.ended_at for job in whole.jobs if job.ended_at is not None]
        assert ends == sorted(ends, reverse=True)
        assert len(ends) == 24
        for limit in (1, 5, 24):
            pages, after = [], None
            while True:
                page = await scheduler.jobs(*states, limit=limit, after=after)
                pages += page.jobs
                after = page.after
                if after is None:
                    break
            assert ids(pages) == ids([*whole.jobs])
        assert len((await scheduler.jobs("failed", task="analyse")).jobs) == 3
        assert (await scheduler.jobs("failed", task="other")).jobs == []
        assert await scheduler.tally() == {JobState.SUCCEEDED: 9, JobState.FAILED: 3, JobState.CANCELLED: 12}


@on_every_store
async def test_waiting_jobs_come_with_their_places(make: MakeStore) -> None:
    async with make_scheduler(make) as scheduler:
        for number in range(6):
            await scheduler.options(job_id=f"job-{number}").enqueue(analyse, number)
        await anyio.sleep(1)
        first = await scheduler.jobs(limit=2)
        second = await scheduler.jobs(limit=2, after=first.after)
    assert [(job.id, job.position) for job in first.jobs] == [("job-1", 1), ("job-2", 2)]
    assert [(job.id, job.position) for job in second.jobs] == [("job-3", 3), ("job-4", 4)]


@pytest.mark.parametrize("states", [("queued", "failed"), ("running", "dead"), ("queued", "running")])
async def test_states_that_have_no_order_in_common_are_refused(states: tuple[str, ...]) -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(ValueError, match="no order in common"):
            await scheduler.jobs(*states)


NO_MARKS = [
    "",
    "x",
    "0.1",
    "0.1.x",
    "0.x.0x1.0p+0",
    "0.1.nan",
    "0.1.0x1p+9999",
    "2.1.0x1p+0",
    "0.-1.inf",
    f"0.{2**63}.inf",
]


@pytest.mark.parametrize("after", NO_MARKS)
async def test_a_mark_that_is_none_is_refused(after: str) -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(ValueError, match="is no mark"):
            await scheduler.jobs(after=after)


@on_every_store
async def test_arguments_are_shown_as_long_as_they_are_kept(make: MakeStore) -> None:
    async with make_scheduler(make, pacing=FixedPause(0)) as scheduler:
        good = await scheduler.enqueue(analyse, 1)
        bad = await scheduler.enqueue(analyse, 2, fail=True)
        args, kwargs = await scheduler.arguments(good.job_id)
        assert (list(args), dict(kwargs)) == ([1], {"fail": False} if kwargs else {})
        await scheduler.drain()
        args, kwargs = await scheduler.arguments(bad.job_id)
        assert (list(args), dict(kwargs)) == ([2], {"fail": True})
        with pytest.raises(ArgumentsUnavailableError, match="not kept"):
            await scheduler.arguments(good.job_id)
        with pytest.raises(UnknownJobError):
            await scheduler.arguments("unknown")


@on_every_store
async def test_the_last_minutes_are_told_without_gaps_the_current_one_last(make: MakeStore) -> None:
    async with make_scheduler(make, pacing=FixedPause(0)) as scheduler:
        await scheduler.enqueue(analyse, 1)
        await scheduler.enqueue(analyse, 2, fail=True)
        await scheduler.drain()
        await anyio.sleep(300)
        await scheduler.enqueue(analyse, 3)
        await scheduler.drain()
        found = await scheduler.history(10)
    assert [later.at - sooner.at for sooner, later in pairwise(found)] == [timedelta(minutes=1)] * 9
    assert (sum(one.started for one in found), sum(one.succeeded for one in found)) == (3, 2)
    assert sum(one.failed for one in found) == 1
    assert found[-1].started == 1
    assert found[-2].started == 0
    assert max(one.longest_wait for one in found) == pytest.approx(2, abs=0.1)
    assert all(math.isfinite(one.mean_wait) for one in found)


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
async def test_so_many_jobs_are_none_to_ask_for(limit: int) -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(ValueError, match="limit must be a whole number, 1 or more"):
            await scheduler.jobs(limit=limit)
        with pytest.raises(ValueError, match="limit must be a whole number, 1 or more"):
            await scheduler.upcoming(limit)


@pytest.mark.parametrize("minutes", [0, -1, 1441, 1.5])
async def test_more_minutes_than_are_kept_are_refused(minutes: int) -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(ValueError, match="minutes must be 1 to 1440"):
            await scheduler.history(minutes)


@on_every_store
async def test_a_job_among_very_many_others_is_found_page_by_page(make: MakeStore) -> None:
    async with make_scheduler(make, queue=BoundedQueue(5000), worker_concurrency=0) as scheduler:
        await scheduler.enqueue_many([call(analyse, number) for number in range(2400)])
        await scheduler.options(key="rare", job_id="wanted").enqueue(analyse, 1)
        found, after, pages = [], None, 0
        while pages == 0 or after is not None:
            page = await scheduler.jobs(key="rare", limit=10, after=after)
            found, after, pages = found + ids([*page.jobs]), page.after, pages + 1
    assert found == ["wanted"]
    assert pages <= 3
