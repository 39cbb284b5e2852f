"""The tables and their migrations, as plain SQL that a DBA can read and run."""

from __future__ import annotations

from typing import Final

TABLES: Final = ("pacer_migrations", "pacer_queues", "pacer_jobs", "pacer_workers", "pacer_stage", "pacer_minutes")
LATER: Final = {"pacer_minutes": 2}
"""Tables that came after the first version, and the version that they came with."""

MIGRATIONS_TABLE: Final = """
CREATE TABLE {schema}.pacer_migrations (
    version integer PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""

_QUEUES: Final = """
CREATE TABLE {schema}.pacer_queues (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    version bigint NOT NULL,                -- how often anything of the queue has been committed
    stamp text NOT NULL,                    -- of the last commit: a standby that lost some has others by its number
    state text NOT NULL,                    -- what its strategies have learned, as JSON
    parts text NOT NULL,                    -- with which strategies and settings, as JSON
    clock_offset double precision NOT NULL, -- queue's time = server's time + offset
    clock_at double precision NOT NULL,     -- the latest time of the queue at which anything was written
    ready bigint NOT NULL,                  -- waiting jobs that may start as far as they are concerned
    delayed bigint NOT NULL,                -- waiting jobs that may not yet
    last_seq bigint NOT NULL,
    arrivals bigint NOT NULL,
    roster bigint NOT NULL                  -- grows whenever a waiting job may have lost those who can run it
)
-- Each commit makes a new version of a row here. With room on its page, and outside of TOAST, the old ones are
-- cleared away by whoever comes next (HOT), and autovacuum has nothing to do.
WITH (fillfactor = 10, toast_tuple_target = 8160)
"""

_JOBS: Final = """
CREATE TABLE {schema}.pacer_jobs (
    queue integer NOT NULL,
    id text NOT NULL,
    seq bigint NOT NULL,
    state text NOT NULL,
    sort_key double precision NOT NULL,
    arrival bigint,                         -- waiting: order of arrival; NULL otherwise
    place bigint,                           -- waiting and ready: seq again; NULL otherwise
    due double precision,                   -- waiting and delayed: ready_at again; NULL otherwise
    created_at double precision NOT NULL,   -- times in seconds of the queue's clock
    ready_at double precision NOT NULL,
    started_at double precision,
    ended_at double precision,
    expires_at double precision,
    lease_until double precision NOT NULL,
    delay double precision NOT NULL,
    timeout double precision,
    first_failed_at double precision,
    retry_delay double precision NOT NULL,
    promised_low double precision,
    promised_high double precision,
    progress double precision,
    fence bigint NOT NULL,
    priority bigint NOT NULL,
    failures integer NOT NULL,
    throttles integer NOT NULL,
    recoveries integer NOT NULL,
    cancel_requested boolean NOT NULL,
    task text NOT NULL,
    worker text,
    home text,
    key text,
    cost text,                              -- JSON; NULL: one request
    retry text,                             -- JSON
    unique_key text,
    batch_id text,
    message text NOT NULL,
    error text NOT NULL,
    payload text,                           -- what the codec gave, if it is text
    payload_bytes bytea,                    -- and if it is not
    result text,
    result_bytes bytea,
    PRIMARY KEY (id, queue)
)
-- Each job is written three times and removed after a while: vacuum early, so that its room is used again.
WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05)
"""

# That an index can be gone through from one home to the next, of which NULL is none.
HOME: Final = "coalesce('=' || home, '')"

# Plans are made once, maybe when the table is empty and every way to read it looks as good as any other. So there is
# one way only: no two indexes fit the same question, and each has what the question asks for in its order.
_INDEXES: Final = (
    "CREATE INDEX pacer_jobs_ready ON {schema}.pacer_jobs (queue, sort_key, place) WHERE place IS NOT NULL",
    "CREATE INDEX pacer_jobs_due ON {schema}.pacer_jobs (queue, due, seq) WHERE due IS NOT NULL",
    "CREATE INDEX pacer_jobs_arrival ON {schema}.pacer_jobs (queue, arrival) WHERE arrival IS NOT NULL",
    "CREATE INDEX pacer_jobs_running ON {schema}.pacer_jobs (queue) WHERE state = 'running'",
    """CREATE INDEX pacer_jobs_expiry ON {schema}.pacer_jobs (queue, expires_at, seq)
    WHERE expires_at IS NOT NULL AND state = 'queued'""",
    f"""CREATE INDEX pacer_jobs_kind ON {{schema}}.pacer_jobs (queue, task, ({HOME}))
    WHERE started_at IS NULL AND ended_at IS NULL""",
    """CREATE UNIQUE INDEX pacer_jobs_unique ON {schema}.pacer_jobs (unique_key, queue)
    WHERE unique_key IS NOT NULL AND ended_at IS NULL""",
    "CREATE INDEX pacer_jobs_batch ON {schema}.pacer_jobs (queue, batch_id, state) WHERE batch_id IS NOT NULL",
    "CREATE INDEX pacer_jobs_finished ON {schema}.pacer_jobs (queue, ended_at) WHERE ended_at IS NOT NULL",
)

_WORKERS: Final = """
CREATE TABLE {schema}.pacer_workers (
    queue integer NOT NULL,
    worker text NOT NULL,
    alive_until double precision,           -- NULL: has left, or has not said hello
    tasks text,                             -- JSON: the functions that it can run
    commit bigint NOT NULL,                 -- number of its last commit, to find out whether an unanswered one was made
    commit_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (queue, worker)
)
WITH (fillfactor = 50)
"""

_STAGE: Final = """
CREATE TABLE {schema}.pacer_stage (
    queue integer NOT NULL,
    number bigint GENERATED ALWAYS AS IDENTITY,
    came_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    id text NOT NULL,
    task text NOT NULL,
    payload text,
    payload_bytes bytea,
    home text,
    key text,
    priority bigint NOT NULL DEFAULT 0,
    cost text,
    delay double precision NOT NULL DEFAULT 0,
    timeout double precision,
    retry text,
    unique_key text,
    batch_id text,
    expires double precision,               -- seconds
    PRIMARY KEY (queue, number),
    UNIQUE (id, queue)
)
"""

_STAGED_UNIQUE: Final = (
    "CREATE UNIQUE INDEX pacer_stage_unique ON {schema}.pacer_stage (unique_key, queue) WHERE unique_key IS NOT NULL"
)

# Everyone comes to the queues first: who migrates waits there for those that are under way, holding nothing else, and
# those that come later wait there, holding nothing either.
_ALONE: Final = "LOCK TABLE {schema}.pacer_queues IN ACCESS EXCLUSIVE MODE"

# Ended jobs by state, the last first; and, state by state, the oldest first for their removal. In the place of
# pacer_jobs_finished, so that ending a job costs no more than before.
_ENDED: Final = (
    "CREATE INDEX pacer_jobs_ended ON {schema}.pacer_jobs (queue, state, ended_at, seq) WHERE ended_at IS NOT NULL"
)

_MINUTES: Final = """
CREATE TABLE {schema}.pacer_minutes (
    queue integer NOT NULL,
    minute bigint NOT NULL,                 -- its number on the queue's clock
    tally text NOT NULL,                    -- JSON: what happened in it
    PRIMARY KEY (queue, minute)
)
"""

MIGRATIONS: Final = (
    (_QUEUES, _JOBS, *_INDEXES, _WORKERS, _STAGE, _STAGED_UNIQUE),
    (
        _ALONE,
        "ALTER TABLE {schema}.pacer_jobs ADD COLUMN headers text",
        "ALTER TABLE {schema}.pacer_stage ADD COLUMN headers text",
        _ENDED,
        "DROP INDEX {schema}.pacer_jobs_finished",
        _MINUTES,
    ),
)
"""One tuple of statements a version: version n is reached by applying the first n."""

VERSION: Final = len(MIGRATIONS)
