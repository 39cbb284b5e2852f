"""What is a secret of a job's or a password stays out of logs, events, errors, metrics and traces, whatever happens."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import attrs
import pytest
import secretive
from prometheus_client import CollectorRegistry
from scraping import text_of
from secretive import ARGUMENT, HEADER, RESULT, Giver, Opaque, Throttling
from servers import PASSWORD, free_port
from tracing import Spans

from pacer import JobState, LoggingObserver, PartsDifferError, QueueFullError, Scheduler, call, events
from pacer.opentelemetry import Tracing
from pacer.pacing import FixedPause
from pacer.prometheus import Metrics
from pacer.testing import Recorder

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

SECRETS = (ARGUMENT, RESULT, HEADER, PASSWORD)


@attrs.define(eq=False)
class Everything:
    """All that is told of a queue, by every way there is."""

    caplog: pytest.LogCaptureFixture
    recorder: Recorder = attrs.field(factory=Recorder)
    metrics: Metrics = attrs.field(factory=lambda: Metrics(CollectorRegistry()))
    spans: Spans = attrs.field(factory=Spans)
    said: list[str] = attrs.field(factory=list)

    def watched(self, scheduler: Scheduler) -> Scheduler:
        self.metrics.watch(scheduler)
        return scheduler

    @property
    def observers(self) -> list[Any]:
        return [LoggingObserver(), self.recorder, Giver(), Tracing(self.spans.provider), _broken]

    @contextmanager
    def told(self, *kinds: type[BaseException]) -> Iterator[None]:
        """An error that is raised here, as it would be printed."""
        with pytest.raises(kinds) as caught:
            yield
        self.said += [*traceback.format_exception(caught.value), repr(caught.value), str(caught.value)]

    async def all_of_it(self) -> str:
        lines = [f"{record.getMessage()} {vars(record)} {record.exc_text}" for record in self.caplog.records]
        spans = [span.to_json() for span in self.spans.ended]
        told = [repr(event) for event in self.recorder.events]
        return "\n".join([*lines, self.caplog.text, *told, *spans, *self.said, await text_of(self.metrics.app)])


def _broken(event: Any) -> None:
    if isinstance(event, events.JobEnqueued):
        raise RuntimeError("an observer that is broken is logged")


@attrs.frozen
class Place:
    """Where a store's data is."""

    kind: str
    where: str
    name: str

    def made(self, observers: list[Any], **parts: Any) -> Scheduler:
        return secretive.made(secretive.store_of(self.kind, self.where, self.name), observers, **parts)

    def elsewhere(self, old: str, new: str) -> Place:
        assert old in self.where
        return attrs.evolve(self, where=self.where.replace(old, new))


@pytest.fixture(params=["memory", "sqlite", "postgres", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path, postgres_schema: str, redis_prefix: str) -> Place:
    match request.param:
        case "postgres":
            return Place("postgres", request.getfixturevalue("postgres").dsn, postgres_schema)
        case "redis":
            return Place("redis", request.getfixturevalue("redis").url, redis_prefix)
    return Place(request.param, str(tmp_path / "jobs.db"), "-")


async def test_secrets_stay_in_the_store(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    logging.getLogger("pacer").setLevel(1)
    everything = Everything(caplog)
    if place.kind != "memory":
        await anyio.to_thread.run_sync(_killed_while_it_runs_a_job, place)
    scheduler = everything.watched(place.made(everything.observers))
    everything.said.append(repr(scheduler))
    with anyio.fail_after(120):
        async with scheduler:
            if place.kind != "memory":
                await _crash_is_cleared_up(scheduler)
                with everything.told(PartsDifferError):
                    async with place.made([], pacing=FixedPause(7)):
                        pass
            await _jobs_of_every_kind(scheduler, everything)
            everything.said.append(repr(await scheduler.status()))
            found = await everything.all_of_it()
    with everything.told(TypeError):
        Scheduler(pacing=scheduler.store)  # type: ignore[arg-type]
    if place.kind in ("postgres", "redis"):
        for wrong in (place.elsewhere(_port(place.where), str(free_port())), place.elsewhere(PASSWORD, PASSWORD[::-1])):
            with everything.told(Exception):
                async with wrong.made([]):
                    pass
    found += await everything.all_of_it()
    for happened in ("JobSucceeded", "JobFailed", "JobThrottled", "JobCancelled", "QueueRefused", "_broken"):
        assert happened in found
    assert ("JobRecovered" in found) == (place.kind != "memory")
    for secret in (*SECRETS, PASSWORD[::-1]):
        assert secret not in found, _around(secret, found)


async def _jobs_of_every_kind(scheduler: Scheduler, everything: Everything) -> None:
    done = await scheduler.enqueue(secretive.work, ARGUMENT, secret=ARGUMENT)
    assert await scheduler.wait(done) == RESULT
    failed = await scheduler.enqueue(secretive.fail, ARGUMENT)
    with everything.told(Exception):
        await scheduler.wait(failed)
    throttling = Throttling()
    scheduler.task(name="throttled")(throttling)
    await scheduler.wait(await scheduler.enqueue(throttling, ARGUMENT))
    late = await scheduler.options(timeout=0.05).enqueue(secretive.hang, ARGUMENT)
    with everything.told(Exception):
        await scheduler.wait(late)
    dropped = await scheduler.enqueue(secretive.opaque, ARGUMENT)
    if not isinstance(scheduler.store, type(Scheduler().store)):
        with everything.told(Exception):
            await scheduler.wait(dropped)
        for wrong in (Opaque(), {ARGUMENT: Opaque()}, [ARGUMENT, Opaque()], {Opaque(): 1}):
            with everything.told(TypeError):
                await scheduler.enqueue(secretive.work, wrong)  # type: ignore[arg-type]
    running = await scheduler.enqueue(secretive.hang, ARGUMENT)
    waiting = await scheduler.enqueue(secretive.work, ARGUMENT)
    await _seen(lambda: scheduler.job(running.job_id), JobState.RUNNING)
    for receipt in (waiting, running):
        await scheduler.cancel(receipt.job_id)
        with everything.told(Exception):
            await scheduler.wait(receipt)
    with everything.told(QueueFullError):
        for _ in range(20):
            await scheduler.enqueue_many([call(secretive.work, ARGUMENT) for _ in range(15)])
    await scheduler.drain(timeout=60)


async def _seen(ask: Any, state: JobState) -> None:
    with anyio.fail_after(60):
        while (await _answered(ask())).state is not state:
            await anyio.sleep(0.01)


async def _answered(answer: Awaitable[Any]) -> Any:
    return await answer


def _killed_while_it_runs_a_job(place: Place) -> None:
    command = [sys.executable, secretive.__file__, place.kind, place.where, place.name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "hanging\n"
        process.kill()


async def _crash_is_cleared_up(scheduler: Scheduler) -> None:
    await _seen(lambda: scheduler.job("crashed"), JobState.RUNNING)
    await scheduler.cancel("crashed")
    await _seen(lambda: scheduler.job("crashed"), JobState.CANCELLED)


def _port(where: str) -> str:
    return where.rpartition(":")[2].partition("/")[0]


def _around(secret: str, text: str) -> str:
    at = text.index(secret)
    return text[max(0, at - 2000) : at + 200]
