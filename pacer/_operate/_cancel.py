"""`pacer cancel`: jobs that are not to run, or not to run on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from pacer import JobState, UnknownJobError
from pacer._operate._completion import complete_job
from pacer._operate._errors import REFUSED, exit_codes
from pacer._operate._options import AppOption, QueueOption, StoreUrlOption, WithinOption, YesOption
from pacer._operate._sure import make_sure
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import clean, say, say_json_line

_GONE = "unknown"


def cancel(
    job_ids: Annotated[list[str], typer.Argument(metavar="ID...", autocompletion=complete_job, help="Of the jobs.")],
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    yes: YesOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one job a line.")] = False,
) -> None:
    """Cancel jobs. Those that wait do not start; those that run are stopped by their worker at its next heartbeat.

    Asks first if one of them is running.

    Exit codes: 0 all are cancelled or had ended, 1 one of them is unknown, 2 wrong usage or not confirmed, 3 the store
    cannot be reached.
    """

    async def stop(guest: Guest) -> dict[str, tuple[str, bool]]:
        states = {job_id: await _state(guest, job_id) for job_id in job_ids}
        running = [clean(job_id) for job_id, state in states.items() if state == JobState.RUNNING]
        if running:
            make_sure(f"Stop what is running: {', '.join(running)}?", yes=yes)
        return {job_id: await _cancelled(guest, job_id, state) for job_id, state in states.items()}

    with exit_codes("cancel"):
        done = visit(Target.of(store, queue, app, within), stop)
        for job_id, (state, cancelled) in done.items():
            if as_json:
                say_json_line({"id": job_id, "was": state, "cancelled": cancelled})
            else:
                say(f"{clean(job_id)}  {_told(state, cancelled=cancelled)}")
        if any(state == _GONE for state, _ in done.values()):
            raise typer.Exit(REFUSED)


async def _state(guest: Guest, job_id: str) -> str:
    try:
        return (await guest.scheduler.explain(job_id)).job.state.value
    except UnknownJobError:
        return _GONE


async def _cancelled(guest: Guest, job_id: str, state: str) -> tuple[str, bool]:
    try:
        return state, state != _GONE and await guest.scheduler.cancel(job_id)
    except UnknownJobError:
        return _GONE, False


def _told(state: str, *, cancelled: bool) -> str:
    told: Any = {
        _GONE: "no job has this id",
        JobState.QUEUED: "cancelled",
        JobState.RUNNING: "its worker is asked to stop it",
    }
    return str(told[state]) if cancelled or state == _GONE else f"had ended already: {state}"
