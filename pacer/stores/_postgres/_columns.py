"""Jobs as arrays, one for each column, in PostgreSQL's own notation; and rows back.

A list that the driver adapts costs many times as much, and JSON twice as much on the server. A column in which all
jobs have the default is an empty array, which the server fills up with NULLs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs

from pacer._job import JobState
from pacer.stores._rows import PLAIN, storable_text
from pacer.stores._server._backend import Change, Place

Row = tuple[Any, ...]

_PAYLOAD, _RESULT, _WIDTH = 2, 35, 36
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
)
"""And what stays as it was in the beginning."""


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
    def updated(cls, changes: Iterable[Change], prefix: str) -> Arrays:
        """Of jobs that were there before. `prefix` begins the names of their columns."""
        return cls._of(UPDATED, [_changing(one) for one in changes], prefix)

    @classmethod
    def inserted(cls, changes: Iterable[Change], prefix: str) -> Arrays:
        """Of new ones."""
        return cls._of(INSERTED, [(*_changing(one), *_given(one)) for one in changes], prefix)

    @classmethod
    def _of(cls, columns: Sequence[Column], rows: Sequence[Row], prefix: str) -> Arrays:
        pairs = list(zip(columns, zip(*rows, strict=True), strict=True))
        plain = all(column.plain or column.unused(values) for column, values in pairs)
        return cls(
            plain, {prefix + column.name: column.array(values) for column, values in pairs if column.plain or not plain}
        )


def _changing(change: Change) -> Row:
    job = change.job
    result, result_bytes = split(job.result)
    return (
        job.id,
        job.state.value,
        change.arrival,
        job.seq if change.place is Place.READY else None,
        job.ready_at if change.place is Place.DELAYED else None,
        job.ready_at,
        job.started_at,
        job.ended_at,
        job.lease_until,
        job.first_failed_at,
        job.retry_delay,
        job.promised_low,
        job.promised_high,
        job.progress,
        job.fence,
        job.failures,
        job.throttles,
        job.recoveries,
        job.cancel_requested,
        job.worker,
        without_nul(job.message),
        without_nul(job.error),
        result,
        result_bytes,
    )


def _given(change: Change) -> Row:
    job, encoded = change.job, change.encoded or PLAIN
    payload, payload_bytes = split(job.payload)
    return (
        job.seq,
        job.sort_key,
        job.created_at,
        job.expires_at,
        job.delay,
        job.timeout,
        job.priority,
        job.task,
        job.home,
        job.key,
        encoded.cost,
        encoded.retry,
        job.unique,
        job.batch_id,
        payload,
        payload_bytes,
    )


# -- values ----------------------------------------------------------------------------------------------------------


def number_array(values: Sequence[Any]) -> str:
    """Numbers, truth values and None; infinite ones included."""
    if not _NUMBERS.issuperset(map(type, values)):
        values = [value if value is None or isinstance(value, bool) else _plain(value) for value in values]
    return "{" + repr(list(values))[1:-1].replace("None", "NULL") + "}"


def _plain(value: Any) -> int | float:
    return int(value) if isinstance(value, int) else float(value)


def text_array(values: Sequence[str | None]) -> str:
    """Texts and None."""
    return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def without_nul(text: str) -> str:
    """The text with what PostgreSQL's text cannot hold spelled out."""
    return storable_text(text).replace("\0", "\\x00") if text else text


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
