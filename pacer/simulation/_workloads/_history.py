"""Your own past jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any

import attrs

from pacer._errors import StoreError
from pacer._job import ONE_REQUEST
from pacer._validation import positive
from pacer.simulation._arrivals import Arrival

if TYPE_CHECKING:
    import sqlite3

_JOBS = """
SELECT created_at, started_at, ended_at, state, key, priority, cost
FROM pacer_jobs WHERE queue = (SELECT id FROM pacer_queues WHERE name = ?) AND (? IS NULL OR task = ?)
ORDER BY created_at, seq
"""
_DURATIONS = """
SELECT ended_at - started_at FROM pacer_jobs
WHERE queue = (SELECT id FROM pacer_queues WHERE name = ?) AND (? IS NULL OR task = ?)
AND state = 'succeeded' AND started_at IS NOT NULL
"""


@attrs.frozen
class History:
    """The jobs that a `SqliteStore` still knows, as they were enqueued: what would another policy have made of them?

    The file is read and not changed; a scheduler may go on using it. A job's size is the number of seconds that its
    last run took, so in front of an upstream with a latency of 1 jobs take as long as they did. Jobs that have not
    succeeded get the median of those that have.

    Finished jobs that the store has forgotten (its `keep_finished`) are not there.

    Args:
        path: The store's file.
        queue: The queue's name in it; "default" by default.
        task: Only jobs of the function with this name; None (default): all.
        speed: How many times faster than recorded the jobs arrive, above 0; 1 by default.
    """

    path: Path = attrs.field(converter=Path)
    queue: str = attrs.field(default="default", kw_only=True)
    task: str | None = attrs.field(default=None, kw_only=True)
    speed: float = attrs.field(default=1.0, validator=positive, kw_only=True)
    endless: bool = attrs.field(init=False, default=False)

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        """Job by job. Raises a StoreError if the file is not one, or knows no such queue."""
        with closing(self._opened()) as connection:
            choice = (self.queue, self.task, self.task)
            durations = [seconds for (seconds,) in connection.execute(_DURATIONS, choice)]
            usual = median(durations) if durations else 1.0
            first: float | None = None
            for created, started, ended, state, key, priority, cost in connection.execute(_JOBS, choice):
                first = created if first is None else first
                known = state == "succeeded" and started is not None
                yield Arrival(
                    (created - first) / self.speed,
                    key=key,
                    cost=ONE_REQUEST if cost is None else json.loads(cost),
                    priority=priority,
                    size=max(0.0, ended - started) if known else usual,
                )

    def _opened(self) -> sqlite3.Connection:
        # Only who reads a store's file needs what reads it.
        import sqlite3  # noqa: PLC0415

        from pacer.stores._sqlite_errors import store_error  # noqa: PLC0415
        from pacer.stores._sqlite_schema import check_version  # noqa: PLC0415

        if not self.path.is_file():
            msg = f"History: there is no file {self.path}. Give the path that the SqliteStore was given."
            raise StoreError(msg)
        try:
            connection = sqlite3.connect(f"{self.path.absolute().as_uri()}?{self._mode()}", uri=True)
            try:
                check_version(connection, self.path)
                self._check_queue(connection)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise store_error(error, self.path, "reading the history") from error
        return connection

    def _mode(self) -> str:
        """Reading a database in WAL mode makes a log and an index, unless nobody else is there."""
        used = any(self.path.with_name(f"{self.path.name}{suffix}").exists() for suffix in ("-wal", "-journal"))
        return "mode=ro" if used else "mode=ro&immutable=1"

    def _check_queue(self, connection: Any) -> None:
        names = [name for (name,) in connection.execute("SELECT name FROM pacer_queues ORDER BY name")]
        if self.queue not in names:
            msg = f"History: {self.path} knows no queue {self.queue!r}; it has {', '.join(names) or 'none'}"
            raise StoreError(msg)
