"""`pacer status`: one screen, the state first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from pacer import JobState, Status, Upcoming
from pacer._job import ENDED_WITHOUT_SUCCESS
from pacer._operate._data import estimate_data, worker_data
from pacer._operate._errors import exit_codes
from pacer._operate._options import AppOption, JsonOption, QueueOption, StoreUrlOption, WithinOption
from pacer._operate._state import State, able, state_of
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import (
    clean,
    count_text,
    estimate_text,
    number_text,
    rows,
    say,
    say_json,
    seconds_text,
    styled,
)
from pacer._pages import MOST_COUNTED
from pacer.protocols import WorkerSeen

_NO_TIME: Final = {"paused": "when somebody resumes it", "unattended": "when there is a worker"}


@attrs.frozen(kw_only=True)
class Overview:
    """All that is shown of a queue."""

    queue: str
    where: str
    state: State
    status: Status
    first: Upcoming | None
    """The job that is next; None if none waits."""
    tally: Mapping[JobState, int]
    workers: Sequence[WorkerSeen]
    terms: Mapping[str, str]
    unknown: Mapping[str, str]
    uncertain: str


async def overview(guest: Guest) -> Overview:
    """Ask for it."""
    scheduler = guest.scheduler
    status, workers = await scheduler.status(), await scheduler.workers()
    first = next(iter(await scheduler.upcoming(1)), None) if status.pending else None
    due_in = 0.0 if first is None else (first.job.ready_at - guest.now()).total_seconds()
    return Overview(
        queue=scheduler.name,
        where=guest.where,
        state=state_of(status, workers, certain=not guest.uncertain, due_in=due_in),
        status=status,
        first=first,
        tally=await scheduler.tally(),
        workers=workers,
        terms=guest.terms,
        unknown=guest.unknown,
        uncertain=guest.uncertain,
    )


def status(
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a queue is doing, and why nothing starts right now.

    Exit codes: 0 shown, 1 refused, 2 wrong usage, 3 the store cannot be reached.
    """
    with exit_codes("status"):
        seen = visit(Target.of(store, queue, app, within), overview)
        if as_json:
            say_json(as_data(seen))
        else:
            show(seen)


def show(seen: Overview) -> None:
    """For people."""
    colour = "green" if seen.state.good else "yellow"
    say(styled(seen.state.text, bold=True, fg=colour))
    rows(_lines(seen))


def _lines(seen: Overview) -> list[tuple[str, str]]:
    now, certain = seen.status, not seen.uncertain
    capacity = "" if "queue" in seen.unknown else f" of {now.capacity}"
    concurrency = "" if "concurrency" in seen.unknown else f" of {now.concurrency}"
    oldest = "" if now.oldest_waiting_seconds is None else f", one for {seconds_text(now.oldest_waiting_seconds)}"
    return [
        ("to do", seen.state.advice),
        ("queue", f"{clean(seen.queue)} in {clean(seen.where)}"),
        ("waiting", f"{now.pending}{capacity}{oldest}"),
        ("running", f"{now.running}{concurrency}"),
        ("next start", _next_start(seen) if certain else ""),
        ("new job", _new_job(seen) if certain else ""),
        ("rate", _rate(now.rate_limit) if certain else ""),
        ("no forecast", clean(seen.uncertain)),
        ("failures", f"{now.failures_in_a_row} in a row" if now.failures_in_a_row else ""),
        ("so far", f"{now.succeeded} succeeded, {now.failed} failed, {count_text(now.throttled, 'run')} throttled"),
        ("kept", _kept(seen.tally)),
        ("workers", _workers(seen.workers)),
        ("by hand", ", ".join(f"{path}={number_text(one)}" for path, one in now.numbers_by_hand.items())),
        *((name, clean(seen.terms.get(name, ""))) for name in ("pacing", "backoff")),
    ]


def _next_start(seen: Overview) -> str:
    """Of the job that is next, or else of one that came now."""
    if seen.state.name in _NO_TIME:
        return _NO_TIME[seen.state.name]
    estimate = None if seen.first is None else seen.first.estimate
    if estimate is not None:
        return "at once" if estimate.high <= 0 else f"in {estimate_text(estimate)}"
    left = seen.status.next_start_seconds
    if left is None:
        return "no time can be named"
    return "at once" if left <= 0 else f"in {seconds_text(left)}"


def _new_job(seen: Overview) -> str:
    now = seen.status
    runs = f"runs about {seconds_text(now.average_duration)}"
    if now.estimate is None or seen.state.name in _NO_TIME:
        return f"starts at a time that cannot be named, {runs}"
    return f"starts {'at once' if now.estimate.high <= 0 else f'in {estimate_text(now.estimate)}'}, {runs}"


def _rate(limit: float | None) -> str:
    if limit is None:
        return ""
    return f"at most {number_text(limit)} a second" if limit >= 1 else f"at most {number_text(limit * 60)} a minute"


def _kept(tally: Mapping[JobState, int]) -> str:
    """Of those that have not succeeded."""
    there = [(tally[state], state) for state in JobState if state in ENDED_WITHOUT_SUCCESS and tally.get(state)]
    return ", ".join(f"{count}{'+' if count >= MOST_COUNTED else ''} {state}" for count, state in there)


def _workers(workers: Sequence[WorkerSeen]) -> str:
    alive, ready = [one for one in workers if one.alive_seconds > 0], able(workers)
    idle = sum(not one.slots for one in alive)
    slots = count_text(sum(one.slots for one in ready), "slot")
    told = [f"{count_text(len(ready), 'worker')} with {slots}" if ready else "none"]
    if idle:
        told.append(f"{count_text(idle, 'process runs', 'processes run')} no jobs")
    if len(alive) > len(ready) + idle:
        without = count_text(len(alive) - len(ready) - idle, "process", "processes")
        told.append(f"{without} without functions to run")
    if len(workers) > len(alive):
        told.append(f"{len(workers) - len(alive)} gone")
    return "; ".join(told)


def as_data(seen: Overview) -> dict[str, Any]:
    """For programs. The keys are stable."""
    now = seen.status
    return {
        "queue": seen.queue,
        "store": seen.where,
        "state": {"name": seen.state.name, "text": seen.state.text, "seconds": seen.state.seconds},
        "waiting": now.pending,
        "capacity": None if "queue" in seen.unknown else now.capacity,
        "running": now.running,
        "concurrency": None if "concurrency" in seen.unknown else now.concurrency,
        "oldest_waiting_seconds": now.oldest_waiting_seconds,
        "paused": now.paused,
        "hold_seconds": now.hold_seconds,
        "hold_reason": now.hold_reason,
        "failures_in_a_row": now.failures_in_a_row,
        **_decided_by_parts(seen),
        "so_far": {"succeeded": now.succeeded, "failed": now.failed, "throttled": now.throttled},
        "kept": {state.value: seen.tally.get(state, 0) for state in JobState if state.final},
        "workers": [worker_data(one) for one in seen.workers],
        "numbers_by_hand": dict(now.numbers_by_hand),
        "terms": dict(seen.terms),
    }


def _decided_by_parts(seen: Overview) -> dict[str, Any]:
    now, uncertain = seen.status, seen.uncertain
    known = {
        "waiting_for": now.waiting_for,
        "next_start_seconds": now.next_start_seconds,
        "new_job_starts_in": estimate_data(now.estimate),
        "average_duration": now.average_duration,
        "rate_limit": now.rate_limit,
    }
    return {**(dict.fromkeys(known) if uncertain else known), "no_forecast": uncertain or None}
