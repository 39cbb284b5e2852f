"""What `pacer top` shows: one screen of a queue."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import attrs
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pacer import Job, JobState, Minute, Upcoming
from pacer._operate._jobs import about, ago
from pacer._operate._state import able
from pacer._operate._status import Overview, overview
from pacer._operate._target import Guest
from pacer._operate._text import cell, clean, count_text, estimate_text, number_text

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_PLAIN_BLOCKS: Final = " .:-=+*#@"
_BAR: Final = 16
_MINUTES: Final = 60
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
    shown = list(minutes)[-max(10, min(_MINUTES, console.width - 40)) :]
    most = max(minute.started for minute in shown)
    bars = "".join(blocks[math.ceil(minute.started / most * (len(blocks) - 1)) if most else 0] for minute in shown)
    text = Text("starts a minute ", style="dim")
    text.append(bars, style="cyan")
    text.append(f" {shown[-1].started} in this one, at most {most}", style="dim")
    return text


def _running(look: Look, console: Console) -> Table:
    table = _table("running", "task", "for", "progress", "")
    for job in look.running:
        bar: RenderableType = ""
        if job.progress is not None:
            share = f"{job.progress:4.0%} "
            bar = _beside(share, ProgressBar(total=1.0, completed=job.progress, width=_BAR), console, job.progress)
        since = "" if job.started_at is None else ago(job.started_at, look.now)
        table.add_row(Text(cell(job.id)), Text(cell(job.task)), since, bar, Text(_message(job)))
    return table


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
    table = _table("next", "task", "key", "starts", "")
    certain = not look.overview.uncertain
    for one in look.upcoming:
        starts = ""
        if certain:
            starts = "no time can be named" if one.estimate is None else f"in {estimate_text(one.estimate)}"
        key = "" if one.job.key is None else cell(one.job.key)
        again = f"attempt {number_text(one.job.attempt)}" if one.job.attempt > 1 else ""
        table.add_row(Text(cell(one.job.id)), Text(cell(one.job.task)), Text(key), starts, again)
    return table


def _table(*heads: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    return table
