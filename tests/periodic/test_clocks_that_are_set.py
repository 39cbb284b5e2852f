"""Schedules by the calendar, on machines whose clock on the wall is set or whose own clock stands still."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import anyio
import attrs
import pytest

from pacer import Scheduler, events
from pacer.pacing import OpeningHours
from pacer.stores import MemoryStore
from pacer.testing import Recorder, run_virtual

HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()


@attrs.define(eq=False)
class WallStore(MemoryStore):
    """On the wall it is noon at first, and time goes as on the event loop unless somebody sets the clock."""

    ahead: float = attrs.field(default=0.0, kw_only=True)

    def _wall(self) -> float:
        return NOON + anyio.current_time() + self.ahead


def hours(recorder: Recorder) -> list[str]:
    """For which times jobs were enqueued."""
    return [event.job_id.removeprefix("every:report:")[:13] for event in recorder.of(events.JobEnqueued)]


def scheduler_of(store: WallStore, recorder: Recorder, missed: Literal["once", "all"] = "once") -> Scheduler:
    scheduler = Scheduler(store=store, observers=[recorder])

    @scheduler.every(cron="0 * * * *", name="report", missed=missed)
    async def report() -> None: ...

    return scheduler


def test_after_a_clock_was_far_ahead_for_a_while_the_schedule_goes_on() -> None:
    """As long as it may be this clock that is wrong, nothing is enqueued; then it begins anew and says so."""

    async def main() -> None:
        store, recorder = WallStore(), Recorder()
        async with scheduler_of(store, recorder):
            await anyio.sleep(1.1 * HOUR)
            store.ahead = 20 * YEAR
            await anyio.sleep(0.2 * HOUR)
        store.ahead = 0
        async with scheduler_of(store, recorder):
            await anyio.sleep(3 * HOUR)
        assert hours(recorder) == ["2026-11-24T13", "2046-11-19T13", "2026-11-24T15", "2026-11-24T16"]
        (fault,) = recorder.of(events.PartMisbehaved)
        assert (fault.part, fault.question) == ("schedule report", "last")
        assert "2046-11-19T13:00:00Z" in fault.problem

    run_virtual(main)


def test_a_clock_that_is_far_behind_until_it_is_set_right_makes_nothing_come_again() -> None:
    """As on a machine without a battery, whose clock begins in 1970 until it has asked somebody for the time."""

    async def main() -> None:
        store, recorder = WallStore(), Recorder()
        async with scheduler_of(store, recorder, "all"):
            await anyio.sleep(1.1 * HOUR)
        store.ahead = -50 * YEAR
        async with scheduler_of(store, recorder, "all"):
            await anyio.sleep(0.5 * HOUR)
            store.ahead = 0
            await anyio.sleep(HOUR)
        assert hours(recorder) == ["2026-11-24T13", "2026-11-24T14"]
        assert recorder.of(events.PartMisbehaved) == []

    run_virtual(main)


@pytest.mark.parametrize("asleep", [8 * HOUR, 3 * DAY])
def test_in_memory_too_it_goes_by_the_clock_on_the_wall_after_the_machine_has_slept(asleep: float) -> None:
    """The clock of the event loop stands still meanwhile."""

    async def main() -> None:
        store, recorder = WallStore(), Recorder()
        async with scheduler_of(store, recorder):
            await anyio.sleep(1.5 * HOUR)
            store.ahead = asleep
            await anyio.sleep(HOUR)
        woken = datetime.fromtimestamp(NOON + asleep + 1.5 * HOUR, UTC)
        first, missed, at_its_time = hours(recorder)
        assert (first, missed) == ("2026-11-24T13", woken.isoformat()[:13])
        assert at_its_time == datetime.fromtimestamp(woken.timestamp() + HOUR, UTC).isoformat()[:13]

    run_virtual(main)


def test_in_memory_too_it_goes_by_the_clock_on_the_wall_when_that_is_set_back_after_it_was_ahead() -> None:
    """As when somebody has set it wrong, or the machine was woken with a clock that was."""

    async def main() -> None:
        store, recorder = WallStore(), Recorder()
        async with scheduler_of(store, recorder):
            await anyio.sleep(1.5 * HOUR)
            store.ahead = 5.5 * HOUR
            await anyio.sleep(0.25 * HOUR)
            store.ahead = 0
            await anyio.sleep(7 * HOUR)
        assert hours(recorder) == [f"2026-11-24T{hour}" for hour in (13, 19, 20)]

    run_virtual(main)


def test_in_memory_too_hours_are_those_of_the_wall_after_the_machine_has_slept() -> None:
    async def main() -> None:
        store, recorder = WallStore(), Recorder()
        async with Scheduler(store=store, observers=[recorder], pacing=OpeningHours("20:00", "24:00")) as scheduler:
            await anyio.sleep(60)
            store.ahead = 8 * HOUR
            await scheduler.enqueue(anyio.sleep, 0)
            await scheduler.drain()
        (started,) = recorder.of(events.JobStarted)
        assert started.waited < 1

    run_virtual(main)
