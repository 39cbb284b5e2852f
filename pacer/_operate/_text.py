"""Times, numbers and what comes from jobs, as people read them in a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, TextIO

import typer

from pacer import Estimate
from pacer._operate._errors import output

_UNITS: Final = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_TOO_LONG: Final = 100 * 365.25 * 86400
_LONGEST_CELL: Final = 200
_UNBOUNDED: Final = 100_000
_NARROWEST: Final = 8
_GAP: Final = 2


def seconds_text(seconds: float) -> str:
    """As "7.2 s", "87 s", "12 min 5 s", "3 h 20 min", "2 d 4 h"."""
    if seconds > _TOO_LONG:
        return "over 100 years"
    if seconds < 10:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    left = round(seconds)
    if left < 100:
        return f"{left} s"
    parts = list[str]()
    for size, name in _UNITS:
        count, left = divmod(left, size)
        if parts or count:
            parts.append(f"{count} {name}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts))


def estimate_text(estimate: Estimate) -> str:
    """The expected time, and between which it is in 8 of 10 cases."""
    about, low, high = map(seconds_text, (estimate.seconds, estimate.low, estimate.high))
    return f"about {about}" + ("" if low == high else f" ({low} to {high})")


def count_text(count: int, noun: str, nouns: str = "") -> str:
    """As "1 job", "5 jobs"."""
    return f"{count} {noun if count == 1 else nouns or f'{noun}s'}"


def number_text(number: float) -> str:
    """As short as it is exact enough for people."""
    return f"{number:.6g}"


def time_text(at: datetime) -> str:
    """UTC, to the second."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def clean(text: object) -> str:
    """What a job or somebody else has written, harmless in a terminal: on one line, without control characters."""
    return "".join(one if one.isprintable() else _escaped(one) for one in str(text))


def _escaped(one: str) -> str:
    return one.encode("unicode_escape", "surrogatepass").decode("ascii") if one != "\n" else "\\n"


def cell(text: object) -> str:
    """The same for a table."""
    shown = clean(text)
    return shown if len(shown) <= _LONGEST_CELL else f"{shown[: _LONGEST_CELL - 3]}..."


def is_terminal(stream: TextIO | None) -> bool:
    """Whether it is one; a stream that whoever started the command has closed is None."""
    return stream is not None and stream.isatty()


def colours() -> bool:
    """Whether standard output is a terminal that wants them."""
    return is_terminal(sys.stdout) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def styled(text: str, **style: Any) -> str:
    """The text with a style, where there is one."""
    return typer.style(text, **style) if colours() else text


def say(text: str = "") -> None:
    """A line for people. Raises OutputError."""
    with output():
        typer.echo(text)


def say_json(data: Any) -> None:
    """One value, on lines of its own. Raises OutputError."""
    say(json.dumps(data, indent=2, default=str))


def say_json_line(data: Any) -> None:
    """One of many values, on one line. Raises OutputError."""
    say(json.dumps(data, separators=(",", ":"), default=str))


def rows(pairs: Iterable[tuple[str, str]]) -> None:
    """A name and what there is to say of it, a line each."""
    shown = [(name, text) for name, text in pairs if text]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        say(f"{styled(f'{name:<{width}}', dim=True)}  {text}")


def table(heads: Sequence[str], lines: Iterable[Sequence[str]], *, right: Sequence[int] = (), fold: int = -1) -> None:
    """Columns, as narrow as they can be. On a terminal they fit into its width, elsewhere each is as wide as it needs.

    Args:
        heads: What stands above them.
        lines: What stands in them; harmless already.
        right: Columns of numbers.
        fold: The column that is shortened first.
    """
    from rich.cells import cell_len  # noqa: PLC0415 - it takes time that most commands need not spend
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    there, folded = [list(line) for line in lines], fold % len(heads)
    console = Console(color_system="auto" if colours() else None, highlight=False)
    if not console.is_terminal:
        console.width = _UNBOUNDED
    widths = [max(map(cell_len, (head, *(line[index] for line in there)))) for index, head in enumerate(heads)]
    left = console.width - sum(widths) + widths[folded] - _GAP * (len(heads) - 1)
    shown = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="dim")
    for index, head in enumerate(heads):
        most = max(_NARROWEST, left) if index == folded else None
        shown.add_column(
            head, justify="right" if index in right else "left", no_wrap=True, overflow="ellipsis", max_width=most
        )
    for line in there:
        shown.add_row(*map(Text, line))
    with output(), console.capture() as captured:
        console.print(shown)
    for shown_line in captured.get().splitlines():
        say(shown_line.rstrip())
