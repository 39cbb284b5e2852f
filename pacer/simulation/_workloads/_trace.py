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
        with self.path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            self._check(reader.fieldnames or ())
            first: float | None = None
            last = 0.0
            for row in islice(reader, self.jobs):
                try:
                    time = _time(row[self.at])
                    first = time if first is None else first
                    arrival = self._arrival((time - first) / self.speed, row)
                except (TypeError, ValueError) as error:
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

    def _arrival(self, at: float, row: Mapping[str, str]) -> Arrival:
        cost = ONE_REQUEST
        if self.cost:
            cost = {**ONE_REQUEST, **{name: _amount(row, columns) for name, columns in self.cost.items()}}
        return Arrival(
            at,
            key=None if self.key is None else row[self.key] or None,
            cost=cost,
            priority=0 if self.priority is None else int(row[self.priority]),
            size=1.0 if self.size is None else _amount(row, (self.size,)),
        )


def _time(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        date = datetime.fromisoformat(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(seconds):
        msg = f"a time must be a finite number of seconds or a date with a time, got {text!r}"
        raise ValueError(msg)
    return seconds


def _amount(row: Mapping[str, str], columns: Sequence[str]) -> float:
    amount = sum(float(row[column]) for column in columns)
    if not 0 <= amount < float("inf"):
        msg = f"{' + '.join(columns)} must be a finite number, 0 or more, got {amount!r}"
        raise ValueError(msg)
    return amount
