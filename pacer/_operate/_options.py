"""The options that many commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from pacer._operate._completion import complete_number, complete_queue, complete_task

_WHERE = "Which queue"

StoreUrlOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        rich_help_panel=_WHERE,
        help="sqlite:///jobs.db, postgresql://user@host/database or redis://host:6379/0; or PACER_STORE.",
    ),
]
QueueOption = Annotated[
    str | None,
    typer.Option(
        "--queue",
        metavar="NAME",
        autocompletion=complete_queue,
        rich_help_panel=_WHERE,
        help="Its name in the store, or PACER_QUEUE; not needed where there is only one.",
    ),
]
AppOption = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE:SCHEDULER",
        rich_help_panel=_WHERE,
        help="Your scheduler, with its store and its queue. Needed only where parts are of your own making.",
    ),
]
WithinOption = Annotated[
    str | None,
    typer.Option(
        "--within",
        metavar="NAME",
        rich_help_panel=_WHERE,
        help='The schema of a PostgresStore, or the prefix of a RedisStore, or PACER_WITHIN; "pacer" by default.',
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
AlsoYesOption = Annotated[bool, typer.Option("--yes", "-y", help="For scripts that always say it: this does not ask.")]
TaskOption = Annotated[
    str | None, typer.Option(metavar="NAME", autocompletion=complete_task, help="Only jobs of this function.")
]
KeyOption = Annotated[str | None, typer.Option(metavar="KEY", help="Only jobs of this lane.")]
PathsArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH=NUMBER]...", autocompletion=complete_number, help="As pacing.seconds=5; none: list them."
    ),
]
