"""`pacer job`: all about one job."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

import attrs
import typer

from pacer import Explanation, Job, JobState, PacerError
from pacer._operate._completion import complete_job
from pacer._operate._data import estimate_data, job_data
from pacer._operate._errors import exit_codes
from pacer._operate._jobs import ago, duration_of
from pacer._operate._options import AppOption, JsonOption, QueueOption, StoreUrlOption, WithinOption
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import (
    clean,
    estimate_text,
    number_text,
    rows,
    say,
    say_json,
    seconds_text,
    styled,
    time_text,
)


@attrs.frozen(kw_only=True)
class _Seen:
    explanation: Explanation
    uncertain: str
    now: datetime
    shown: dict[str, Any]
    """What is shown only if it is asked for: arguments and result, by name."""


def job(
    job_id: Annotated[str, typer.Argument(metavar="ID", autocompletion=complete_job, help="Of the job.")],
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    arguments: Annotated[bool, typer.Option("--arguments", help="Show what its function is called with.")] = False,
    result: Annotated[bool, typer.Option("--result", help="Show what its function has returned.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show all about one job: where it stands, why it has not started, and when it will.

    Exit codes: 0 shown, 1 there is no such job, 2 wrong usage, 3 the store cannot be reached.
    """

    async def look(guest: Guest) -> _Seen:
        explanation = await guest.scheduler.explain(job_id)
        shown: dict[str, Any] = {}
        if arguments:
            shown |= await _arguments(guest, job_id)
        if result and explanation.job.state is JobState.SUCCEEDED:
            shown |= await _result(guest, job_id)
        return _Seen(explanation=explanation, uncertain=guest.uncertain, now=guest.now(), shown=shown)

    with exit_codes("job"):
        seen = visit(Target.of(store, queue, app, within), look)
        if as_json:
            say_json(_data(seen))
        else:
            _show(seen)


async def _arguments(guest: Guest, job_id: str) -> dict[str, Any]:
    try:
        args, kwargs = await guest.scheduler.arguments(job_id)
    except PacerError as error:
        return {"arguments": str(error)}
    except Exception as error:
        return {"arguments": f"they are not JSON ({type(error).__name__}): give --app module:scheduler"}
    return {"args": list(args), "kwargs": dict(kwargs)}


async def _result(guest: Guest, job_id: str) -> dict[str, Any]:
    try:
        found = await guest.scheduler.job(job_id)
    except PacerError:
        raise
    except Exception as error:
        return {"result": f"it is not JSON ({type(error).__name__}): give --app module:scheduler"}
    return {"result": found.result}


def _data(seen: _Seen) -> dict[str, Any]:
    explanation, certain = seen.explanation, not seen.uncertain
    return {
        **job_data(explanation.job),
        "ahead": explanation.ahead,
        "reason": explanation.reason if certain else None,
        "reason_seconds": explanation.seconds if certain else None,
        "starts_in": estimate_data(explanation.estimate) if certain else None,
        "no_forecast": seen.uncertain or None,
        **seen.shown,
    }


def _show(seen: _Seen) -> None:
    found = seen.explanation.job
    good = found.state in (JobState.SUCCEEDED, JobState.RUNNING, JobState.QUEUED)
    say(styled(_headline(seen), bold=True, fg="green" if good else "yellow"))
    rows(_lines(seen))


def _headline(seen: _Seen) -> str:
    found, now = seen.explanation.job, seen.now
    if found.state is JobState.QUEUED:
        return f"waiting: number {found.position}" if found.position is not None else "waiting"
    if found.state is JobState.RUNNING:
        progress = "" if found.progress is None else f", {found.progress:.0%} done"
        return f"running{'' if found.started_at is None else f' for {ago(found.started_at, now)}'}{progress}"
    return f"{found.state}{'' if found.ended_at is None else f' {ago(found.ended_at, now)} ago'}"


def _lines(seen: _Seen) -> list[tuple[str, str]]:
    found, certain = seen.explanation.job, not seen.uncertain
    waits = found.state is JobState.QUEUED
    duration = duration_of(found)
    return [
        ("why not yet", _why(seen) if waits and certain else ""),
        ("starts", _starts(seen.explanation) if waits and certain else ""),
        ("no forecast", clean(seen.uncertain) if waits else ""),
        ("error", clean(found.error)),
        ("message", clean(found.message)),
        ("id", clean(found.id)),
        ("task", clean(found.task)),
        ("key", "" if found.key is None else clean(found.key)),
        ("priority", str(found.priority) if found.priority else ""),
        ("cost", ", ".join(f"{clean(name)}={number_text(amount)}" for name, amount in found.cost.items())),
        ("batch", "" if found.batch_id is None else clean(found.batch_id)),
        ("attempt", _attempt(found)),
        ("worker", clean(found.worker or "")),
        *_times(found, seen.now),
        ("ran for", "" if duration is None else seconds_text(duration)),
        *((name, clean(_json(value))) for name, value in seen.shown.items()),
    ]


def _why(seen: _Seen) -> str:
    explanation = seen.explanation
    reasons = []
    if explanation.reason:
        left = "" if explanation.seconds is None else f", {seconds_text(explanation.seconds)} left"
        reasons.append(f"{clean(explanation.reason)}{left}")
    if explanation.ahead:
        reasons.append(
            "1 job is to start before it" if explanation.ahead == 1 else f"{explanation.ahead} are to start before it"
        )
    return "; ".join(reasons) or "nothing is in its way"


def _starts(explanation: Explanation) -> str:
    estimate = explanation.estimate
    if estimate is None:
        return "no time can be named"
    return "at once" if estimate.high <= 0 else f"in {estimate_text(estimate)}"


def _attempt(found: Job) -> str:
    extra = [f"throttled {found.throttles} times" if found.throttles else ""]
    extra.append(f"interrupted by {found.recoveries} crashes" if found.recoveries else "")
    return ", ".join([str(found.attempt), *filter(None, extra)])


def _times(found: Job, now: datetime) -> list[tuple[str, str]]:
    times = {
        "enqueued": found.created_at,
        "ready": found.ready_at if found.ready_at > found.created_at else None,
        "expires": found.expires_at if found.state is JobState.QUEUED else None,
        "started": found.started_at,
        "ended": found.ended_at,
    }
    return [(name, _when(at, now)) for name, at in times.items() if at is not None]


def _when(at: datetime, now: datetime) -> str:
    relative = f"{ago(at, now)} ago" if at <= now else f"in {ago(now, at)}"
    return f"{time_text(at)}, {relative}"


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
