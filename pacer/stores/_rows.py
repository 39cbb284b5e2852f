"""Jobs as rows of a table: the SQL text, and the way there and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, overload

import attrs

import pacer.backoff
from pacer._errors import NotEncodableError
from pacer._job import ONE_REQUEST, JobRecord, JobState, Retry
from pacer._snapshot import Facts
from pacer.stores._lazily import Lazily

Row = tuple[Any, ...]

# Where some columns stand in a row, for those who look at it without making a record of it.
TASK, HOME, KEY, SEQ, SORT_KEY = 1, 3, 4, 14, 15

# In the order of JobRecord's fields, so that a row becomes a record in one call.
COLUMNS: Final = (
    "id, task, payload, home, key, priority, cost, delay, timeout, retry, unique_key, batch_id, NULL, state, seq, "
    "sort_key, created_at, ready_at, expires_at, started_at, ended_at, failures, first_failed_at, retry_delay, "
    "promised_low, promised_high, throttles, recoveries, worker, fence, lease_until, cancel_requested, progress, "
    "message, error, result, headers"
)
# The same without the payload, which may be large and is of no use to the rules.
FACTS: Final = COLUMNS.replace("payload,", "NULL,", 1)
# And without the result: as people see many jobs at once.
LISTED: Final = FACTS.replace("result,", "NULL,", 1)
# As far as a forecast looks at them.
NAMED: Final = FACTS.partition(", started_at")[0]

_FIELDS: Final = tuple(field.name for field in attrs.fields(JobRecord))
_STATES: Final = {state.value: state for state in JobState}
_ID, _TASK, _KEY, _PRIORITY, _COST, _RETRY, _STATE, _CREATED, _READY, _EXPIRES, _CANCEL, _HEADERS = (
    *(0, 1, 4, 5, 6, 9, 13),
    *(16, 17, 18, 31, 36),
)


def decode(row: Row) -> JobRecord:
    """The record of a row of `COLUMNS` or `FACTS`."""
    record = JobRecord(*row)
    record.state = _STATES[row[_STATE]]
    record.cost = ONE_REQUEST if row[_COST] is None else json.loads(row[_COST])
    record.cancel_requested = bool(row[_CANCEL])
    if row[_RETRY] is not None:
        record.retry = decode_retry(row[_RETRY])
    if row[_HEADERS] is not None:
        record.headers = decode_headers(row[_HEADERS])
    return record


def row_of(record: JobRecord, encoded: Encoded) -> Row:
    """The row of `COLUMNS` that `decode` turns into such a record."""
    row = [getattr(record, name) for name in _FIELDS]
    row[_COST], row[_RETRY], row[_STATE] = encoded.cost, encoded.retry, record.state.value
    row[_HEADERS] = encoded.headers
    return tuple(row)


def facts_of(row: Row) -> Facts:
    """What a row of `COLUMNS` or `NAMED` says of a waiting job."""
    cost = ONE_REQUEST if row[_COST] is None else json.loads(row[_COST])
    return Facts(row[_ID], row[_TASK], row[_KEY], row[_PRIORITY], cost, row[_CREATED], row[_READY], row[_EXPIRES])


@attrs.define(eq=False)
class FactsOnDemand(Sequence[Facts]):
    """The same of all rows, read as far as somebody looks, which may be done in one transaction only."""

    _read: Callable[[int], Sequence[Row]]
    """Gives the first so many rows."""
    _length: int
    _rows: Sequence[Row] = attrs.field(init=False, default=())

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Facts: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Facts]: ...

    def __getitem__(self, index: int | slice) -> Facts | Sequence[Facts]:
        needed = range(self._length)[index]
        if isinstance(needed, int):
            return facts_of(self._up_to(needed)[needed])
        rows = self._up_to(max(needed, default=-1))
        return Lazily([rows[one] for one in needed], facts_of)

    def _up_to(self, last: int) -> Sequence[Row]:
        if last >= len(self._rows):
            self._rows = self._read(last + 1)
        return self._rows


@attrs.frozen
class Encoded:
    """What has to be turned into text before a job can be written; made before anything is written."""

    cost: str | None = None
    retry: str | None = None
    headers: str | None = None


PLAIN: Final = Encoded()
"""Of a job without options."""


def storable_text(text: str) -> str:
    """The text with what is not Unicode spelled out: an error message may hold anything, and has to arrive."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def encode(record: JobRecord) -> Encoded:
    """Raises NotEncodableError for what cannot be written."""
    payload = record.payload
    if payload is not None and not isinstance(payload, str | bytes):
        msg = f"arguments of {record.task}: the codec must give str or bytes for this store, it gave {type(payload)}"
        raise NotEncodableError(msg)
    for text in (record.id, record.task, record.home, record.key, record.unique, record.batch_id):
        if text is not None and ("\0" in text or (not text.isascii() and storable_text(text) != text)):
            msg = f"job {record.id!r}: {text!r} has a NUL character or a lone surrogate, which not every database holds"
            raise NotEncodableError(msg)
    if record.cost is ONE_REQUEST and record.retry is None and _has_no_options(record):
        return PLAIN
    return Encoded(
        None if record.cost is ONE_REQUEST else _encode_cost(record.cost),
        None if record.retry is None else encode_retry(record.retry),
        None if record.headers is None else json.dumps(dict(record.headers)),
    )


def _has_no_options(record: JobRecord) -> bool:
    return (
        record.home is None
        and record.key is None
        and record.priority == 0
        and record.delay == 0.0
        and record.timeout is None
        and record.unique is None
        and record.batch_id is None
        and record.expires is None
        and record.headers is None
    )


def _encode_cost(cost: Mapping[str, float]) -> str:
    try:
        return json.dumps(dict(cost), allow_nan=False)
    except (TypeError, ValueError) as error:
        msg = f"cost {cost!r} cannot be written: {error}. Give a mapping of names to finite numbers."
        raise NotEncodableError(msg) from error


def encode_retry(retry: Retry) -> str:
    """As JSON; only with the policies of `pacer.backoff`, because a name found in a file is never imported."""
    return json.dumps({"attempts": retry.attempts, "backoff": _encode_part(retry.backoff)})


def _encode_part(part: Any) -> Any:
    if part is None or isinstance(part, bool | int | float | str):
        return part
    if isinstance(part, tuple):
        return [_encode_part(item) for item in part]
    name = type(part).__name__
    if _policy(name) is not type(part):
        msg = (
            f"retry: {type(part).__qualname__} is not one of pacer.backoff's policies and cannot be written with "
            "a job. Give it where the function is registered instead: @scheduler.task(retry=...)."
        )
        raise NotEncodableError(msg)
    settings = {field.alias: getattr(part, field.name) for field in attrs.fields(type(part)) if field.init}
    return {name: {alias: _encode_part(value) for alias, value in settings.items()}}


def decode_retry(text: str) -> Retry | None:
    """What `encode_retry` wrote; None for what this version does not know, so that the job still runs once."""
    try:
        data = json.loads(text)
        backoff = _decode_part(data["backoff"])
        return Retry(attempts=data["attempts"], backoff=backoff) if hasattr(backoff, "delay") else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def decode_headers(text: str) -> dict[str, str] | None:
    """What went with a job; None for what cannot be read: a job does not fail for want of it."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return None
    fits = isinstance(data, dict) and all(isinstance(value, str) for value in data.values())
    return data if fits else None


def _decode_part(data: Any) -> Any:
    """A setting, or a policy with its settings, which may be policies."""
    if isinstance(data, list):
        return tuple(_decode_part(item) for item in data)
    if not isinstance(data, dict):
        return data
    ((name, settings),) = data.items()
    policy = _policy(name)
    if policy is None:
        raise KeyError(name)
    return policy(**{alias: _decode_part(value) for alias, value in settings.items()})


def _policy(name: str) -> type[Any] | None:
    found = getattr(pacer.backoff, name) if name in pacer.backoff.__all__ else None
    return found if isinstance(found, type) and attrs.has(found) else None
