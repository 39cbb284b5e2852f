"""Scrapes from other threads and processes while the scheduler's event loop goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import urlopen

import anyio
import anyio.to_thread
import attrs
import pytest
from busy import served
from prometheus_client import CollectorRegistry, make_asgi_app
from scraping import Scrape, parsed, samples, scraped

from pacer import Scheduler
from pacer.prometheus import Metrics
from pacer.protocols import Codec
from pacer.stores import MemoryStore

pytestmark = [pytest.mark.anyio, pytest.mark.real_time]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry(), read_timeout=30)


def asked(target: str) -> Scrape:
    with urlopen(f"http://{target}/metrics", timeout=30) as answer:
        return samples(parsed(answer.read().decode()))


async def test_a_scrape_by_another_thread_reads_the_queue_as_it_is(metrics: Metrics) -> None:
    scheduler = Scheduler(observers=())
    metrics.watch(scheduler)
    with served(metrics) as target:
        async with scheduler:
            await scheduler.pause()
            for waiting in (1, 2):
                await scheduler.enqueue(anyio.sleep, 0)
                before = time.time()
                found = await anyio.to_thread.run_sync(asked, target)
                assert found["pacer_jobs_waiting"] == {("default",): waiting}
                assert before <= found["pacer_status_read_timestamp_seconds"][("default",)] <= time.time()
        found = await anyio.to_thread.run_sync(asked, target)
        assert found["pacer_scheduler_running"] == {("default",): 0}


async def test_a_scrape_on_the_event_loop_itself_shows_what_was_read_last_and_when(metrics: Metrics) -> None:
    scheduler = Scheduler(observers=())
    metrics.watch(scheduler)
    async with scheduler:
        await scheduler.pause()
        nothing = await scraped(make_asgi_app(metrics.exposed))
        assert "pacer_jobs_waiting" not in nothing
        await scheduler.enqueue(anyio.sleep, 0)
        fresh = await scraped(metrics.app)
        await scheduler.enqueue(anyio.sleep, 0)
        old = await scraped(make_asgi_app(metrics.exposed))
        assert old["pacer_jobs_waiting"] == fresh["pacer_jobs_waiting"] == {("default",): 1}
        assert old["pacer_status_read_timestamp_seconds"] == fresh["pacer_status_read_timestamp_seconds"]
        assert (await scraped(metrics.app))["pacer_jobs_waiting"] == {("default",): 2}


async def test_an_application_can_serve_a_scheduler_of_another_event_loop(metrics: Metrics) -> None:
    scheduler = Scheduler(observers=(), name="elsewhere")
    metrics.watch(scheduler)
    running, done = threading.Event(), threading.Event()

    async def elsewhere() -> None:
        async with scheduler:
            await scheduler.pause()
            await scheduler.enqueue(anyio.sleep, 0)
            running.set()
            await anyio.to_thread.run_sync(done.wait)

    thread = threading.Thread(target=anyio.run, args=(elsewhere,))
    thread.start()
    try:
        assert await anyio.to_thread.run_sync(running.wait, 30)
        assert (await scraped(metrics.app))["pacer_jobs_waiting"] == {("elsewhere",): 1}
    finally:
        done.set()
        await anyio.to_thread.run_sync(thread.join)
    assert (await scraped(metrics.app))["pacer_scheduler_running"] == {("elsewhere",): 0}


@attrs.define(eq=False)
class Moody:
    """A store in memory whose looks at a queue fail in the way that is asked for, if one is."""

    store: MemoryStore = attrs.field(factory=MemoryStore)
    mood: Callable[[], Awaitable[None]] | None = None
    ledger: Any = attrs.field(init=False, default=None)

    @property
    def codec(self) -> Codec:
        return self.store.codec

    @asynccontextmanager
    async def open(self, *what: Any, **settings: Any) -> AsyncIterator[Any]:
        async with self.store.open(*what, **settings) as ledger:
            self.ledger = ledger
            yield self

    async def queues(self) -> Any:
        return await self.store.queues()

    async def snapshot(self, *ahead: int) -> Any:
        if self.mood is not None:
            await self.mood()
        return await self.ledger.snapshot(*ahead)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)


async def broken() -> None:
    raise OSError("disk on fire")


async def test_a_store_that_does_not_answer_leaves_the_last_reading_and_is_counted() -> None:
    metrics = Metrics(CollectorRegistry(), read_timeout=1)
    store = Moody()
    scheduler = Scheduler(store=store, observers=())
    metrics.watch(scheduler)
    async with scheduler:
        await scheduler.pause()
        await scheduler.enqueue(anyio.sleep, 0)
        fresh = await scraped(metrics.app)
        for store.mood in (anyio.sleep_forever, broken):
            late = await scraped(metrics.app)
            assert late["pacer_jobs_waiting"] == {("default",): 1}
            assert late["pacer_status_read_timestamp_seconds"] == fresh["pacer_status_read_timestamp_seconds"]
        assert late["pacer_status_read_failures_total"] == {("default",): 2}
        store.mood = None
        recovered = await scraped(metrics.app)
        assert recovered["pacer_status_read_timestamp_seconds"] != fresh["pacer_status_read_timestamp_seconds"]
        assert recovered["pacer_status_read_failures_total"] == {("default",): 2}
