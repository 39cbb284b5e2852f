"""The table, as columns of text; in a terminal with colours, elsewhere as plain text."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pacer._compare._comparison import Comparison
from pacer._compare._figures import FIGURES, Figure, numbers, writer
from pacer._compare._notes import notes
from pacer._compare._run import Trial
from pacer._compare._verdict import verdict

BEST: Final = "*"
SPREAD: Final = "  least to most"
_GAP: Final = 2
_ROOM_FOR_NAMES: Final = 18
"""Columns of the screen; where there are less, names are folded and the table stands in parts."""


@attrs.frozen
class Column:
    """A column of the table, as text.

    Attributes:
        title: With the unit.
        cells: The medians, one for each candidate; "" if it was not measured.
        spreads: From the least to the most of several runs; "" if they are written the same.
        best: Which of them are the best; none if all are the same.
    """

    title: str
    cells: Sequence[str]
    spreads: Sequence[str]
    best: Sequence[bool]


def columns(trials: Sequence[Trial]) -> list[Column]:
    """The columns that say something about these candidates."""
    made = [_column(figure, trials) for figure in FIGURES]
    return [column for column in made if column is not None]


def _column(figure: Figure, trials: Sequence[Trial]) -> Column | None:
    found = [numbers(figure, trial) for trial in trials]
    medians = [median(values) for values in found if values]
    if not medians or not figure.wanted([value for values in found for value in values]):
        return None
    alike = [
        value for one in FIGURES if one.measure == figure.measure for trial in trials for value in numbers(one, trial)
    ]
    text, sign = writer(figure.measure, alike)
    cells = [text(median(values)) if values else "" for values in found]
    spreads = [_spread(text(min(values)), text(max(values))) if values else "" for values in found]
    best = text(max(medians) if figure.most_is_best else min(medians))
    marks = [cell == best and len(set(cells)) > 1 for cell in cells]
    return Column(figure.title.format(sign), cells, spreads, marks)


def _spread(least: str, most: str) -> str:
    return "" if least == most else f"{least}-{most}"


def rows(trials: Sequence[Trial]) -> list[list[str]]:
    """Titles, then the cells of each candidate, the best ones marked, and a row of spreads if there are any."""
    shown = columns(trials)
    found = [["candidate", *(column.title for column in shown)]]
    for index, trial in enumerate(trials):
        marked = [column.cells[index] + (BEST if column.best[index] else " ") for column in shown]
        found.append([trial.candidate.name, *marked])
        spreads = [column.spreads[index] for column in shown]
        if any(spreads):
            found.append([SPREAD, *(f"{spread} " for spread in spreads)])
    return found


def plain(table: Sequence[Sequence[str]]) -> str:
    """As a Markdown table that is aligned for reading."""
    # A bar in a name would end the cell.
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*escaped, strict=True)]
    lines = []
    for row in escaped:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append(f"| {' | '.join([row[0].ljust(widths[0]), *cells])} |")
    rule = "|".join(["", "-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:]), ""])
    return "\n".join([lines[0], rule, *lines[1:]])


def coloured(table: Sequence[Sequence[str]], width: int) -> list[Table]:
    """For a terminal: in a narrow one names and titles are folded and the columns go on below; numbers stay whole."""
    names, *numbers = zip(*table, strict=True)
    longest = max(map(len, names))
    parts: list[list[Sequence[str]]] = [[]]
    for column in numbers:
        if parts[-1] and _needed([*parts[-1], column]) > width - min(longest, _ROOM_FOR_NAMES):
            parts.append([])
        parts[-1].append(column)
    return [_part(names, part, min(longest, width - _needed(part))) for part in parts]


def _part(names: Sequence[str], columns: Sequence[Sequence[str]], room: int) -> Table:
    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    made.add_column(names[0], width=room, overflow="fold", vertical="bottom")
    for column in columns:
        made.add_column(column[0], justify="right", width=_needed([column]) - _GAP, overflow="fold", vertical="bottom")
    for row in list(zip(names, *columns, strict=True))[1:]:
        if row[0] != SPREAD or any(cell.strip() for cell in row[1:]):
            made.add_row(*(Text(cell, style=_style(row, cell)) for cell in row))
    return made


def _needed(columns: Sequence[Sequence[str]]) -> int:
    """How wide these columns of numbers have to be, with the gaps before them."""
    return sum(_GAP + max(map(len, (*column[0].split(), *column[1:]))) for column in columns)


def _style(row: Sequence[str], cell: str) -> str:
    return "dim" if row[0] == SPREAD else "bold green" if cell.endswith(BEST) else ""


def headline(comparison: Comparison, trials: Sequence[Trial]) -> str:
    """What was run."""
    jobs = trials[0].results[0].arrived
    runs = f"medians of {comparison.repeat} runs" if comparison.repeat > 1 else f"seed {comparison.seed}"
    marks = f"; {BEST} marks the best" if len(trials) > 1 else ""
    return f"{jobs} jobs of a {type(comparison.workload).__name__}, {runs}{marks}"


def show(comparison: Comparison, trials: Sequence[Trial], console: Console) -> None:
    """Print table, notes and verdict; where there is no terminal as plain text that is never cut off."""
    table, sentence = rows(trials), verdict(trials, comparison.tolerated).sentence
    if not console.is_terminal:
        said = [headline(comparison, trials), "", plain(table), "", *notes(comparison, trials), sentence]
        console.file.write("\n".join(said) + "\n")
        return
    console.print(Text(headline(comparison, trials)))
    console.print()
    for part in coloured(table, console.width):
        console.print(part)
        console.print()
    for note in notes(comparison, trials):
        console.print(Text(note, style="yellow"))
    console.print(Text(sentence, style="bold"))
