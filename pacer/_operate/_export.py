"""`pacer export`: the jobs of a queue as a CSV file, for the simulator and for spreadsheets."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import re
import sqlite3
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import attrs
import typer

from pacer import Job, JobState
from pacer._command_error import CommandError
from pacer._operate._errors import USAGE, exit_codes, output
from pacer._operate._jobs import duration_of, shelves
from pacer._operate._options import AppOption, KeyOption, QueueOption, StoreUrlOption, TaskOption, WithinOption
from pacer._operate._target import Guest, Target, visit
from pacer._operate._text import count_text

_A_PAGE: Final = 500
_COLUMNS: Final = (
    "id",
    "task",
    "state",
    "key",
    "priority",
    "batch_id",
    "created_at",
    "ready_at",
    "started_at",
    "ended_at",
    "wait_seconds",
    "duration_seconds",
    "size",
    "attempts",
    "throttles",
    "recoveries",
    "error",
)
_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")
_SECONDS: Final = {"s": 1, "min": 60, "h": 3600, "d": 86400}


def export(
    store: StoreUrlOption = None,
    queue: QueueOption = None,
    app: AppOption = None,
    within: WithinOption = None,
    path: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="A file; by default standard output.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help='Only jobs enqueued since then: "2026-05-04T09:00", or "6h", "30min" ago.'),
    ] = None,
    state: Annotated[
        list[JobState] | None, typer.Option(help="Only these; by default all that have ended. Several times.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that wait or run, too.")] = False,
    task: TaskOption = None,
    key: KeyOption = None,
) -> None:
    """Write jobs as CSV, in the order in which they were enqueued; times are UTC, durations seconds.

    It reads page by page and sorts in a temporary file, so that memory does not grow with the number of jobs. The file
    is a workload for pacer compare and pacer simulate, by the Trace that is named at the end: what would another pace
    have made of these jobs? The column size is the duration; of jobs that have not succeeded, the median of the others.

    Exit codes: 0 written, 1 refused, 2 wrong usage, 3 the store cannot be reached.
    """
    with exit_codes("export"), _sorting():
        if everything and state:
            msg = "give --all or --state, not both"
            raise CommandError(msg, USAGE)
        states = list(JobState) if everything else state or [one for one in JobState if one.final]
        target = Target.of(store, queue, app, within)
        with closing(_Sorter()) as sorter:

            async def read(guest: Guest) -> None:
                start = None if since is None else _start(since, guest.now())
                await _read(guest, sorter, states, task, key, start)

            visit(target, read)
            with _written(path) as file:
                count = sorter.write(file)
            _tell(count, path, sorter.dimensions)


async def _read(
    guest: Guest, sorter: _Sorter, states: Sequence[JobState], task: str | None, key: str | None, since: datetime | None
) -> None:
    for shelf in shelves(states):
        after: str | None = None
        while True:
            page = await guest.scheduler.jobs(*shelf, task=task, key=key, limit=_A_PAGE, after=after)
            sorter.add(page.jobs, since)
            after = page.after
            # Ended jobs come by their end, the last first: one that was enqueued since then has ended since then.
            last = page.jobs[-1].ended_at if page.jobs else None
            if after is None or (since is not None and last is not None and last < since):
                break


def _start(text: str, now: datetime) -> datetime:
    """Raises CommandError."""
    if found := _AGO.fullmatch(text.strip()):
        with contextlib.suppress(OverflowError):
            return now - timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
        return datetime.min.replace(tzinfo=UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        msg = f'--since {text!r} is no time; give one as "2026-05-04T09:00" (UTC), or how long ago, as "6h"'
        raise CommandError(msg, USAGE) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@contextmanager
def _sorting() -> Iterator[None]:
    """While the temporary file is in use. Raises CommandError; stores raise their own errors."""
    try:
        yield
    except sqlite3.Error as error:
        msg = f"the temporary file in which jobs are sorted cannot be written: {error}; SQLITE_TMPDIR says where it is"
        raise CommandError(msg) from error


@attrs.define(eq=False)
class _Sorter:
    """Jobs in a temporary file, which SQLite keeps and sorts."""

    dimensions: dict[str, None] = attrs.field(init=False, factory=dict)
    """What jobs cost, in the order in which it was met."""
    _file: sqlite3.Connection = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._file = sqlite3.connect("")  # a file without a name, which is gone when it is closed
        self._file.execute("CREATE TABLE jobs (at REAL, number INTEGER, duration REAL, line TEXT, cost TEXT)")

    def close(self) -> None:
        """Forget all."""
        self._file.close()

    def add(self, jobs: Sequence[Job], since: datetime | None) -> None:
        """Take these in, as far as they were enqueued since then."""
        wanted = [job for job in jobs if since is None or job.created_at >= since]
        for job in wanted:
            self.dimensions.update(dict.fromkeys(job.cost))
        rows = [
            (job.created_at.timestamp(), -index, _duration(job), json.dumps(_line(job)), json.dumps(dict(job.cost)))
            for index, job in enumerate(wanted)
        ]
        self._file.executemany("INSERT INTO jobs VALUES (?, ?, ?, ?, ?)", rows)

    def write(self, file: TextIO) -> int:
        """Write all, in order. Returns how many there are."""
        writer, usual = csv.writer(file, lineterminator="\n"), self._usual()
        writer.writerow([*_COLUMNS, *(f"cost_{name}" for name in self.dimensions)])
        for duration, line, cost in self._file.execute("SELECT duration, line, cost FROM jobs ORDER BY at, number"):
            values = {**json.loads(line), "size": _short(usual if duration is None else duration)}
            costs = json.loads(cost)
            writer.writerow(
                [*(values[name] for name in _COLUMNS), *(_short(costs.get(name, 0.0)) for name in self.dimensions)]
            )
        (count,) = self._file.execute("SELECT count(*) FROM jobs").fetchone()
        return int(count)

    def _usual(self) -> float:
        """The median duration of jobs that have succeeded; 1 without any."""
        (count,) = self._file.execute("SELECT count(duration) FROM jobs").fetchone()
        query = "SELECT duration FROM jobs WHERE duration IS NOT NULL ORDER BY duration LIMIT 1 OFFSET ?"
        row = self._file.execute(query, (count // 2,)).fetchone()
        return 1.0 if row is None else float(row[0])


def _duration(job: Job) -> float | None:
    return duration_of(job) if job.state is JobState.SUCCEEDED else None


def _line(job: Job) -> dict[str, Any]:
    duration = duration_of(job)
    waited = None if job.started_at is None else max(0.0, (job.started_at - job.ready_at).total_seconds())
    return {
        "id": job.id,
        "task": job.task,
        "state": job.state.value,
        "key": job.key,
        "priority": job.priority,
        "batch_id": job.batch_id,
        "created_at": job.created_at.isoformat(),
        "ready_at": job.ready_at.isoformat(),
        "started_at": None if job.started_at is None else job.started_at.isoformat(),
        "ended_at": None if job.ended_at is None else job.ended_at.isoformat(),
        "wait_seconds": None if waited is None else _short(waited),
        "duration_seconds": None if duration is None else _short(duration),
        "attempts": job.attempt,
        "throttles": job.throttles,
        "recoveries": job.recoveries,
        "error": job.error,
    }


def _short(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")


@contextmanager
def _written(path: Path | None) -> Iterator[TextIO]:
    """The file, or standard output, as UTF-8. Raises CommandError."""
    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
        if sys.stdout is None:
            msg = "standard output is closed; give a file: --output FILE"
            raise CommandError(msg)
        with output():
            yield sys.stdout
            sys.stdout.flush()
        return
    try:
        with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            yield file
    except OSError as error:
        msg = f"{path} cannot be written: {error.strerror or error}"
        raise CommandError(msg) from error


def _tell(count: int, path: Path | None, dimensions: Mapping[str, None]) -> None:
    """On standard error, lest it get among the rows."""
    costs = {name: f"cost_{name}" for name in dimensions}
    where = "FILE" if path is None else str(path)
    trace = f'Trace({where!r}, at="created_at", key="key", priority="priority", size="size", cost={costs!r})'
    typer.echo(f"{count_text(count, 'job')} written; as a workload: {trace}", err=True)
