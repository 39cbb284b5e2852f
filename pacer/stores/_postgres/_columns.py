"""Jobs as arrays, one for each column, in PostgreSQL's own notation; and rows back.

A list that the driver adapts costs many times as much, and JSON twice as much on the server. A column in which all
jobs have the default is an empty array, which the server fills up with NULLs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs

from pacer._job import JobState
from pacer.stores._rows import PLAIN, storable_text
from pacer.stores._server._backend import Change, Place

Row = tuple[Any, ...]

_PAYLOAD, _RESULT, _WIDTH = 2, 35, 37
_NUMBERS: Final = frozenset({int, float, type(None)})


@attrs.frozen
class Column:
    """A column of the table of jobs.

    Attributes:
        name: Its name.
        type: Its type.
        default: What most jobs have in it; NULL in an array stands for it.
        plain: Whether jobs without any options, which come, run and succeed, have something in it.
    """

    name: str
    type: str
    default: Any = None
    plain: bool = False

    def array(self, values: Sequence[Any]) -> str:
        """All the values in one literal."""
        if self.unused(values):
            return "{}"
        if self.type == "boolean":
            return truth_array(values)
        return text_array(values) if self.type in ("text", "bytea") else number_array(values)

    def unused(self, values: Sequence[Any]) -> bool:
        """Whether all have the default."""
        return values.count(self.default) == len(values)

    @property
    def literal(self) -> str:
        """SQL for the default."""
        if self.default is None:
            return f"NULL::{self.type}"
        text = f"'{self.default}'" if isinstance(self.default, str) else str(self.default).lower()
        return f"{text}::{self.type}"

    @property
    def value(self) -> str:
        """SQL for the value of one job, from the arrays."""
        return f"t.{self.name}" if self.default is None else f"coalesce(t.{self.name}, {self.literal})"


UPDATED: Final = (
    Column("id", "text", plain=True),
    Column("state", "text", JobState.QUEUED.value, plain=True),
    Column("arrival", "bigint", plain=True),
    Column("place", "bigint", plain=True),
    Column("due", "float8"),
    Column("ready_at", "float8", 0.0, plain=True),
    Column("started_at", "float8", plain=True),
    Column("ended_at", "float8", plain=True),
    Column("lease_until", "float8", 0.0, plain=True),
    Column("first_failed_at", "float8"),
    Column("retry_delay", "float8", 0.0),
    Column("promised_low", "float8"),
    Column("promised_high", "float8"),
    Column("progress", "float8"),
    Column("fence", "bigint", 0, plain=True),
    Column("failures", "integer", 0),
    Column("throttles", "integer", 0),
    Column("recoveries", "integer", 0),
    Column("cancel_requested", "boolean", False),
    Column("worker", "text", plain=True),
    Column("message", "text", ""),
    Column("error", "text", ""),
    Column("result", "text", plain=True),
    Column("result_bytes", "bytea"),
)
"""What changes, and by what a job is found."""
INSERTED: Final = (
    *UPDATED,
    Column("seq", "bigint", plain=True),
    Column("sort_key", "float8", 0.0, plain=True),
    Column("created_at", "float8", 0.0, plain=True),
    Column("expires_at", "float8"),
    Column("delay", "float8", 0.0),
    Column("timeout", "float8"),
    Column("priority", "bigint", 0),
    Column("task", "text", plain=True),
    Column("home", "text"),
    Column("key", "text"),
    Column("cost", "text"),
    Column("retry", "text"),
    Column("unique_key", "text"),
    Column("batch_id", "text"),
    Column("payload", "text", plain=True),
    Column("payload_bytes", "bytea"),
    Column("headers", "text"),
)
"""And what stays as it was in the beginning."""
REPLACED: Final = (*UPDATED, *(column for column in INSERTED if column.name in ("created_at", "expires_at")))
"""What changes of jobs that are enqueued again."""


@attrs.frozen
class Arrays:
    """Jobs as arrays.

    Attributes:
        plain: Whether there is nothing but the default in any column that is not plain.
        literals: By column: all of them, or the plain ones.
    """

    plain: bool
    literals: dict[str, str]

    @classmethod
    def updated(cls, changes: Sequence[Change], prefix: str) -> Arrays:
        """Of jobs that were there before. `prefix` begins the names of their columns."""
        return cls._of(UPDATED, _changing(changes), prefix)

    @classmethod
    def replaced(cls, changes: Sequence[Change], prefix: str) -> Arrays:
        """The same of jobs that are enqueued again."""
        values = _changing(changes)
        values |= {name: [getattr(one.job, name) for one in changes] for name in ("created_at", "expires_at")}
        return cls._of(REPLACED, values, prefix, whole=True)

    @classmethod
    def inserted(cls, changes: Sequence[Change], prefix: str) -> Arrays:
        """Of new ones."""
        return cls._of(INSERTED, {**_changing(changes), **_given(changes)}, prefix)

    @classmethod
    def _of(
        cls, columns: Sequence[Column], values: Mapping[str, Sequence[Any]], prefix: str, *, whole: bool = False
    ) -> Arrays:
        plain = not whole and all(column.plain or column.unused(values[column.name]) for column in columns)
        literals = {prefix + one.name: one.array(values[one.name]) for one in columns if one.plain or not plain}
        return cls(plain, literals)


# What is written as it is in a record, read in one call.
_CHANGING: Final = (
    *("id", "state", "ready_at", "started_at", "ended_at", "lease_until", "first_failed_at", "retry_delay"),
    *("promised_low", "promised_high", "progress", "fence", "failures", "throttles", "recoveries"),
    *("cancel_requested", "worker", "message", "error", "result"),
)
_GIVEN: Final = (
    *("seq", "sort_key", "created_at", "expires_at", "delay", "timeout", "priority", "task", "home", "key"),
    *("batch_id", "payload"),
)
_read_changing, _read_given = attrgetter(*_CHANGING), attrgetter(*_GIVEN)


def _changing(changes: Sequence[Change]) -> dict[str, Sequence[Any]]:
    values: dict[str, Sequence[Any]] = dict(
        zip(_CHANGING, zip(*[_read_changing(one.job) for one in changes], strict=True), strict=True)
    )
    for name in ("message", "error"):
        if any(values[name]):
            values[name] = [without_nul(text) for text in values[name]]
    values["result"], values["result_bytes"] = _split_all(values["result"])
    values["arrival"] = [one.arrival for one in changes]
    values["place"] = [one.job.seq if one.place is Place.READY else None for one in changes]
    values["due"] = [one.job.ready_at if one.place is Place.DELAYED else None for one in changes]
    return values


def _given(changes: Sequence[Change]) -> dict[str, Sequence[Any]]:
    values: dict[str, Sequence[Any]] = dict(
        zip(_GIVEN, zip(*[_read_given(one.job) for one in changes], strict=True), strict=True)
    )
    values["payload"], values["payload_bytes"] = _split_all(values["payload"])
    values["unique_key"] = [one.job.unique for one in changes]
    encoded = [one.encoded or PLAIN for one in changes]
    for name in ("cost", "retry", "headers"):
        values[name] = [getattr(one, name) for one in encoded]
    return values


# -- values ----------------------------------------------------------------------------------------------------------


def number_array(values: Sequence[Any]) -> str:
    """Numbers and None; infinite ones included."""
    if not _NUMBERS.issuperset(map(type, values)):
        values = [
            value if value is None else int(value) if isinstance(value, int) else float(value) for value in values
        ]
    return "{" + repr(list(values))[1:-1].replace("None", "NULL") + "}"


def truth_array(values: Sequence[bool]) -> str:
    """Truth values."""
    return "{" + ",".join(["t" if value else "f" for value in values]) + "}"


def text_array(values: Sequence[str | None]) -> str:
    """Texts without NUL characters, and None."""
    try:
        whole = "\0".join(values)  # type: ignore[arg-type]
    except TypeError:
        return "{" + ",".join(["NULL" if value is None else f'"{_escaped(value)}"' for value in values]) + "}"
    return '{"' + _escaped(whole).replace("\0", '","') + '"}' if values else "{}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def without_nul(text: str) -> str:
    """The text with what PostgreSQL's text cannot hold spelled out."""
    return storable_text(text).replace("\0", "\\x00") if text else text


def _split_all(values: Sequence[str | bytes | None]) -> tuple[Sequence[str | None], Sequence[str | None]]:
    nothing = [None] * len(values)
    if values.count(None) == len(values):
        return nothing, nothing
    pairs = [split(value) for value in values]
    return [text for text, _ in pairs], [data for _, data in pairs]


def split(value: str | bytes | None) -> tuple[str | None, str | None]:
    """What goes into a column of text, and what into that of bytes beside it.

    Text that PostgreSQL's text cannot hold goes into the second, and an empty one into the first.
    """
    if value is None:
        return None, None
    if isinstance(value, bytes):
        return None, f"\\x{value.hex()}"
    if "\0" in value or (not value.isascii() and storable_text(value) != value):
        return "", f"\\x{value.encode('utf-8', 'surrogatepass').hex()}"
    return value, None


def joined(row: Row) -> Row:
    """A row of pacer's columns from one that has two more, of bytes."""
    payload_bytes, result_bytes = row[_WIDTH:]
    if payload_bytes is None and result_bytes is None:
        return row[:_WIDTH]
    whole = list(row[:_WIDTH])
    whole[_PAYLOAD] = _join(whole[_PAYLOAD], payload_bytes)
    whole[_RESULT] = _join(whole[_RESULT], result_bytes)
    return tuple(whole)


def _join(text: str | None, data: bytes | None) -> str | bytes | None:
    if data is None or text is None:
        return text if data is None else data
    return data.decode("utf-8", "surrogatepass")
