"""What really arrived, from a file."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random

import attrs

from pacer._job import ONE_REQUEST
from pacer._validation import positive, whole
from pacer.simulation._arrivals import Arrival


def _columns(value: Mapping[str, str | Sequence[str]]) -> Mapping[str, Sequence[str]]:
    return {name: (one,) if isinstance(one, str) else tuple(one) for name, one in value.items()}


@attrs.frozen
class Trace:
    """Arrivals from a CSV file with a header, as they were recorded, from the first row on.

    Rows must be in order of time. Times are numbers of seconds, or dates with times as in ISO 8601; those that name no
    offset from UTC are taken to be in UTC.

    Not for trying what a heavier load would do by leaving out gaps: `speed` shortens all of them alike.

    Args:
        path: The file.
        at: The column that holds the time.
        cost: By dimension, the column that holds how much of it a job uses, or several columns to be added up:
            `{"tokens": ("ContextTokens", "GeneratedTokens")}`. Every job uses one request besides, unless "requests"
            is among them.
        key: The column that holds its lane; None (default): no lanes. Jobs where it is empty have none.
        priority: The column that holds its priority, a whole number; None (default): all 0.
        size: The column that holds how much longer than usual the upstream takes for it; None (default): all 1.
        speed: How many times faster than recorded the jobs arrive, above 0; 1 by default.
        jobs: Only so many of the rows; None (default): all.
    """

    path: Path = attrs.field(converter=Path)
    at: str
    cost: Mapping[str, Sequence[str]] = attrs.field(factory=dict, converter=_columns, kw_only=True)
    key: str | None = attrs.field(default=None, kw_only=True)
    priority: str | None = attrs.field(default=None, kw_only=True)
    size: str | None = attrs.field(default=None, kw_only=True)
    speed: float = attrs.field(default=1.0, validator=positive, kw_only=True)
    jobs: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(0)), kw_only=True)
    endless: bool = attrs.field(init=False, default=False)

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        """Row by row; raises ValueError that names the row, for what cannot be read."""
        with self.path.open(newline="", encoding="utf-8-sig") as file:  # spreadsheets write a byte order mark
            try:
                yield from self._rows(csv.DictReader(file))
            except UnicodeDecodeError as error:
                msg = f"Trace: {self.path} is not UTF-8 text ({error}); save it as UTF-8"
                raise ValueError(msg) from error

    def _rows(self, reader: csv.DictReader[str]) -> Iterator[Arrival]:
        self._check(reader.fieldnames or ())
        first: float | None = None
        last = 0.0
        for row in islice(reader, self.jobs):
            try:
                time = _time(row, self.at)
                first = time if first is None else first
                arrival = self._arrival((time - first) / self.speed, row)
            except ValueError as error:
                msg = f"Trace: {self.path}, line {reader.line_num}: {error}"
                raise ValueError(msg) from error
            if arrival.at < last:
                msg = f"Trace: {self.path}, line {reader.line_num}: earlier than the row before; sort the file"
                raise ValueError(msg)
            last = arrival.at
            yield arrival

    def _check(self, found: Sequence[str]) -> None:
        named = [self.at, self.key, self.priority, self.size, *(one for names in self.cost.values() for one in names)]
        missing = [name for name in named if name is not None and name not in found]
        if missing:
            msg = f"Trace: {self.path} has no column {missing[0]!r}; it has {', '.join(found) or 'none'}"
            raise ValueError(msg)

    def _arrival(self, at: float, row: Mapping[str, str | None]) -> Arrival:
        cost = ONE_REQUEST
        if self.cost:
            cost = {**ONE_REQUEST, **{name: _amount(row, columns) for name, columns in self.cost.items()}}
        return Arrival(
            at,
            key=None if self.key is None else row[self.key] or None,
            cost=cost,
            priority=0 if self.priority is None else _whole(row, self.priority),
            size=1.0 if self.size is None else _amount(row, (self.size,)),
        )


def _cell(row: Mapping[str, str | None], column: str) -> str:
    text = row[column]
    if text is None:  # the row ends before it
        msg = f"{column} is missing"
        raise ValueError(msg)
    return text


def _time(row: Mapping[str, str | None], column: str) -> float:
    text = _cell(row, column)
    try:
        seconds = float(text)
    except ValueError:
        seconds = _date(text)
    if not math.isfinite(seconds):
        msg = f"{column} must be a number of seconds or a date with a time as in ISO 8601, got {text!r}"
        raise ValueError(msg)
    return seconds


def _date(text: str) -> float:
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        return math.nan
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _whole(row: Mapping[str, str | None], column: str) -> int:
    text = _cell(row, column)
    try:
        return int(text)
    except ValueError:
        msg = f"{column} must be a whole number, got {text!r}"
        raise ValueError(msg) from None


def _amount(row: Mapping[str, str | None], columns: Sequence[str]) -> float:
    return sum(_number(row, column) for column in columns)


def _number(row: Mapping[str, str | None], column: str) -> float:
    text = _cell(row, column)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        msg = f"{column} must be a finite number, 0 or more, got {text!r}"
        raise ValueError(msg)
    return number
