"""What people see while the demo runs."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest
from rich.console import Console

from pacer.demo._client import Progress
from pacer.demo._display import LiveTable, PlainLines, display_on, seconds, waiting_time

IDLE = {"pending": 0, "running": 0, "waiting_for": "", "next_start_seconds": 0.0}
PAUSED = {"pending": 1, "running": 0, "waiting_for": "pause of 10 s after the last job", "next_start_seconds": 6.8}


def job(title: str, status: str, **fields: Any) -> dict[str, Any]:
    nothing = {"queue_position": None, "estimated_wait": None, "progress": None, "error": ""}
    return {"id": title, "title": title, "status": status, **nothing, **fields}


WAITING = job(
    "8/1217 Kostenfreies Trinkwasser an allen Schulen",
    "queued",
    queue_position=1,
    estimated_wait={"seconds": 150.0, "low": 71.0, "high": 257.0},
)
DONE = job("8/1204 Zustand der Eisenbahnbrücken im Wiesental", "succeeded", progress=1.0)
FAILED = job("8/1233 Moore", "failed", error="TimeoutError: too late")


def shown(*frames: Progress, terminal: bool, once: bool = True, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    with display_on(console, once) as display:
        assert isinstance(display, LiveTable if terminal else PlainLines)
        for frame in frames:
            display.show(frame)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text).replace("\r", "\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 s"),
        (0.121, "0.12 s"),
        (0.999, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (99.4, "99 s"),
        (150, "2:30 min"),
    ],
)
def test_times_have_units_and_no_more_digits_than_they_deserve(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (None, ""),
        ({"seconds": 6.8, "low": 6.8, "high": 6.8}, "6.8 s"),
        ({"seconds": 56.0, "low": 24.0, "high": 99.0}, "56 s (24-99)"),
        ({"seconds": 59.0, "low": 20.0, "high": 115.0}, "0:59 min (0:20-1:55)"),
    ],
)
def test_waiting_times_show_their_interval_in_one_unit(wait: Any, text: str) -> None:
    assert waiting_time({"estimated_wait": wait}) == text


@pytest.mark.parametrize("width", [80, 120])
def test_the_table_fits_the_terminal_and_says_what_the_queue_waits_for(width: int) -> None:
    text = shown(Progress([DONE, WAITING], PAUSED, 1, 2), terminal=True, width=width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "2:30 min (1:11-4:17)" in text
    assert "1 of 2 analysed   429s absorbed: 1" in text
    assert "waits: pause of 10 s after the last job, 6.8 s left" in text
    assert ("Kostenfreies Trinkwasser an allen Schulen" in text) is (width == 120)


def test_a_demo_that_goes_on_says_how_to_end_it() -> None:
    done = Progress([DONE], IDLE, 0, 1)
    assert "Ctrl-C ends the demo." in shown(done, terminal=True, once=False)
    assert "Ctrl-C" not in shown(done, terminal=True, once=True)


def test_plain_lines_tell_each_change_once() -> None:
    frames = [Progress([DONE, WAITING, FAILED], PAUSED, absorbed, 3) for absorbed in (0, 0, 1, 1)]
    assert shown(*frames, terminal=False).splitlines() == [
        "8/1204   succeeded",
        "8/1217   waits at position 1, starts in 2:30 min (1:11-4:17)",
        "8/1233   failed: TimeoutError: too late",
        "queue    waits: pause of 10 s after the last job",
        "queue    absorbed a 429 of the upstream: all wait as long as it said, the job keeps its place",
    ]


def test_a_run_is_drained_when_nothing_waits_or_runs_and_all_papers_have_ended() -> None:
    assert Progress([DONE, FAILED], IDLE, 0, 2).drained
    assert not Progress([DONE], IDLE, 0, 2).drained
    assert not Progress([DONE, FAILED], PAUSED, 0, 2).drained
