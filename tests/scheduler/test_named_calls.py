"""Jobs of a batch with ids of the application's own."""

from __future__ import annotations

import pytest

from pacer import Scheduler, call

pytestmark = pytest.mark.anyio


async def echo(word: str) -> str:
    return word


async def test_the_jobs_of_a_batch_can_have_ids_of_their_own() -> None:
    async with Scheduler() as scheduler:
        batch = await scheduler.enqueue_many([call(echo, "a").named("first"), call(echo, "b")])
        assert [receipt.job_id == "first" for receipt in batch.receipts] == [True, False]
        assert await scheduler.wait("first") == "a"
        assert (await scheduler.job("first")).batch_id == batch.batch_id


async def test_a_job_of_a_batch_whose_id_exists_is_that_one() -> None:
    async with Scheduler() as scheduler:
        await scheduler.options(job_id="first").enqueue(echo, "old")
        batch = await scheduler.enqueue_many([call(echo, "new").named("first"), call(echo, "b").named("second")])
        assert [receipt.created for receipt in batch.receipts] == [False, True]
        assert await scheduler.wait("first") == "old"


async def test_two_jobs_of_a_batch_cannot_have_one_id() -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(ValueError, match="two jobs of one batch have the same id"):
            await scheduler.enqueue_many([call(echo, "a").named("x"), call(echo, "b").named("x")])


async def test_an_impossible_id_in_a_batch_is_refused() -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(ValueError, match="job_id must have 1 to 200 characters"):
            await scheduler.enqueue_many([call(echo, "a").named("")])
