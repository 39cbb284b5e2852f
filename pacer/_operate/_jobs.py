"""`pacer jobs`: which jobs there are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from pacer import Job, JobState
from pacer._operate._data import job_data
from pacer._operate._errors import exit_codes
from pacer._operate._options import (
    AppOption,
    KeyOption,
    QueueOption,
    StoreUrlOption,
    TaskOption,
    WithinOption,
)
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import cell, clean, say, say_json_line, seconds_text, styled, table

MOST: Final = 10_000
_A_PAGE: Final = 200


class Sort(StrEnum):
    """By what jobs are sorted."""

    CREATED = "created"
    READY = "ready"
    STARTED = "started"
    ENDED = "ended"
    DURATION = "duration"
    ATTEMPT = "attempt"
    KEY = "key"
    TASK = "task"


def jobs(
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    state: Annotated[
        list[JobState] | None,
        typer.Option(help="May be given several times; by default those that run, and then those that wait."),
    ] = None,
    task: TaskOption = None,
    key: KeyOption = None,
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="How many at most.")] = 50,
    sort: Annotated[
        Sort | None,
        typer.Option(help="Sort what is listed: of more jobs than the limit, the first in their usual order."),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The last first, of what is listed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one job a line.")] = False,
) -> None:
    """List jobs: those that run, and those that wait, or those in other states.

    Waiting ones come in the order in which they are to start, ended ones by their end, the last first. They are read
    page by page, and no more of them than are listed.

    Exit codes: 0 listed, 1 refused, 2 wrong usage, 3 the store cannot be reached.
    """
    states = list(dict.fromkeys(state or [JobState.RUNNING, JobState.QUEUED]))

    async def look(guest: Guest) -> tuple[list[Job], bool, datetime]:
        found = [job async for job in listed(guest, states, task, key, limit + 1)]
        return found[:limit], len(found) > limit, guest.now()

    with exit_codes("jobs"):
        found, more, now = visit(Target.of(store, queue, app, within), look)
        found = in_order(found, sort, reverse=reverse)
        if as_json:
            for job in found:
                say_json_line(job_data(job))
        else:
            _show(found, _nothing(states, task, key), now, more=more)


async def listed(
    guest: Guest, states: Sequence[JobState], task: str | None, key: str | None, limit: int
) -> AsyncIterator[Job]:
    """The first jobs in these states: running ones, then waiting ones, then ended ones; no more are read."""
    left = limit
    for shelf in shelves(states):
        after: str | None = None
        while left > 0:
            page = await guest.scheduler.jobs(*shelf, task=task, key=key, limit=min(left, _A_PAGE), after=after)
            for job in page.jobs:
                yield job
            left, after = left - len(page.jobs), page.after
            if after is None:
                break


def shelves(states: Sequence[JobState]) -> list[list[JobState]]:
    """The states, those together that have an order in common."""
    alone = [[one] for one in (JobState.RUNNING, JobState.QUEUED) if one in states]
    ended = [one for one in states if one.final]
    return [*alone, ended] if ended else alone


def in_order(found: list[Job], sort: Sort | None, *, reverse: bool) -> list[Job]:
    """Sorted; those without such a time, duration or key come last."""
    if sort is None:
        return found[::-1] if reverse else found
    of = _SORT_KEYS[sort]
    there = sorted((job for job in found if of(job) is not None), key=of, reverse=reverse)
    return [*there, *(job for job in found if of(job) is None)]


def duration_of(job: Job) -> float | None:
    """Seconds from the last start to the end; None before that."""
    if job.started_at is None or job.ended_at is None:
        return None
    return max(0.0, (job.ended_at - job.started_at).total_seconds())


_SORT_KEYS: Final[Mapping[Sort, Callable[[Job], Any]]] = {
    Sort.CREATED: lambda job: job.created_at,
    Sort.READY: lambda job: job.ready_at,
    Sort.STARTED: lambda job: job.started_at,
    Sort.ENDED: lambda job: job.ended_at,
    Sort.DURATION: duration_of,
    Sort.ATTEMPT: lambda job: job.attempt,
    Sort.KEY: lambda job: job.key,
    Sort.TASK: lambda job: job.task,
}


def _nothing(states: Sequence[JobState], task: str | None, key: str | None) -> str:
    of = "" if task is None else f" of {clean(task)}"
    with_key = "" if key is None else f" with key {clean(key)}"
    return f"no job{of}{with_key} is {' or '.join(states)}"


def _show(found: Sequence[Job], nothing: str, now: datetime, *, more: bool) -> None:
    if not found:
        say(nothing)
        return
    heads = ["id", "state", "task", "key", "try", "when", "ran", "about"]
    if all(job.key is None for job in found):
        heads.remove("key")
    if all(duration_of(job) is None for job in found):
        heads.remove("ran")
    lines = [[value for name, value in _line(job, now).items() if name in heads] for job in found]
    table(heads, lines, right=[heads.index("try")])
    if more:
        say(styled(f"and more: these are the first {len(found)}; --limit lists others, up to {MOST}", dim=True))


def _line(job: Job, now: datetime) -> dict[str, str]:
    return {
        "id": cell(job.id),
        "state": job.state,
        "task": cell(job.task),
        "key": "" if job.key is None else cell(job.key),
        "try": str(job.attempt),
        "when": when_text(job, now),
        "ran": "" if (ran := duration_of(job)) is None else seconds_text(ran),
        "about": about(job),
    }


def when_text(job: Job, now: datetime) -> str:
    """What is nearest in time, in as few words as will do."""
    if job.ended_at is not None:
        return f"{ago(job.ended_at, now)} ago"
    if job.state is JobState.RUNNING and job.started_at is not None:
        return f"for {ago(job.started_at, now)}"
    if job.ready_at > now:
        return f"in {ago(now, job.ready_at)}"
    return f"since {ago(job.created_at, now)}"


def ago(at: datetime, now: datetime) -> str:
    """How long from then to now."""
    return seconds_text(max(0.0, (now - at).total_seconds()))


def about(job: Job) -> str:
    """Progress, message, or what went wrong."""
    if job.state is JobState.RUNNING:
        share = "" if job.progress is None else f"{job.progress:.0%}"
        return " ".join(filter(None, (share, cell(job.message))))
    if job.state is JobState.QUEUED and job.position is not None and not job.error:
        return f"number {job.position}"
    return cell(job.error)
