"""Observers that give something along with a job, and are entered around its run: none of them harms anybody."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from every_store import MakeStore, on_every_store

from pacer import JobFailedError, Scheduler
from pacer.protocols import JobFacts

pytestmark = pytest.mark.anyio

request = ContextVar("request", default="none")
span = ContextVar("span", default="none")


class Carrier:
    """Carries the request that enqueued a job into its run."""

    def __init__(self) -> None:
        self.ended: list[tuple[str, str]] = []

    def __call__(self, event: Any) -> None: ...

    def headers(self) -> Mapping[str, str]:
        return {"request": request.get()}

    @contextmanager
    def running(self, job: JobFacts, headers: Mapping[str, str]) -> Iterator[None]:
        token = span.set(f"{job.task} of {headers.get('request')}")
        try:
            yield
        except BaseException as error:
            self.ended.append((job.id, type(error).__name__))
            raise
        else:
            self.ended.append((job.id, "returned"))
        finally:
            span.reset(token)


async def in_a_task() -> str:
    await anyio.sleep(1)
    return span.get()


def in_a_thread() -> str:
    return f"{span.get()} in {threading.current_thread() is not threading.main_thread()}"


async def fails() -> None:
    raise ValueError("no")


async def for_ever() -> None:
    await anyio.sleep_forever()


def with_tasks(scheduler: Scheduler) -> Scheduler:
    for function in (in_a_task, in_a_thread, fails, for_ever):
        scheduler.task(name=function.__name__)(function)
    return scheduler


@on_every_store
async def test_what_was_given_along_is_there_around_the_function_in_its_own_context(make: MakeStore) -> None:
    carrier = Carrier()
    async with with_tasks(Scheduler(store=make(), observers=[carrier])) as scheduler:
        request.set("GET /a")
        first = await scheduler.enqueue(in_a_task)
        second = await scheduler.enqueue(in_a_thread)
        request.set("GET /b")
        third = await scheduler.options(job_id="third").enqueue(in_a_task)
        assert await scheduler.wait(first) == "in_a_task of GET /a"
        assert await scheduler.wait(second) == "in_a_thread of GET /a in True"
        assert await scheduler.wait(third) == "in_a_task of GET /b"
    assert span.get() == "none"
    assert [how for _, how in carrier.ended] == ["returned"] * 3


@on_every_store
async def test_errors_and_cancellations_pass_through_it_and_a_time_out_is_told_by_its_event(make: MakeStore) -> None:
    carrier = Carrier()
    async with with_tasks(Scheduler(store=make(), observers=[carrier])) as scheduler:
        failed = await scheduler.options(job_id="failed").enqueue(fails)
        with pytest.raises(JobFailedError, match="ValueError: no"):
            await scheduler.wait(failed)
        late = await scheduler.options(job_id="late", timeout=5).enqueue(for_ever)
        with pytest.raises(JobFailedError, match="timed out"):
            await scheduler.wait(late)
        await scheduler.options(job_id="cancelled").enqueue(for_ever)
        await anyio.sleep(1)
        await scheduler.cancel("cancelled")
        await scheduler.drain()
    ends = dict(carrier.ended)
    assert (ends["failed"], ends["late"]) == ("ValueError", "returned")
    assert ends["cancelled"] in ("CancelledError", "Cancelled")


class Broken:
    """Raises wherever it is asked to."""

    def __init__(self, where: str) -> None:
        self.where = where

    def __call__(self, event: Any) -> None: ...

    def headers(self) -> Mapping[str, str]:
        if self.where == "headers":
            raise RuntimeError("headers")
        return {"mine": "1"}

    def running(self, job: JobFacts, headers: Mapping[str, str]) -> AbstractContextManager[None]:
        if self.where == "running":
            raise RuntimeError("running")
        return self._around()

    @contextmanager
    def _around(self) -> Iterator[None]:
        if self.where == "entering":
            raise RuntimeError("entering")
        try:
            yield
        except ValueError:
            if self.where == "swallowing":
                return
            raise
        if self.where == "leaving":
            raise RuntimeError("leaving")


@pytest.mark.parametrize("where", ["headers", "running", "entering", "leaving", "swallowing"])
async def test_one_that_raises_or_swallows_errors_changes_nothing(where: str, caplog: pytest.LogCaptureFixture) -> None:
    carrier = Carrier()
    async with with_tasks(Scheduler(observers=[Broken(where), carrier, Broken(where)])) as scheduler:
        request.set("GET /a")
        good, bad = await scheduler.enqueue(in_a_task), await scheduler.enqueue(fails)
        assert await scheduler.wait(good) == "in_a_task of GET /a"
        with pytest.raises(JobFailedError, match="ValueError: no"):
            await scheduler.wait(bad)
    assert [how for _, how in carrier.ended] == ["returned", "ValueError"]
    assert bool(caplog.records) is (where != "swallowing")
