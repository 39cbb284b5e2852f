"""What a review has found: each test failed before its fix."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import anyio
import pytest

from pacer import (
    JobState,
    Scheduler,
)
from pacer.backoff import ConstantBackoff

pytestmark = pytest.mark.anyio


async def nothing() -> None:
    pass


def nested() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


async def test_a_job_whose_cleanup_fails_at_the_stop_is_unfinished_and_not_failed() -> None:
    scheduler = Scheduler()
    ends = []

    @scheduler.task
    async def work() -> str:
        try:
            if not ends:
                await anyio.sleep(100)
        finally:
            ends.append(1)
            if len(ends) == 1:
                raise OSError("connection closed")
        return "done"

    async with scheduler:
        receipt = await scheduler.enqueue(work)
        await anyio.sleep(1)
    async with scheduler:
        assert await scheduler.wait(receipt.job_id) == "done"


@pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)
async def test_a_job_with_a_nursery_is_handed_back_at_the_stop() -> None:
    import trio

    scheduler = Scheduler()
    runs = []

    @scheduler.task
    async def work() -> None:
        runs.append(1)
        if len(runs) > 1:
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(failing_at_the_end)
            await trio.sleep(100)

    async def failing_at_the_end() -> None:
        try:
            await trio.sleep(100)
        finally:
            raise OSError("connection closed")

    async with scheduler:
        receipt = await scheduler.enqueue(work)
        await anyio.sleep(1)
    async with scheduler:
        with anyio.fail_after(1000):
            await scheduler.wait(receipt.job_id)


@pytest.mark.asyncio_only
async def test_a_shutdown_that_cancels_all_tasks_fails_no_job() -> None:
    scheduler = Scheduler()
    runs = []

    @scheduler.task
    async def work() -> None:
        runs.append(1)
        if len(runs) == 1:
            await anyio.sleep(100)

    async def serve() -> None:
        async with scheduler:
            await scheduler.options(job_id="one").enqueue(work)
            await asyncio.sleep(100)

    before = asyncio.all_tasks()
    server = asyncio.create_task(serve())
    await asyncio.sleep(1)
    for task in sorted(asyncio.all_tasks() - before, key=lambda task: task is server):
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await server
    async with scheduler:
        await scheduler.wait("one")
    assert len(runs) == 2


async def test_cancelling_a_job_holds_no_queue_even_if_its_cleanup_fails() -> None:
    async def work() -> None:
        try:
            await anyio.sleep(100)
        finally:
            raise OSError("connection closed")

    async with Scheduler(backoff=ConstantBackoff(50)) as scheduler:
        receipt = await scheduler.enqueue(work)
        await anyio.sleep(1)
        await scheduler.cancel(receipt.job_id)
        await anyio.sleep(1)
        assert (await scheduler.job(receipt.job_id)).state is JobState.CANCELLED
        assert (await scheduler.status()).hold_seconds == 0
