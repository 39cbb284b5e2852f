"""What "not now" does, however it is said."""

from __future__ import annotations

import anyio
import pytest

from pacer import ImpossibleJobError, JobFailedError, Scheduler, Throttled, call
from pacer.pacing import TokenBucket

pytestmark = pytest.mark.anyio


async def test_without_a_time_from_anybody_the_upstream_is_left_alone_for_a_second() -> None:
    calls = []

    async def busy() -> None:
        calls.append(anyio.current_time())
        if len(calls) < 4:
            raise Throttled

    async with Scheduler() as scheduler:
        await scheduler.wait(await scheduler.enqueue(busy))
    assert calls == [0, 1, 2, 3]


async def test_a_task_group_that_only_says_not_now_says_so_for_the_job() -> None:
    calls = []

    async def ask(seconds: float) -> None:
        raise Throttled(seconds, "limit_requests")

    async def busy() -> str:
        calls.append(anyio.current_time())
        if len(calls) == 1:
            async with anyio.create_task_group() as group:
                group.start_soon(ask, 5)
                group.start_soon(ask, 30)
        return "done"

    async with Scheduler() as scheduler:
        receipt = await scheduler.enqueue(busy)
        assert await scheduler.wait(receipt) == "done"
        assert (await scheduler.job(receipt.job_id)).throttles == 1
    # The longer wait counts, of those that were raised before the group was cancelled.
    assert calls[1] in (5, 30)


async def test_a_group_with_another_error_in_it_is_a_failure() -> None:
    async def mixed() -> None:
        raise ExceptionGroup("both", [Throttled(5), OSError("no route")])

    async with Scheduler() as scheduler:
        with pytest.raises(JobFailedError, match="ExceptionGroup: both"):
            await scheduler.wait(await scheduler.enqueue(mixed))


async def test_a_job_that_can_never_start_is_refused_at_once_and_says_why() -> None:
    async with Scheduler(pacing=TokenBucket(rate=1, burst=2)) as scheduler:
        options = scheduler.options(cost={"requests": 3})
        message = "can never start: its cost of 3 requests is above the burst of 2"
        with pytest.raises(ImpossibleJobError, match=message) as refused:
            await options.enqueue(anyio.sleep, 1)
        assert refused.value.reason == "its cost of 3 requests is above the burst of 2"
        with pytest.raises(ImpossibleJobError):
            await options.enqueue_many([call(anyio.sleep, 1)])
        assert (await scheduler.status()).pending == 0
        await scheduler.wait(await scheduler.options(cost={"requests": 2}).enqueue(anyio.sleep, 1))
