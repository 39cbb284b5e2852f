"""`pacer retry`: jobs that ended without success are enqueued again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

import typer

from pacer import JobState, NotRetryableError, QueueFullError, Retried, UnknownJobError
from pacer._command_error import CommandError
from pacer._job import ENDED_WITHOUT_SUCCESS
from pacer._operate._errors import REFUSED, USAGE, exit_codes
from pacer._operate._options import AppOption, JsonOption, QueueOption, StoreUrlOption, WithinOption, YesOption
from pacer._operate._sure import make_sure
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import clean, count_text, say, say_json
from pacer._pages import MOST_COUNTED


def retry(
    job_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Of the jobs.")] = None,
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All that ended so, until the queue is full.")] = False,
    state: Annotated[JobState, typer.Option(help="Which ones, with --all.")] = JobState.STALE,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Enqueue jobs again that ended without success. They keep their ids, and begin anew with attempt 1.

    Asks first with --all.

    Exit codes: 0 all wait again, 1 some could not be (the queue is full, for example), 2 wrong usage or not confirmed,
    3 the store cannot be reached.
    """
    with exit_codes("retry"):
        if bool(job_ids) == everything:
            msg = "give the ids of jobs, or --all for all that are stale (--all --state failed for others)"
            raise CommandError(msg, USAGE)
        if state not in ENDED_WITHOUT_SUCCESS:
            msg = f"--state {state} makes no sense here; choices: {', '.join(sorted(ENDED_WITHOUT_SUCCESS))}"
            raise CommandError(msg, USAGE)
        work = _all(state, yes=yes) if everything else _each(job_ids or [])
        done = visit(Target.of(store, queue, app, within), work)
        if as_json:
            full = None if done.full is None else str(done.full)
            say_json({"count": done.count, "refused": dict(done.refused), "full": full})
        else:
            _show(done)
        if done.refused or done.full is not None:
            raise typer.Exit(REFUSED)


def _all(state: JobState, *, yes: bool) -> Callable[[Guest], Awaitable[Retried]]:
    async def again(guest: Guest) -> Retried:
        guest.need_parts("retry")
        tally = await guest.scheduler.tally()
        count = tally.get(state, 0)
        if not count:
            return Retried(0, {})
        more = " or more" if count >= MOST_COUNTED else ""
        make_sure(f"Run {count}{more} {state} jobs again?", yes=yes)
        return await guest.scheduler.retry_all(state)

    return again


def _each(job_ids: Sequence[str]) -> Callable[[Guest], Awaitable[Retried]]:
    async def again(guest: Guest) -> Retried:
        guest.need_parts("retry")
        count, refused = 0, dict[str, str]()
        for job_id in job_ids:
            try:
                await guest.scheduler.retry(job_id)
            except NotRetryableError as error:
                refused[job_id] = error.reason
            except UnknownJobError:
                refused[job_id] = "no job has this id"
            except QueueFullError as full:
                return Retried(count, refused, full)
            else:
                count += 1
        return Retried(count, refused)

    return again


def _show(done: Retried) -> None:
    say(f"{count_text(done.count, 'job waits', 'jobs wait')} again")
    for job_id, reason in done.refused.items():
        typer.echo(f"pacer retry: {clean(job_id)}: {clean(reason)}", err=True)
    if done.full is not None:
        typer.echo(f"pacer retry: {done.full}; the others are as they were", err=True)
