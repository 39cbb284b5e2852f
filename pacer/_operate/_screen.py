"""What `pacer top` shows: one screen of a queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import attrs
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pacer import Estimate, Job, JobState, Minute, Upcoming
from pacer._operate._jobs import about, ago
from pacer._operate._state import able
from pacer._operate._status import Overview, overview
from pacer._operate._target import Guest
from pacer._operate._text import cell, clean, count_text, estimate_text, number_text

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_PLAIN_BLOCKS: Final = " .:-=+*#@"
_BAR: Final = 16
_MINUTES: Final = 60
_GAP: Final = 2
_NARROWEST: Final = 8
# Lines that are no job.
_FRAME: Final = 11


@attrs.frozen(kw_only=True)
class Look:
    """All that one screen shows."""

    overview: Overview
    now: datetime
    running: Sequence[Job]
    upcoming: Sequence[Upcoming]
    minutes: Sequence[Minute]


async def look_at(guest: Guest, lines: int) -> Look:
    """Ask for as much as there is room for."""
    scheduler, most = guest.scheduler, max(1, (lines - _FRAME) // 2)
    return Look(
        overview=await overview(guest),
        now=guest.now(),
        running=(await scheduler.jobs(JobState.RUNNING, limit=most)).jobs,
        upcoming=await scheduler.upcoming(most),
        minutes=await scheduler.history(_MINUTES),
    )


def line_of(look: Look) -> str:
    """One line, for where there is no terminal."""
    seen, minute = look.overview, look.minutes[-1]
    last = look.minutes[-2] if len(look.minutes) > 1 else minute
    status = seen.status
    return (
        f"{look.now:%Y-%m-%dT%H:%M:%SZ}  {seen.state.text}  waiting={status.pending} running={status.running} "
        f"started_last_minute={last.started} failed_last_minute={last.failed}"
    )


def screen_of(look: Look, console: Console, trouble: str = "") -> RenderableType:
    """A screen, for a terminal."""
    seen = look.overview
    head = Text(seen.state.text, style="bold green" if seen.state.good else "bold yellow")
    if trouble:
        head = Text(f"cannot look: {clean(trouble)}", style="bold red")
    parts: list[RenderableType] = [head, Text(_figures(look), style="dim"), Text(), _chart(look.minutes, console)]
    if look.running:
        parts += [Text(), _running(look, console)]
    if look.upcoming:
        parts += [Text(), _next(look, console)]
    if seen.uncertain:
        parts.append(Text(f"no forecast: {clean(seen.uncertain)}", style="yellow"))
    parts += [Text(), Text("q leaves", style="dim")]
    return Group(*(_on_one_line(one) for one in parts))


def _on_one_line(part: RenderableType) -> RenderableType:
    if isinstance(part, Text):
        part.no_wrap, part.overflow = True, "ellipsis"
    return part


def _figures(look: Look) -> str:
    seen = look.overview
    status = seen.status
    kept = ", ".join(
        f"{seen.tally[state]} {state}" for state in (JobState.STALE, JobState.DEAD) if seen.tally.get(state)
    )
    figures = [
        clean(seen.queue),
        f"{status.pending} waiting" if "queue" in seen.unknown else f"{status.pending} of {status.capacity} waiting",
        f"{status.running} running",
        count_text(len(able(seen.workers)), "worker"),
        f"{status.succeeded} succeeded, {status.failed} failed so far",
        kept,
    ]
    return " · ".join(filter(None, figures))


def _chart(minutes: Sequence[Minute], console: Console) -> Text:
    """How many jobs started in each of the last minutes, as far as there is room."""
    blocks = _PLAIN_BLOCKS if console.options.ascii_only else _BLOCKS
    head, now = "starts a minute ", minutes[-1].started
    most = max(minute.started for minute in minutes)
    tail = f" {now} in this one, at most {most}"
    shown = list(minutes)[-max(10, min(_MINUTES, console.width - len(head) - len(tail))) :]
    bars = "".join(blocks[math.ceil(minute.started / most * (len(blocks) - 1)) if most else 0] for minute in shown)
    text = Text(head, style="dim")
    text.append(bars, style="cyan")
    text.append(tail, style="dim")
    return text


def _running(look: Look, console: Console) -> Table:
    lines: list[list[str | float]] = [
        [
            cell(job.id),
            cell(job.task),
            "" if job.started_at is None else ago(job.started_at, look.now),
            "" if job.progress is None else job.progress,
            _message(job),
        ]
        for job in look.running
    ]
    return _table(console, ("running", "task", "for", "progress", ""), lines, fold=4)


def _beside(share: str, bar: ProgressBar, console: Console, progress: float) -> RenderableType:
    if console.options.ascii_only:
        full = round(progress * _BAR)
        return f"{share}{'#' * full}{'.' * (_BAR - full)}"
    grid = Table.grid()
    grid.add_row(share, bar)
    return grid


def _message(job: Job) -> str:
    return cell(job.message) if job.message else "" if job.progress is not None else about(job)


def _next(look: Look, console: Console) -> Table:
    certain = not look.overview.uncertain
    lines: list[list[str | float]] = [
        [
            cell(one.job.id),
            cell(one.job.task),
            "" if one.job.key is None else cell(one.job.key),
            _starts(one.estimate) if certain else "",
            f"attempt {number_text(one.job.attempt)}" if one.job.attempt > 1 else "",
        ]
        for one in look.upcoming
    ]
    return _table(console, ("next", "task", "key", "starts in", ""), lines, fold=1)


def _starts(estimate: Estimate | None) -> str:
    if estimate is None:
        return "no time can be named"
    return "at once" if estimate.high <= 0 else estimate_text(estimate).removeprefix("about ")


def _table(console: Console, heads: Sequence[str], lines: Sequence[Sequence[str | float]], fold: int) -> Table:
    """Columns as narrow as they can be, without those that are empty; numbers are progress.

    Where there is no room, the column `fold` is shortened first, then the function's name, and the id last.
    """
    kept = [index for index in range(len(heads)) if any(line[index] != "" for line in lines)]
    widths = {index: max(map(_width, [heads[index], *(line[index] for line in lines)])) for index in kept}
    over = sum(widths.values()) + _GAP * (len(kept) - 1) - console.width
    for index in (fold, 1, 0):
        if index in widths and over > 0:
            room = max(_NARROWEST, widths[index] - over)
            over -= widths[index] - min(widths[index], room)
            widths[index] = min(widths[index], room)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for index in kept:
        table.add_column(heads[index], no_wrap=True, overflow="ellipsis", width=widths[index])
    for line in lines:
        table.add_row(*(_shown(line[index], console) for index in kept))
    return table


def _width(value: str | float) -> int:
    return cell_len(value) if isinstance(value, str) else _BAR + len("100% ")


def _shown(value: str | float, console: Console) -> RenderableType:
    if isinstance(value, str):
        return Text(value)
    bar = ProgressBar(total=1.0, completed=value, width=_BAR)
    return _beside(f"{value:4.0%} ", bar, console, value)
