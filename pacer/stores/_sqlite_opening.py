"""A worker opens a queue in a file: makes it, or takes it as it is."""

from __future__ import annotations

import sqlite3

from pacer.stores._parts import Tenure
from pacer.stores._state import decode_state, encode_state


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
