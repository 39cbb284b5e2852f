"""The statements that change a queue. One commit is one statement, with what there is to change as arrays."""

# ruff: noqa: S608 - SQL is put together from constants and quoted identifiers; values are always bound

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import attrs

from pacer._minutes import KEPT
from pacer.stores._postgres._columns import INSERTED, REPLACED, UPDATED, Column
from pacer.stores._postgres._statement import Statement
from pacer.stores._server._backend import CLOCK_TOLERANCE

CREATE: Final = """
INSERT INTO {schema}.pacer_queues
    (name, version, stamp, state, parts, clock_offset, clock_at, ready, delayed, last_seq, arrivals, roster)
VALUES (%(name)s, 0, %(stamp)s, %(state)s, %(parts)s, %(offset)s, %(at)s, %(ready)s, %(delayed)s, %(seq)s, %(arrivals)s,
    %(roster)s)
ON CONFLICT (name) DO NOTHING
"""

# Whoever has committed meanwhile has changed the version: then there is no head, and nothing happens. An update reads
# the clock before it waits for the lock of somebody else; what it returns is read afterwards.
_HEAD: Final = f"""
WITH head AS (
    UPDATE {{schema}}.pacer_queues SET
        version = version + 1, stamp = %(stamp)s, state = %(state)s, parts = %(parts)s,
        clock_offset = %(offset)s, clock_at = %(at)s,
        ready = %(ready)s, delayed = %(delayed)s, last_seq = %(seq)s, arrivals = %(arrivals)s, roster = %(roster)s
    WHERE id = %(queue)s AND version = %(version)s AND stamp = %(known_stamp)s
    RETURNING id, coalesce(
        abs(extract(epoch FROM clock_timestamp())::float8 - %(time)s::float8) <= {CLOCK_TOLERANCE}, true
    ) AS on_time
)"""

_MINE: Final = """, mine AS (
    INSERT INTO {schema}.pacer_workers (queue, worker, commit) SELECT id, %(worker)s::text, %(commit)s::bigint FROM head
    ON CONFLICT (queue, worker) DO UPDATE SET commit = excluded.commit, commit_at = excluded.commit_at
)"""

# Those that have left keep a row for a while: of a commit that was not answered it says whether it was made.
_WORKERS: Final = """, said AS (
    INSERT INTO {schema}.pacer_workers AS w (queue, worker, alive_until, tasks, commit)
    SELECT head.id, t.* FROM head, unnest(%(workers)s::text[], %(until)s::float8[], %(tasks)s::text[],
        %(commits)s::bigint[]) AS t (worker, alive_until, tasks, commit)
    ON CONFLICT (queue, worker) DO UPDATE SET
        alive_until = excluded.alive_until, tasks = excluded.tasks,
        commit = greatest(w.commit, excluded.commit), commit_at = excluded.commit_at
)"""

_UNSTAGED: Final = """, unstaged AS (
    DELETE FROM {schema}.pacer_stage AS s USING head WHERE s.queue = head.id AND s.number = ANY(%(unstage)s::bigint[])
)"""

_MINUTES: Final = f""", counted AS (
    INSERT INTO {{schema}}.pacer_minutes (queue, minute, tally)
    SELECT head.id, t.* FROM head, unnest(%(minutes)s::bigint[], %(tallies)s::text[]) AS t (minute, tally)
    ON CONFLICT (queue, minute) DO UPDATE SET tally = excluded.tally
), forgotten AS (
    DELETE FROM {{schema}}.pacer_minutes AS m USING head
    WHERE m.queue = head.id AND m.minute <= %(minute)s::bigint - {KEPT}
)"""

_ARGUMENTS: Final = ("payload", "payload_bytes")
_END: Final = " SELECT 1 / on_time::integer"
# What has ended may be removed at any time, also between the look at it and this.
_END_ALL_THERE: Final = """
SELECT 1 / (on_time AND (SELECT count(*) FROM again) = %(again)s::bigint)::integer"""
_NOTIFY: Final = ", pg_notify(%(channel)s::text, %(notice)s::text)"


def _arrays(prefix: str, columns: Sequence[Column]) -> str:
    arrays = ", ".join(f"%({prefix}{column.name})s::{column.type}[]" for column in columns)
    return f"unnest({arrays}) AS t ({', '.join(column.name for column in columns)})"


def _update(plain: bool) -> str:
    return _updating("changed", "u_", UPDATED, plain, "")


def _replace(after: bool) -> str:
    return _updating("again", "a_", REPLACED, False, _FIRST.format("changed") if after else "")


# A job may come, or come back, with the unique key of one that ends in the same commit: that one goes first.
_FIRST: Final = "(SELECT count(*) FROM {0}) AS first_{0}, "


def _updating(name: str, prefix: str, columns: Sequence[Column], plain: bool, first: str) -> str:
    given = [column for column in columns if column.plain or not plain]
    values = {column.name: column.value if column in given else column.literal for column in columns}
    values["arrival"] = f"CASE {values['state']} WHEN 'queued' THEN coalesce(t.arrival, j.arrival) END"
    # What a job was given goes when it has succeeded; others may be run again.
    values |= {one: f"CASE WHEN {values['state']} <> 'succeeded' THEN j.{one} END" for one in _ARGUMENTS}
    del values["id"]
    return f""", {name} AS (
    UPDATE {{schema}}.pacer_jobs AS j SET {", ".join(f"{name} = {value}" for name, value in values.items())}
    FROM head, {first}{_arrays(prefix, given)}
    WHERE j.queue + 0 = head.id AND j.id = t.id
    RETURNING 1
)"""


def _insert(plain: bool, after: Sequence[str]) -> str:
    given = [column for column in INSERTED if column.plain or not plain]
    values = [column.value if column in given else column.literal for column in INSERTED]
    first = "".join(_FIRST.format(one) for one in after)
    return f""", added AS (
    INSERT INTO {{schema}}.pacer_jobs (queue, {", ".join(column.name for column in INSERTED)})
    SELECT head.id, {", ".join(values)} FROM head, {first}{_arrays("i_", given)}
)"""


@attrs.frozen
class Shape:
    """What there is in a commit, beside the queue's own row.

    Attributes:
        mine: The row of the worker that writes is not among the following.
        workers: Workers come, go, or say that they are alive.
        changed: Jobs that were there before. None: there are none; True: they have nothing but plain columns.
        again: Jobs that are enqueued again.
        added: The same of new ones.
        unstaged: Some come from the stage.
        minutes: Minutes are over.
        notice: The others have to hear of it.
    """

    mine: bool
    workers: bool
    changed: bool | None
    again: bool
    added: bool | None
    unstaged: bool
    minutes: bool
    notice: bool

    @property
    def _before(self) -> list[str]:
        """What comes before jobs that are added."""
        there = {"changed": self.changed is not None, "again": self.again}
        return [name for name, is_there in there.items() if is_there]

    def statement(self, schema: str) -> Statement:
        """All of it as one statement. It gives a row if it was done, and divides by zero if it was not time."""
        texts = [
            _HEAD,
            _MINE if self.mine else "",
            _WORKERS if self.workers else "",
            "" if self.changed is None else _update(self.changed),
            _replace(after=self.changed is not None) if self.again else "",
            "" if self.added is None else _insert(self.added, after=self._before),
            _UNSTAGED if self.unstaged else "",
            _MINUTES if self.minutes else "",
            _END_ALL_THERE if self.again else _END,
            _NOTIFY if self.notice else "",
            " FROM head",
        ]
        return Statement.of("".join(texts), schema)


# The head is locked already.
PROMOTE: Final = """
WITH moved AS (
    UPDATE {schema}.pacer_jobs SET due = NULL, place = seq WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {schema}.pacer_jobs WHERE queue = %(queue)s AND due <= %(now)s
        ORDER BY due, seq LIMIT %(limit)s
    )) RETURNING 1
), counted AS (
    SELECT count(*) AS number FROM moved
)
UPDATE {schema}.pacer_queues SET
    version = version + 1, stamp = %(stamp)s, ready = ready + number, delayed = delayed - number,
    clock_at = greatest(clock_at, %(now)s)
FROM counted WHERE id = %(queue)s RETURNING number
"""

# The oldest of each state, and of those the oldest: there is no index by time alone. Two that do this at once do not
# wait for each other, and a job that is enqueued again meanwhile stays. What is known of workers that have left goes,
# too.
PRUNE: Final = """
WITH old AS (
    DELETE FROM {schema}.pacer_workers
    WHERE queue = %(queue)s AND alive_until IS NULL AND commit_at < now() - interval '1 hour'
), oldest AS (
    SELECT id FROM unnest(%(states)s::text[]) AS s (state) CROSS JOIN LATERAL (
        SELECT id, ended_at FROM {schema}.pacer_jobs
        WHERE queue = %(queue)s AND state = s.state AND ended_at IS NOT NULL AND ended_at < %(older_than)s
        ORDER BY ended_at, seq LIMIT %(limit)s
    ) AS one ORDER BY ended_at LIMIT %(limit)s
), removed AS (
    DELETE FROM {schema}.pacer_jobs WHERE ctid = ANY(ARRAY(
        SELECT j.ctid FROM oldest JOIN {schema}.pacer_jobs AS j ON j.queue + 0 = %(queue)s AND j.id = oldest.id
        WHERE j.ended_at IS NOT NULL AND j.ended_at < %(older_than)s FOR UPDATE OF j SKIP LOCKED
    )) RETURNING 1
)
SELECT count(*) FROM removed
"""
