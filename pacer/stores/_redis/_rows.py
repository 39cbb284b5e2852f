"""Jobs as texts in a hash: rows of `COLUMNS` as JSON, without arguments and results, which are kept apart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import attrs

from pacer._job import ONE_REQUEST, JobRecord, JobState
from pacer.stores._rows import PLAIN, Encoded, Row, encode, storable_text

BATCH, STATE, READY_AT, ENDED_AT = 11, 13, 17, 20
_PAYLOAD, _HEADERS, _RESULT = 2, 12, 35
_SUCCEEDED: Final = JobState.SUCCEEDED.value

LARGE: Final = 4096
"""Arguments of more characters or bytes than this are read with a job only when it is asked for by itself."""

# What most jobs have from `expires_at` on; a row ends where the rest of it is this.
_USUAL: Final = [None, None, None, 0, None, 0.0, None, None, 0, 0, None, 0, 0.0, 0, None, "", "", None]
_FIRST_USUAL: Final = 18

_json: Final = json.JSONEncoder(separators=(",", ":")).encode


def row_text(job: JobRecord, encoded: Encoded | None) -> str:
    """The row of a job; `encoded` is what has been turned into text already, if anything."""
    if encoded is None:
        encoded = _encoded(job)
    row = [
        job.id,
        job.task,
        None,
        job.home,
        job.key,
        job.priority,
        encoded.cost,
        job.delay,
        job.timeout,
        encoded.retry,
        job.unique,
        job.batch_id,
        encoded.headers,  # here, where earlier versions of pacer have nothing, and overlook it
        job.state.value,
        job.seq,
        job.sort_key,
        job.created_at,
        job.ready_at,
    ]
    more = [
        job.expires_at,
        job.started_at,
        job.ended_at,
        job.failures,
        job.first_failed_at,
        job.retry_delay,
        job.promised_low,
        job.promised_high,
        job.throttles,
        job.recoveries,
        job.worker,
        job.fence,
        job.lease_until,
        int(job.cancel_requested),
        job.progress,
        storable_text(job.message),
        storable_text(job.error),
        None,
    ]
    return _json(row if more == _USUAL else row + _up_to_what_is_not_usual(more))


def _up_to_what_is_not_usual(more: list[Any]) -> list[Any]:
    last = len(more) - 1
    while more[last] == _USUAL[last]:
        last -= 1
    return more[: last + 1]


def _encoded(job: JobRecord) -> Encoded:
    usual = job.cost is ONE_REQUEST and job.retry is None and job.headers is None
    return PLAIN if usual else encode(job)


def rows_of(texts: Sequence[bytes]) -> list[list[Any]]:
    """The rows that these texts are; one call for all of them takes half the time."""
    rows: list[list[Any]] = json.loads(b"[%b]" % b",".join(texts))
    for row in rows:
        row.extend(_USUAL[len(row) - _FIRST_USUAL :])
        row.append(row[_HEADERS])
        row[_HEADERS] = None
    return rows


@attrs.define(eq=False)
class SeenRows:
    """The rows that were read last: of those that are read with each new head, most have not changed."""

    _seen: dict[bytes, list[Any]] = attrs.field(init=False, factory=dict)

    def rows_of(self, texts: Sequence[bytes]) -> list[list[Any]]:
        """As the function: rows that nobody may change."""
        seen = self._seen
        new = [text for text in texts if text not in seen]
        if new:
            seen = {**seen, **dict(zip(new, rows_of(new), strict=True))}
        self._seen = {text: seen[text] for text in texts}
        return list(self._seen.values())


def with_data(rows: Sequence[list[Any]], data: Sequence[bytes | None]) -> list[Row]:
    """The same with arguments, or results of what has succeeded."""
    found = []
    for row, value in zip(rows, data, strict=True):
        whole = row if value is None else row.copy()
        if value is not None:
            whole[_RESULT if row[STATE] == _SUCCEEDED else _PAYLOAD] = data_value(value)
        found.append(tuple(whole))
    return found


def data_field(number: str, value: str | bytes | None) -> str:
    """Where arguments are kept: large ones apart, so that whoever reads many jobs does not read these."""
    return number if value is None or len(value) <= LARGE else large_field(number)


def large_field(number: str) -> str:
    """Where large arguments of the job with this number would be."""
    return f"{number}+"


def data_text(value: str | bytes) -> bytes:
    """Arguments or a result, marked as text or as bytes."""
    return b"s" + value.encode() if isinstance(value, str) else b"b" + value


def data_value(text: bytes) -> str | bytes:
    """What `data_text` was given."""
    return text[1:].decode() if text[:1] == b"s" else text[1:]
