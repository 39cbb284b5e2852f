"""The queue as all who look at it see it: read once for all of them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
import attrs
from pydantic import BaseModel, TypeAdapter

from pacer import JobState, Scheduler, StoreError, UnknownJobError
from pacer.dashboard._models import (
    EndedData,
    ExplanationData,
    JobData,
    MinuteData,
    StatusData,
    UpcomingData,
    WorkerData,
)
from pacer.events import HoldEnded, JobCancelled, JobRetried, NumbersSet, QueuePaused, QueueResumed, RateSet

logger = logging.getLogger("pacer")

PERIOD = 1.0
"""Seconds between two readings. Most of what one costs is the forecasts."""
GAP = 0.25
"""Seconds between two readings if somebody steers the queue meanwhile: they look for what comes of it."""
_STEERED = (QueuePaused, QueueResumed, HoldEnded, RateSet, NumbersSet, JobCancelled, JobRetried)
_MINUTES = 60
_RUNNING = 20
_UPCOMING = 10
_LAST = 5
_JOBS_AT_ONCE = 20
_BAD_ENDS = (JobState.FAILED, JobState.STALE, JobState.DEAD)

_JOBS = TypeAdapter(list[JobData])
_UPCOMING_JOBS = TypeAdapter(list[UpcomingData])
_HISTORY = TypeAdapter(list[MinuteData])
_WORKERS = TypeAdapter(list[WorkerData])
_STORE_AWAY = '{"detail":"The store of jobs cannot be used right now. It is tried again and again."}'
_UNKNOWN = '{"unknown":true}'


@attrs.frozen
class Reading:
    """The queue at one moment, part by part, as JSON that is sent as it is."""

    number: int
    parts: Mapping[str, str]


@attrs.define(eq=False)
class Watch:
    """The newest reading. While nobody looks, nothing is read.

    It has no task of its own: of those who wait for the next reading the first takes it, for all of them; and when it
    leaves, the next does.
    """

    _scheduler: Scheduler
    _latest: Reading | None = attrs.field(init=False, default=None)
    _numbers: int = attrs.field(init=False, default=0)
    _turn: anyio.Lock = attrs.field(init=False, factory=anyio.Lock)
    _looking: int = attrs.field(init=False, default=0)
    _jobs: Counter[str] = attrs.field(init=False, factory=Counter)

    @contextmanager
    def looking(self, job_id: str | None) -> Iterator[None]:
        """Somebody looks: at the queue, and at this job, which is then part of the readings."""
        self._looking += 1
        self._jobs.update([job_id] if job_id is not None else [])
        try:
            yield
        finally:
            self._looking -= 1
            if job_id is not None:
                self._jobs -= Counter([job_id])
            if not self._looking:
                self._latest = None

    async def after(self, number: int) -> Reading:
        """A newer reading than this one; wait until there is one. Raises NotRunningError."""
        if (there := self._newer(number)) is not None:
            return there
        async with self._turn:
            if (there := self._newer(number)) is not None:
                return there
            if self._latest is not None:
                await self._due()
            self._numbers += 1
            self._latest = Reading(self._numbers, await self._read())
            return self._latest

    def _newer(self, number: int) -> Reading | None:
        return self._latest if self._latest is not None and self._latest.number > number else None

    async def _due(self) -> None:
        """Until it is time for the next reading."""
        with self._scheduler.subscribe() as events:
            await anyio.sleep(GAP)
            with anyio.move_on_after(PERIOD - GAP):
                async for event in events:
                    if isinstance(event, _STEERED):
                        return

    async def _read(self) -> dict[str, str]:
        try:
            return await self._read_parts()
        except StoreError as error:
            logger.warning("the dashboard could not read the queue %r: %s", self._scheduler.name, error)
            return {"problem": _STORE_AWAY}

    async def _read_parts(self) -> dict[str, str]:
        """The status is the last of those about the queue: the page shows them when it comes."""
        scheduler = self._scheduler
        status, upcoming = await scheduler.status(), await scheduler.upcoming(_UPCOMING)
        parts = {
            "running": _dumped(_JOBS, (await scheduler.jobs(JobState.RUNNING, limit=_RUNNING)).jobs),
            "upcoming": _dumped(_UPCOMING_JOBS, upcoming),
            # The queue says what it would say to any job; what is left is about this one: its delay, its key.
            "next": await self.job(upcoming[0].job.id) if upcoming and not status.waiting_for else "null",
            "history": _dumped(_HISTORY, await scheduler.history(_MINUTES)),
            "ended": await self._ended(),
            "workers": _dumped(_WORKERS, await scheduler.workers()),
            "status": _text(StatusData.model_validate(status)),
        }
        return parts | await self._read_jobs()

    async def _read_jobs(self) -> dict[str, str]:
        """The jobs that somebody looks at. If they are many they take turns, and the others stay as they were."""
        before = {} if self._latest is None else self._latest.parts
        parts = {name: before[name] for name in map(part_of, self._jobs) if name in before}
        for job_id in list(self._jobs)[:_JOBS_AT_ONCE]:
            parts[part_of(job_id)] = await self.job(job_id)
            if job_id in self._jobs:
                self._jobs[job_id] = self._jobs.pop(job_id)  # to the end of the line
        return parts

    async def job(self, job_id: str) -> str:
        """The part about one job."""
        try:
            return _text(ExplanationData.model_validate(await self._scheduler.explain(job_id)))
        except UnknownJobError:
            return _UNKNOWN

    async def _ended(self) -> str:
        counts = await self._scheduler.tally()
        last = {
            state: (await self._scheduler.jobs(state, limit=_LAST)).jobs for state in _BAD_ENDS if counts.get(state)
        }
        return _text(EndedData.model_validate({"counts": counts, "last": last}, from_attributes=True))


def part_of(job_id: str) -> str:
    """The name of the part about this job."""
    return f"job {job_id}"


def _text(data: BaseModel) -> str:
    return data.model_dump_json()


def _dumped(kind: TypeAdapter[Any], values: Any) -> str:
    return kind.dump_json(kind.validate_python(list(values), from_attributes=True)).decode()
