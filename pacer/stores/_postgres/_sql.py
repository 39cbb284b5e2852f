"""The statements, each of which is one round trip. How a queue is read."""

# ruff: noqa: S608 - SQL is put together from constants and quoted identifiers; values are always bound

from __future__ import annotations

from typing import Final

from pacer.stores._postgres._schema import HOME
from pacer.stores._postgres._target import STOPPED_FOR
from pacer.stores._rows import COLUMNS as _COLUMNS
from pacer.stores._rows import NAMED as _NAMED
from pacer.stores._server._backend import FRONT

# Rows as in `_rows`, and after them what of payload and result is not text.
COLUMNS: Final = _COLUMNS.replace("NULL", "NULL::float8") + ", payload_bytes, result_bytes"
# Of a job that waits in front: large arguments are asked for when it starts, which may be after many looks at it.
_LARGE: Final = 4096
_LIGHT: Final = (
    f"(home IS NOT NULL OR coalesce(octet_length(payload), 0) + coalesce(octet_length(payload_bytes), 0) <= {_LARGE})"
)
FRONT_COLUMNS: Final = COLUMNS.replace("payload,", f"CASE WHEN {_LIGHT} THEN payload END,", 1).replace(
    ", payload_bytes,", f", CASE WHEN {_LIGHT} THEN payload_bytes END,"
)
FACTS: Final = COLUMNS.replace("payload,", "NULL::text,", 1).replace("payload_bytes", "NULL::bytea")
LISTED: Final = FACTS.replace("result,", "NULL::text,", 1).replace("result_bytes", "NULL::bytea")
NAMED: Final = _NAMED.replace("NULL", "NULL::text", 1).replace("NULL,", "NULL::float8,", 1)

_JOBS: Final = "FROM {schema}.pacer_jobs WHERE queue = %(queue)s::integer"
# By what is first in the index. An expression keeps the planner from reading all of the queue, and looking at each job.
_ANY_JOBS: Final = "FROM {schema}.pacer_jobs WHERE queue + 0 = %(queue)s::integer"
_WAITING: Final = f"{_JOBS} AND arrival IS NOT NULL"
_EXPIRING: Final = f"{_JOBS} AND state = 'queued' AND expires_at IS NOT NULL"
_READY: Final = f"{_JOBS} AND place IS NOT NULL"
_DELAYED: Final = f"{_JOBS} AND due IS NOT NULL"

# The queue, what belongs to it, and with what version it was so, as one statement sees it. Rows of three kinds, told
# by their first column: the queue as JSON, the running jobs, and the front.
_QUEUE: Final = {
    "version": "head.version",
    "stamp": "head.stamp",
    "state": "head.state",
    "parts": "head.parts",
    "offset": "head.clock_offset",
    "at": "head.clock_at",
    "ready": "head.ready",
    "delayed": "head.delayed",
    "seq": "head.last_seq",
    "arrivals": "head.arrivals",
    "roster": "head.roster",
    "time": "extract(epoch FROM clock_timestamp())::float8",
    "commit": (
        "(SELECT commit FROM {schema}.pacer_workers WHERE queue = %(queue)s::integer AND worker = %(worker)s::text)"
    ),
    "news": "news",
    "last_key": "last.sort_key",
    "last_seq": "last.place",
    "next_due": f"(SELECT due {_DELAYED} AND news ORDER BY due LIMIT 1)",
    "next_expiry": f"(SELECT expires_at {_EXPIRING} AND news ORDER BY expires_at LIMIT 1)",
    "people": (
        "(SELECT count(*) FROM {schema}.pacer_workers "
        "WHERE queue = %(queue)s::integer AND alive_until IS NOT NULL AND news)"
    ),
    "staged": "EXISTS (SELECT FROM {schema}.pacer_stage WHERE queue = %(queue)s::integer)",
}
_AS_JSON: Final = ", ".join(f"'{name}', {text}" for name, text in _QUEUE.items())
_NO_JOB: Final = ", ".join(["NULL"] * (COLUMNS.count(",") + 1))
_IF_NEWS: Final = "AND (SELECT news FROM head)"

LOAD: Final = f"""
WITH head AS MATERIALIZED (
    SELECT *, version IS DISTINCT FROM %(known)s::bigint OR stamp IS DISTINCT FROM %(stamp)s::text AS news
    FROM {{schema}}.pacer_queues WHERE id = %(queue)s::integer
)
SELECT 0, json_build_object({_AS_JSON})::text, {_NO_JOB}
FROM head LEFT JOIN LATERAL (
    SELECT sort_key, place {_READY} AND news ORDER BY sort_key DESC, place DESC LIMIT 1
) AS last ON true
UNION ALL
SELECT 1, NULL, {FACTS} {_JOBS} AND state = 'running' {_IF_NEWS}
UNION ALL
(SELECT 2, NULL, {FRONT_COLUMNS} {_READY} {_IF_NEWS} ORDER BY sort_key, place LIMIT {FRONT})
"""

LOCK: Final = "SELECT FROM {schema}.pacer_queues WHERE id = %(queue)s::integer FOR UPDATE"

# Whoever holds that lock for much longer than the server lets a session be idle has stopped while it was sending: the
# server waits for the rest, and does not take it to be idle.
FREE: Final = f"""
SELECT pg_terminate_backend(activity.pid)
FROM pg_stat_activity AS activity JOIN pg_locks AS lock ON lock.pid = activity.pid
WHERE lock.locktype = 'transactionid' AND lock.granted AND lock.transactionid = (
    SELECT xmax FROM {{schema}}.pacer_queues WHERE id = %(queue)s::integer
) AND activity.xact_start < clock_timestamp() - interval '{2 * STOPPED_FOR:g} s'
"""

# Of the cluster, and of the database in it.
WHERE: Final = (
    "(SELECT system_identifier || '/' || oid FROM pg_catalog.pg_control_system(), pg_catalog.pg_database "
    "WHERE datname = current_database())"
)
FIND_QUEUE: Final = "SELECT id FROM {schema}.pacer_queues WHERE name = %(name)s::text"
QUEUES: Final = "SELECT name, parts FROM {schema}.pacer_queues ORDER BY name"

IN_ORDER: Final = (
    f"SELECT {FRONT_COLUMNS} {_READY} AND (sort_key, place) > (%(sort_key)s::float8, %(seq)s::bigint) "
    "ORDER BY sort_key, place LIMIT %(count)s::bigint"
)
NAMED_IN_ORDER: Final = f"SELECT {NAMED} {_READY} ORDER BY sort_key, place LIMIT %(count)s::bigint"
# So many are counted one by one in front of a job. Of one that is further back, those behind it are: it is mostly the
# jobs that came last that are asked about.
_NEAR: Final = 10_000
AHEAD_OF: Final = f"""
SELECT CASE WHEN near.number < {_NEAR} THEN near.number ELSE
    (SELECT ready FROM {{schema}}.pacer_queues WHERE id = %(queue)s::integer)
    - (SELECT count(*) {_READY} AND (sort_key, place) >= (%(sort_key)s::float8, %(seq)s::bigint))
END FROM (
    SELECT count(*) AS number FROM (
        SELECT {_READY} AND (sort_key, place) < (%(sort_key)s::float8, %(seq)s::bigint)
        ORDER BY sort_key, place LIMIT {_NEAR}
    ) AS one
) AS near
"""
DELAYED_BEFORE: Final = f"SELECT count(*) {_DELAYED} AND (due, seq) < (%(ready_at)s::float8, %(seq)s::bigint)"

_BY_ID: Final = f"SELECT {COLUMNS} {_ANY_JOBS} AND id = ANY(%(ids)s::text[])"
_BY_UNIQUE: Final = f"SELECT {COLUMNS} {_ANY_JOBS} AND unique_key = ANY(%(uniques)s::text[]) AND ended_at IS NULL"
FIND: Final = {
    (True, False): _BY_ID,
    (False, True): _BY_UNIQUE,
    (True, True): f"{_BY_ID} UNION ALL {_BY_UNIQUE} AND id <> ALL(%(ids)s::text[])",
}
"""By whether ids are asked for, and whether unique keys are."""

OLDEST: Final = f"SELECT {COLUMNS} {_WAITING} ORDER BY arrival LIMIT %(count)s::bigint"
EXPIRED: Final = (
    f"SELECT {COLUMNS} {_EXPIRING} AND expires_at <= %(now)s::float8 ORDER BY expires_at, seq LIMIT %(limit)s::bigint"
)
_OF_KINDS: Final = f"{_JOBS} AND started_at IS NULL AND ended_at IS NULL"
# From one kind to the next, past all the jobs of the same.
KINDS: Final = f"""
WITH RECURSIVE kind AS (
    (SELECT task, {HOME} AS home {_OF_KINDS} ORDER BY task, {HOME} LIMIT 1)
    UNION ALL
    SELECT later.* FROM kind CROSS JOIN LATERAL (
        SELECT task, {HOME} AS home {_OF_KINDS} AND (task, {HOME}) > (kind.task, kind.home)
        ORDER BY task, {HOME} LIMIT 1
    ) AS later
)
SELECT task, home FROM kind
"""
OF_KIND: Final = (
    f"SELECT {COLUMNS} {_OF_KINDS} AND task = %(task)s::text AND {HOME} = coalesce('=' || %(home)s::text, '') "
    "LIMIT %(limit)s::bigint"
)
# Those that are ready, and then as many of the delayed ones as are wanted still.
WAITING: Final = f"""
WITH ready AS MATERIALIZED (
    SELECT {LISTED} {_READY} AND (sort_key, place) > (%(sort_key)s::float8, %(seq)s::bigint)
    ORDER BY sort_key, place LIMIT %(count)s::bigint
)
SELECT 0, * FROM ready
UNION ALL
(SELECT 1, {LISTED} {_DELAYED} AND (due, seq) > (%(due)s::float8, %(due_seq)s::bigint)
ORDER BY due, seq LIMIT %(count)s::bigint - (SELECT count(*) FROM ready))
"""
_ENDED: Final = f"{_JOBS} AND ended_at IS NOT NULL"
ENDED: Final = (
    f"SELECT {LISTED} {_ENDED} AND state = %(state)s::text "
    "AND (ended_at, seq) < (%(ended_at)s::float8, %(seq)s::bigint) "
    "ORDER BY ended_at DESC, seq DESC LIMIT %(count)s::bigint"
)
TALLY: Final = f"""
SELECT s.state, (SELECT count(*) FROM (
    SELECT {_ENDED} AND state = s.state ORDER BY ended_at DESC, seq DESC LIMIT %(most)s::bigint
) AS one) FROM unnest(%(states)s::text[]) AS s (state)
"""
MINUTES: Final = (
    "SELECT tally FROM {schema}.pacer_minutes WHERE queue = %(queue)s::integer AND minute >= %(since)s::bigint "
    "ORDER BY minute"
)
BATCH: Final = f"SELECT state, count(*) {_JOBS} AND batch_id = %(batch)s::text GROUP BY state"
WORKERS: Final = (
    "SELECT worker, alive_until, tasks FROM {schema}.pacer_workers "
    "WHERE queue = %(queue)s::integer AND alive_until IS NOT NULL ORDER BY worker"
)
STAGED: Final = """
SELECT number, extract(epoch FROM came_at)::float8,
    id, task, payload, home, key, priority, cost, delay, timeout, retry, unique_key, batch_id, expires,
    'queued', 0, 0.0::float8, 0.0::float8, 0.0::float8, NULL::float8, NULL::float8, NULL::float8, 0, NULL::float8,
    0.0::float8, NULL::float8, NULL::float8, 0, 0, NULL::text, 0, 0.0::float8, false, NULL::float8, '', '',
    NULL::text, headers, payload_bytes, NULL::bytea
FROM {schema}.pacer_stage WHERE queue = %(queue)s::integer ORDER BY number LIMIT %(limit)s::bigint
"""
