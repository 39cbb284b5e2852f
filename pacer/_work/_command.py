"""`pacer worker`, made with typer."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from pacer._command_error import CommandError
from pacer._work._load import load
from pacer._work._run import GRACE, Options, run_worker, set_up_log


class Level(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


def worker(
    scheduler: Annotated[
        str, typer.Argument(metavar="MODULE:SCHEDULER", help="Your scheduler, or a function that makes it.")
    ],
    concurrency: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Jobs of the queue that run at once in this process; by default what the scheduler says, "
            "or all that may run where it says 0.",
        ),
    ] = None,
    stop_timeout: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds that running jobs get to end at a stop, before they are handed back; by default what the "
            f"scheduler says, or {GRACE:g} where it says 0.",
        ),
    ] = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="Exit when no job waits and none runs, here or in any other process.")
    ] = False,
    takeover: Annotated[
        bool,
        typer.Option(
            "--takeover", help="Take the queue over from processes with other settings, for this start: a release."
        ),
    ] = False,
    log_level: Annotated[
        Level | None, typer.Option(help="Of pacer's own lines; by default what your application says, or info.")
    ] = None,
) -> None:
    """Run the jobs of a queue in a process of their own.

    Takes the scheduler of your application, for example main:scheduler, and works on its queue until it is told to
    stop. Start as many of them as you like: they are one queue with one pace.

    SIGTERM, SIGINT (Ctrl-C) and SIGHUP stop it: it takes no more jobs, lets those that run end, hands the rest back,
    which costs them no attempt, and ends. A second signal hands them back at once.

    Exit codes: 0 stopped or drained in good order, 1 cannot start, 2 wrong usage, 3 the store cannot be reached (it is
    worth another try), 4 stopped, but some jobs could not be handed back and run again when their leases have run out,
    128 and the signal's number after a second signal.
    """
    try:
        found = load(scheduler)
        set_up_log(None if log_level is None else log_level.value)
        options = Options(concurrency=concurrency, stop_timeout=stop_timeout, drain=drain, takeover=takeover)
        code = run_worker(found, options, _say)
    except CommandError as error:
        typer.echo(f"pacer worker: {error}", err=True)
        raise typer.Exit(error.code) from None
    except KeyboardInterrupt:  # before it had begun to work
        raise typer.Exit(130) from None
    raise typer.Exit(code)


def _say(text: str) -> None:
    typer.echo(f"pacer worker: {text}")
