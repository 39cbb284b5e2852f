"""Very many jobs in a SQLite file, made of a few real ones."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

# What tells one job from another; all else is as in the original.
_OWN = {
    "seq": "{seq}",
    "id": "id || '-' || n",
    "arrival": "CASE WHEN arrival IS NOT NULL THEN {seq} END",
    "place": "CASE WHEN place IS NOT NULL THEN {seq} END",
    "ended_at": "ended_at - n / 1000.0",
    "unique_key": "unique_key || '-' || n",
}


def multiply(db: Path, total: int) -> None:
    """Make so many jobs of those that a file holds which nobody has open; those that run excepted."""
    with closing(sqlite3.connect(db, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")  # if the machine fails here, the test has failed
        (kinds, last) = connection.execute(
            "SELECT count(*), max(seq) FROM pacer_jobs WHERE state <> 'running'"
        ).fetchone()
        seq = f"{last} + seq + (n - 1) * {last}"
        names = [name for _, name, *_ in connection.execute("PRAGMA table_info (pacer_jobs)")]
        values = [_OWN.get(name, name).format(seq=seq) for name in names]
        connection.execute("BEGIN")
        connection.execute(
            f"WITH RECURSIVE copies (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies LIMIT {total // kinds - 1}) "
            f"INSERT INTO pacer_jobs ({', '.join(names)}) SELECT {', '.join(values)} "
            f"FROM copies, pacer_jobs WHERE state <> 'running' AND seq <= {last}"
        )
        connection.execute(
            """
            UPDATE pacer_queues SET
                ready = (SELECT count(*) FROM pacer_jobs WHERE place IS NOT NULL),
                delayed = (SELECT count(*) FROM pacer_jobs WHERE due IS NOT NULL),
                last_seq = (SELECT max(seq) FROM pacer_jobs),
                arrivals = (SELECT max(seq) FROM pacer_jobs)
            """
        )
        connection.execute("COMMIT")
