"""The schedules of the page on periodic jobs, in virtual time."""

from __future__ import annotations

import importlib.util
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import anyio
import pytest

from pacer import events
from pacer.testing import Recorder

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "periodic" / "reports.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("reports_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.anyio
async def test_the_report_comes_on_five_mornings_a_week_and_the_month_is_closed_on_its_last_day() -> None:
    example, recorder = load(), Recorder()
    example.scheduler.observers = [recorder]
    async with example.scheduler as scheduler:
        report, closing = await scheduler.periodic()
        await anyio.sleep(35 * 86_400)
    assert report.when == "0 7 * * mon-fri (Europe/Berlin)"
    assert (closing.name, closing.missed) == ("closing", "all")
    reports, closings = list[datetime](), list[datetime]()
    for event in recorder.of(events.JobEnqueued):
        _, name, at = event.job_id.split(":", 2)
        (closings if name == "closing" else reports).append(datetime.fromisoformat(at))
    local = [at.astimezone(ZoneInfo("Europe/Berlin")) for at in reports]
    assert len(local) == 25
    assert {(at.hour, at.minute) for at in local} == {(7, 0)}
    assert max(at.weekday() for at in local) == 4
    assert 1 <= len(closings) <= 2
    assert {(at.hour, at.minute) for at in closings} == {(2, 30)}
