"""`pacer set`: numbers of the parts, changed while the queue runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from pacer import Number
from pacer._command_error import CommandError
from pacer._operate._completion import complete_number
from pacer._operate._errors import USAGE, exit_codes
from pacer._operate._options import (
    AppOption,
    JsonOption,
    PathsArgument,
    QueueOption,
    StoreUrlOption,
    WithinOption,
    YesOption,
)
from pacer._operate._sure import make_sure
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import clean, number_text, say, say_json, table


def set_numbers(
    pairs: PathsArgument = None,
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    reset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            autocompletion=complete_number,
            help="Back to what the code says; several times.",
        ),
    ] = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change numbers of the queue's parts, at once and on all workers: pacing.seconds=5 queue.capacity=100.

    They are kept in the store, also over restarts, until they are reset or a part is replaced by another one. Without
    anything to change: list all numbers that there are.

    Exit codes: 0 set or listed, 1 refused, 2 wrong usage, a number that is none, or not confirmed, 3 the store cannot
    be reached.
    """
    with exit_codes("set"):
        changes = _changes(pairs or [], reset or [])

        async def change(guest: Guest) -> Sequence[Number]:
            guest.need_parts("set")
            if changes:
                await _change(guest, changes, yes=yes)
            return await guest.scheduler.numbers()

        numbers = visit(Target.of(store, queue, app, within), change)
        if as_json:
            say_json([_data(one) for one in numbers])
        else:
            _show(numbers)


async def _change(guest: Guest, changes: dict[str, float | None], *, yes: bool) -> None:
    what = ", ".join(
        f"{clean(path)} as in the code" if value is None else f"{clean(path)}={number_text(value)}"
        for path, value in changes.items()
    )
    make_sure(f"Set {what} for all workers of {clean(guest.scheduler.name)}?", yes=yes)
    try:
        await guest.scheduler.set_numbers(changes)
    except ValueError as error:
        raise CommandError(clean(error), USAGE) from error


def _changes(pairs: Sequence[str], reset: Sequence[str]) -> dict[str, float | None]:
    changes = dict[str, float | None]()
    for path, value in [*map(_pair, pairs), *((path.removesuffix("="), None) for path in reset)]:
        if path in changes and changes[path] != value:
            msg = f"{clean(path)} is given twice: say once what it is to be"
            raise CommandError(msg, USAGE)
        changes[path] = value
    return changes


def _pair(text: str) -> tuple[str, float]:
    path, _, number = text.partition("=")
    try:
        if path:
            return path, int(number) if number.removeprefix("-").isdigit() else float(number)
    except ValueError:
        pass
    msg = f"{clean(text)!r} is not of the form PATH=NUMBER, as pacing.seconds=5"
    raise CommandError(msg, USAGE)


def _data(one: Number) -> dict[str, object]:
    return {"path": one.path, "value": one.value, "recipe": one.recipe, "by_hand": one.by_hand}


def _show(numbers: Sequence[Number]) -> None:
    if not numbers:
        say("the parts of this queue have no numbers that can be set")
        return
    lines = [
        (one.path, number_text(one.value), number_text(one.recipe), "by hand" if one.by_hand else "") for one in numbers
    ]
    table(["number", "now", "in the code", ""], lines, right=[1, 2], fold=0)
