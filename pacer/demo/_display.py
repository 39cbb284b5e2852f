"""Showing progress: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pacer.demo._client import Progress

_COLOURS = {"succeeded": "green", "running": "yellow", "failed": "red", "dead": "red"}
_MOST_ROWS = 15
# Seconds from which times are written as minutes and seconds.
_LONG = 99.5
FAILED = ("failed", "dead", "stale", "cancelled", "dropped", "expired")


class Display(Protocol):
    """Shows each state of affairs."""

    def show(self, progress: Progress) -> None: ...


def seconds(value: float) -> str:
    """A time for people."""
    return f"{_number(value)} s" if value < _LONG else f"{_minutes(value)} min"


def waiting_time(job: dict[str, Any]) -> str:
    """When the job starts, with the interval: "56 s (24-99)" or, in minutes and seconds, "2:30 min (1:11-4:17)"."""
    wait = job["estimated_wait"]
    if wait is None:
        return ""
    write, unit = (_number, "s") if wait["high"] < _LONG else (_minutes, "min")
    spread = f" ({write(wait['low'])}-{write(wait['high'])})" if write(wait["low"]) != write(wait["high"]) else ""
    return f"{write(wait['seconds'])} {unit}{spread}"


def _number(value: float) -> str:
    return f"{value:.{0 if value >= 9.95 or value == 0 else 1 if value >= 0.995 else 2}f}"


def _minutes(value: float) -> str:
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}:{rest:02}"


@attrs.define(eq=False)
class PlainLines:
    """One line for each change."""

    _console: Console
    _seen: dict[str, str] = attrs.field(init=False, factory=dict)
    _absorbed: int = attrs.field(init=False, default=0)

    def show(self, progress: Progress) -> None:
        """Print what has changed since the last time."""
        for job in progress.jobs:
            more = "" if job["queue_position"] is None else f", starts in {waiting_time(job)}"
            self._print_changed(job["title"].split(" ")[0], self._of_job(job), more)
        if progress.absorbed > self._absorbed:
            self._absorbed = progress.absorbed
            self._line("queue", "absorbed a 429 of the upstream: all wait as long as it said, the job keeps its place")
        reason = progress.status["waiting_for"]
        if reason and progress.status["pending"]:
            self._print_changed("queue", f"waits: {reason}")

    @staticmethod
    def _of_job(job: dict[str, Any]) -> str:
        if job["queue_position"] is not None:
            return f"waits at position {job['queue_position']}"
        return f"{job['status']}: {job['error']}" if job["status"] in FAILED else job["status"]

    def _print_changed(self, subject: str, text: str, more: str = "") -> None:
        """Print it if `text` is new; what changes all the time goes into `more`."""
        if self._seen.get(subject) != text:
            self._seen[subject] = text
            self._line(subject, text + more)

    def _line(self, subject: str, text: str) -> None:
        self._console.print(f"{subject:<8} {text}", soft_wrap=True, highlight=False, markup=False)


@attrs.define(eq=False)
class LiveTable:
    """A table that is redrawn in place."""

    _live: Live
    _once: bool

    def show(self, progress: Progress) -> None:
        """Redraw."""
        self._live.update(self._render(progress), refresh=True)

    def _render(self, progress: Progress) -> RenderableType:
        return Group(self._table(progress), self._summary(progress))

    def _table(self, progress: Progress) -> Table:
        table = Table(expand=True, box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("Paper", ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column("State", no_wrap=True, min_width=9)
        table.add_column("Pos", justify="right", no_wrap=True)
        table.add_column("Starts in", no_wrap=True, min_width=20)
        table.add_column("Progress", no_wrap=True, min_width=8)
        for job in progress.jobs[-_MOST_ROWS:]:
            position = job["queue_position"]
            table.add_row(
                Text(job["title"]),
                Text(job["status"], style=_COLOURS.get(job["status"], "")),
                "" if position is None else str(position),
                waiting_time(job),
                self._progress(job),
            )
        return table

    @staticmethod
    def _progress(job: dict[str, Any]) -> RenderableType:
        done = 1.0 if job["status"] == "succeeded" else job["progress"] or 0.0
        return ProgressBar(total=1, completed=done, width=8)

    def _summary(self, progress: Progress) -> Text:
        status = progress.status
        text = Text(f"{progress.count('succeeded')} of {len(progress.jobs)} analysed")
        text.append(f"   429s absorbed: {progress.absorbed}", style="yellow" if progress.absorbed else "")
        if progress.drained and not self._once:
            return text.append("   Ctrl-C ends the demo.", style="dim")
        if status["waiting_for"] and status["pending"]:
            text.append(f"\nwaits: {status['waiting_for']}")
            if status["next_start_seconds"]:
                text.append(f", {seconds(status['next_start_seconds'])} left")
        return text


@contextmanager
def display_on(console: Console, once: bool) -> Iterator[Display]:
    """The display that fits the console; `once`: the demo ends by itself."""
    if not console.is_terminal:
        yield PlainLines(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield LiveTable(live, once)
