"""A worker opens a queue in a file: makes it, or takes it as it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from pacer._errors import UnknownQueueError
from pacer._overview import QueueInfo
from pacer.stores._parts import Tenure, stored_terms
from pacer.stores._sqlite_errors import store_error
from pacer.stores._sqlite_schema import inspect
from pacer.stores._state import decode_state, encode_state


def find_queue(cursor: sqlite3.Cursor, tenure: Tenure, path: Path) -> int:
    """The number of the queue, for a guest. Raises UnknownQueueError."""
    row = cursor.execute("SELECT id FROM pacer_queues WHERE name = ?", (tenure.queue,)).fetchone()
    if row is None:
        names = [name for (name,) in cursor.execute("SELECT name FROM pacer_queues ORDER BY name")]
        raise UnknownQueueError(tenure.queue, str(path), names)
    return int(row[0])


def queues_in(path: Path, busy_timeout: float) -> list[QueueInfo]:
    """The queues in a file, by name; nothing is made or changed. Raises StoreError."""
    if not path.exists():
        return []
    inspect(path, may_share=True, mirror=None, busy_timeout=busy_timeout)
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", timeout=busy_timeout, uri=True)) as file:
            if file.execute("SELECT 1 FROM sqlite_master WHERE name = 'pacer_queues'").fetchone() is None:
                return []
            rows = file.execute("SELECT name, parts FROM pacer_queues ORDER BY name").fetchall()
    except sqlite3.Error as error:
        raise store_error(error, path, "listing the queues") from error
    return [QueueInfo(name, stored_terms(parts)) for name, parts in rows]


def open_queue(cursor: sqlite3.Cursor, tenure: Tenure, *, wall: float, takeover: bool) -> tuple[int, float]:
    """The number of the queue, and its time; makes it if it is new, and counts what waits in it.

    Args:
        cursor: Inside a transaction that writes.
        tenure: The queue's name, and the strategies and settings to open it with.
        wall: The wall clock's time.
        takeover: Whether the queue may be taken over from others with other strategies or settings.

    Raises:
        PartsDifferError: There are such others, and it may not.
    """
    row = cursor.execute(
        "SELECT id, state, parts, max(? + clock_offset, clock_last) FROM pacer_queues WHERE name = ?",
        (wall, tenure.queue),
    ).fetchone()
    if row is None:
        cursor.execute(
            "INSERT INTO pacer_queues (name, state, parts, clock_offset, clock_last, ready, delayed, last_seq, "
            "arrivals, roster) VALUES (?, ?, ?, 0, 0, 0, 0, 0, 0, 0)",
            (tenure.queue, encode_state(tenure.rules.initial()), tenure.text),
        )
        queue = cursor.lastrowid
        assert queue is not None  # noqa: S101 - an INSERT has just succeeded
        return queue, wall
    queue, state, parts, now = row
    (alive_until,) = cursor.execute("SELECT max(alive_until) FROM pacer_workers WHERE queue = ?", (queue,)).fetchone()
    tenure.check(parts, 0.0 if alive_until is None else alive_until - now, takeover=takeover)
    if parts != tenure.text:
        state = encode_state(decode_state(state, parts, tenure.rules))
    cursor.execute(
        "UPDATE pacer_queues SET state = ?, parts = ?, "
        "ready = (SELECT count(*) FROM pacer_jobs WHERE queue = ? AND place IS NOT NULL), "
        "delayed = (SELECT count(*) FROM pacer_jobs WHERE queue = ? AND due IS NOT NULL) WHERE id = ?",
        (state, tenure.text, queue, queue, queue),
    )
    return int(queue), now
