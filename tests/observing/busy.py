"""A queue in which everything has happened that is counted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import anyio
from prometheus_client import start_http_server

from pacer import BoundedQueue, JobState, QueueFullError, Scheduler, Throttled, events
from pacer.backoff import ConstantBackoff
from pacer.pacing import TokenBucket
from pacer.prometheus import Metrics


@contextmanager
def served(metrics: Metrics) -> Iterator[str]:
    """The server of prometheus_client, which scrapes in threads of its own: the host and port."""
    server, thread = start_http_server(0, addr="127.0.0.1", registry=metrics.exposed)
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def watched(metrics: Metrics) -> Scheduler:
    """A scheduler for `happen`: paced by a rate, so that all gauges have something to say."""
    scheduler = Scheduler(
        name="llm",
        queue=BoundedQueue(5),
        pacing=TokenBucket(100),
        backoff=ConstantBackoff(0.05),
        observers=(),
    )
    metrics.watch(scheduler)
    return scheduler


async def happen(scheduler: Scheduler) -> None:
    """Let everything happen that can be had at once, and tell of the rest."""
    answers: Iterator[Any] = iter([Throttled(0.05), OSError("no route"), None])

    async def troubled() -> None:
        if answer := next(answers):
            raise answer

    for _ in range(2):
        await scheduler.enqueue(troubled)
        await scheduler.drain()
    for _ in range(5):
        await scheduler.enqueue(anyio.sleep, 0.05)
    with contextlib.suppress(QueueFullError):
        for _ in range(5):
            await scheduler.enqueue(anyio.sleep, 0.05)
    await scheduler.drain()
    (observer,) = scheduler.observers
    for event in (
        events.JobRecovered(0.0, "1", "anyio.sleep", JobState.DEAD),
        events.StoreFailed(0.0, "claim", "disk full", 1.0),
        events.PartMisbehaved(0.0, "pacing", "earliest", "not a number"),
        events.ResultDropped(0.0, "1", "anyio.sleep", "not JSON"),
        events.JobStarted(5.0, "2", "anyio.sleep", 1, 2.0, (1.0, 9.0)),
        events.JobSucceeded(6.0, "2", "anyio.sleep", 1.0),
    ):
        observer(event)
