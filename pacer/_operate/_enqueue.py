"""`pacer enqueue`: a job by the name of its function."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn

import attrs
import typer

from pacer import Estimate, PacerError, UnknownJobError
from pacer._command_error import CommandError
from pacer._operate._completion import complete_task
from pacer._operate._data import estimate_data
from pacer._operate._errors import USAGE, exit_codes
from pacer._operate._options import AppOption, JsonOption, QueueOption, StoreUrlOption, WithinOption, YesOption
from pacer._operate._state import able
from pacer._operate._sure import make_sure
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import clean, estimate_text, say, say_json


@attrs.frozen(kw_only=True)
class _Enqueued:
    job_id: str
    created: bool
    state: str
    position: int | None
    estimate: Estimate | None
    reason: str
    """Why no time can be named at which it starts."""
    warning: str


def enqueue(
    task: Annotated[
        str, typer.Argument(metavar="TASK", autocompletion=complete_task, help="The name of the function.")
    ],
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    args: Annotated[str, typer.Option(metavar="JSON", help="Its arguments, as '[\"a.pdf\", 3]'.")] = "[]",
    kwargs: Annotated[str, typer.Option(metavar="JSON", help="Those by name, as '{\"pages\": 3}'.")] = "{}",
    job_id: Annotated[str | None, typer.Option("--id", metavar="ID", help="By default a random one.")] = None,
    key: Annotated[str | None, typer.Option(metavar="KEY", help="Its lane, for example a tenant.")] = None,
    priority: Annotated[int, typer.Option(help="Larger is more urgent, where the order looks at it.")] = 0,
    delay: Annotated[float, typer.Option(min=0, help="Seconds before which it does not start.")] = 0.0,
    unique: Annotated[
        str | None, typer.Option(metavar="VALUE", help="While a job with this one waits or runs, that is the answer.")
    ] = None,
    cost: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="What it is expected to use; several times.")
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put a job into the queue, by the name under which its function is registered.

    Without --app, the arguments are written as JSON: the codec of a store by default. If workers are there and none of
    them knows the function, the job would become stale, so that this is asked about first.

    Exit codes: 0 the job is in the store, 1 refused (the queue is full, for example), 2 wrong usage or not confirmed,
    3 the store cannot be reached.
    """
    with exit_codes("enqueue"):
        options: dict[str, Any] = {"job_id": job_id, "key": key, "priority": priority, "delay": delay, "unique": unique}
        if cost:
            options["cost"] = _costs(cost)
        call = _json("--args", args, list), _json("--kwargs", kwargs, dict)
        if not task.strip():
            msg = "TASK is empty: give the name under which the function is registered"
            raise CommandError(msg, USAGE)

        async def put(guest: Guest) -> _Enqueued:
            guest.need_parts("enqueue")
            warning = await _unknown(guest, task, yes=yes)
            return await _put(guest, task, call, options, warning)

        done = visit(Target.of(store, queue, app, within), put)
        if done.warning:
            typer.echo(f"pacer enqueue: {done.warning}", err=True)
        if as_json:
            say_json(_data(done))
        else:
            say(_told(done))


async def _unknown(guest: Guest, task: str, *, yes: bool) -> str:
    """What to say if nobody who is there can run it. Raises CommandError: it is not wanted then."""
    seen = [one for one in await guest.scheduler.workers() if one.alive_seconds > 0 and one.tasks]
    workers = able(seen)
    if any(task in one.tasks for one in workers):
        return ""
    if not workers or any(task in one.tasks for one in seen):  # processes that run no jobs keep those that they know
        return f"no worker is there now that knows {clean(task)}: the job waits for one"
    known = sorted({name for one in seen for name in one.tasks})
    names = ", ".join(map(clean, known))
    make_sure(f"No worker knows {clean(task)} (they know {names}), so the job becomes stale. Do it?", yes=yes)
    return f"no worker that is there knows {clean(task)}; they know {names}"


async def _put(
    guest: Guest, task: str, call: tuple[Sequence[Any], Mapping[str, Any]], options: dict[str, Any], warning: str
) -> _Enqueued:
    scheduler = guest.scheduler
    registered = scheduler._registry.named(task)
    function = _stands_in if registered is None else registered.function
    if registered is None:
        scheduler.task(name=task)(_stands_in)
    try:
        enqueuer = scheduler.options(**options)
    except (ValueError, TypeError) as error:
        raise CommandError(str(error).removeprefix("options: "), USAGE) from error
    receipt = await enqueuer.enqueue(function, *call[0], **call[1])
    return _Enqueued(
        job_id=receipt.job_id,
        created=receipt.created,
        state=receipt.state.value,
        position=receipt.position,
        estimate=receipt.estimate,
        reason="" if receipt.estimate else await _reason(guest, receipt.job_id),
        warning=warning,
    )


async def _reason(guest: Guest, job_id: str) -> str:
    try:
        return (await guest.scheduler.explain(job_id)).reason
    except UnknownJobError:  # it is over, and was not kept
        return ""


def _stands_in(*_: Any, **__: Any) -> NoReturn:
    """For the function, whose code is elsewhere."""
    msg = "this process runs no jobs"
    raise PacerError(msg)


def _json(option: str, text: str, kind: type) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        msg = f"{option} is not JSON: {error}"
        raise CommandError(msg, USAGE) from error
    if not isinstance(value, kind):
        wanted = "an array, as '[\"a.pdf\", 3]'" if kind is list else "an object, as '{\"pages\": 3}'"
        msg = f"{option} must be {wanted}"
        raise CommandError(msg, USAGE)
    return value


def _costs(texts: Sequence[str]) -> dict[str, float]:
    costs = {}
    for text in texts:
        name, _, amount = text.rpartition("=")
        try:
            costs[name] = float(amount)
        except ValueError:
            costs[name] = math.nan
        if not name or not 0 <= costs[name] < math.inf:
            msg = f"--cost {text!r} is not of the form NAME=NUMBER, as tokens=1800"
            raise CommandError(msg, USAGE)
    return {"requests": 1.0, **costs}


def _data(done: _Enqueued) -> dict[str, Any]:
    return {
        "id": done.job_id,
        "created": done.created,
        "state": done.state,
        "position": done.position,
        "starts_in": estimate_data(done.estimate),
        "warning": done.warning or None,
    }


def _told(done: _Enqueued) -> str:
    if done.position is None:
        return f"{clean(done.job_id)}  exists already: {done.state}"
    if done.warning:
        starts = "no time can be named at which it starts"
    elif done.estimate is None:
        starts = f"no time can be named at which it starts{f' ({clean(done.reason)})' if done.reason else ''}"
    else:
        starts = "starts at once" if done.estimate.high <= 0 else f"starts in {estimate_text(done.estimate)}"
    there = "" if done.created else "exists already, "
    return f"{clean(done.job_id)}  {there}number {done.position}, {starts}"
