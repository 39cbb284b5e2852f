"""No question costs more with many jobs: each reads what it gives, with plans made when the table was still empty."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from backend_contract import BEFORE_ALL, back, came, commit, content, ended, failed, job, opened, started

from pacer._overview import Mark
from pacer.stores._postgres._backend import PostgresBackend
from pacer.stores._server._backend import FRONT, Place

MANY = 20_000

# As many again of each kind: ready, delayed, expiring, ended well or not; their statistics are not known.
FILL = """
INSERT INTO <schema>.pacer_jobs (queue, id, seq, state, sort_key, arrival, place, due, created_at, ready_at, ended_at,
    expires_at, lease_until, delay, retry_delay, fence, priority, failures, throttles, recoveries, cancel_requested,
    task, message, error, payload, batch_id, unique_key)
SELECT q.id, $1 || n, n, CASE $1 WHEN 'ended' THEN 'succeeded' WHEN 'failed' THEN 'failed' ELSE 'queued' END, n,
    CASE WHEN $1 IN ('ready', 'due') THEN n END, CASE WHEN $1 = 'ready' THEN n END, CASE WHEN $1 = 'due' THEN n END,
    n, n, CASE $1 WHEN 'ended' THEN n WHEN 'failed' THEN n + 1e6 END,
    CASE WHEN $1 = 'ready' THEN 1e9 + n END, 0, 0, 0, 0, 0, 0, 0, 0, false,
    'work', '', '', '[]', $1 || n % 1000, $1 || n
FROM <schema>.pacer_queues q, generate_series(10, 9 + $2::integer) n WHERE q.name = 'default'
"""
COUNT = """
UPDATE <schema>.pacer_queues SET version = version + 1, stamp = '', ready = ready + $1, delayed = delayed + $1
WHERE name = 'default'
"""
READ = """
SELECT sum(idx_tup_read + idx_scan)::integer + (
    SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = $1 AND relname IN ('pacer_jobs', 'pacer_stage')
)::integer FROM pg_stat_user_indexes WHERE schemaname = $1
"""


def write(backend: PostgresBackend) -> None:
    """A job comes, one starts and one ends; and they leave."""
    first, second, third = (job(number, id=f"written{number}") for number in (1, 2, 3))
    commit(backend, came(first), came(second))
    commit(backend, started(first), ended(second), came(third))
    commit(backend, ended(started(first).job, Place.RUNNING), ended(third))
    backend.prune(math.inf, 3)


def again(backend: PostgresBackend) -> None:
    """One has failed, and is enqueued again."""
    one = job(4, id="again")
    commit(backend, came(one))
    commit(backend, failed(one))
    commit(backend, back(failed(one).job, 5), minutes=[(7, 1, 0.5, 0.5, 0, 1, 0, 0)])
    commit(backend, ended(one, at=0.5))
    backend.prune(math.inf, 1)


QUESTIONS: dict[str, Callable[[PostgresBackend], object]] = {
    "load": content,
    "load with the lock": lambda one: (one.load(None, lock=True), one.unlock()),
    "load what is known": lambda one: one.load(one.load(None, lock=False).head.version, lock=False),
    "write": write,
    "run again": again,
    "in_order": lambda one: one.in_order((MANY / 2, 0), FRONT),
    "named": lambda one: one.named(50),
    "ahead_of": lambda one: one.ahead_of((30.0, 0)),
    "delayed_before": lambda one: one.delayed_before(30.0, 0),
    "find": lambda one: one.find(["ready50", "due50", "none"], ["ready70", "due70", "none"]),
    "find by id": lambda one: one.find(["ready50", "ended50", "none"], []),
    "find by unique key": lambda one: one.find([], ["ready70", "due70", "ended70"]),
    "oldest": lambda one: one.oldest(5),
    "expired": lambda one: one.expired(1e9 + 15, 10),
    "ahead_of one of the last": lambda one: one.ahead_of((MANY - 5.0, 0)),
    "kinds": lambda one: one.kinds(),
    "of_kind": lambda one: one.of_kind("other", None, 10),
    "waiting": lambda one: one.waiting(None, 50),
    "waiting further back": lambda one: one.waiting(Mark(0, MANY / 2, 0), 50),
    "waiting, the last that are ready": lambda one: one.waiting(Mark(0, MANY - 5.0, 0), 50),
    "waiting, delayed ones": lambda one: one.waiting(Mark(1, MANY / 2, 0), 50),
    "ended well": lambda one: one.ended("succeeded", None, 50),
    "ended badly, before": lambda one: one.ended("failed", Mark(0, 1e6 + MANY / 2, 0), 50),
    "ended as none has": lambda one: one.ended("stale", None, 50),
    "tally": lambda one: one.tally(50),
    "minutes": lambda one: one.minutes(0),
    "batch": lambda one: one.batch("ready7"),
    "promote": lambda one: one.promote(20.0),
    "prune": lambda one: one.prune(math.inf, 10),
    "workers": lambda one: one.workers(),
    "staged": lambda one: one.staged(10),
}


@pytest.fixture
def asked(make) -> PostgresBackend:
    """A worker that has asked everything before there were many jobs."""
    (backend,) = opened(make, "a")
    commit(backend, came(job(1)), came(job(2)), workers={"a": (1.0, "[]")})
    for ask in QUESTIONS.values():
        ask(backend)
    return backend


def test_no_question_reads_more_than_it_gives(asked, place):
    for kind in ("ready", "due", "ended", "failed"):
        place.ask(FILL, kind, str(MANY))
    place.ask(COUNT, MANY)
    process = asked._session.connect().info.backend_pid
    read = {}
    for name, ask in QUESTIONS.items():
        before = rows_read(asked, place)
        ask(asked)
        read[name] = rows_read(asked, place) - before
    assert asked._session.connect().info.backend_pid == process, "it goes on with the plans that it has made"
    assert 10_000 < read.pop("ahead_of one of the last") < 10_400, "so many are counted from the front, and no more"
    assert {name: rows for name, rows in read.items() if rows > 400} == {}
    assert read["in_order"] >= FRONT, "what is read is counted"


@pytest.mark.parametrize("place_of", [1, 9_999, 10_000, 10_001, MANY // 2, MANY - 1])
def test_a_place_far_back_is_exact(asked, place, place_of):
    place.ask(FILL, "ready", str(MANY))
    place.ask(COUNT, MANY)
    seq = asked.in_order(BEFORE_ALL, place_of + 1)[-1][14]
    assert asked.ahead_of((float(seq), seq)) == place_of


def rows_read(backend: PostgresBackend, place) -> int:
    """By all so far, of tables and indexes. Counts become visible when the one that has them says so."""
    backend._session.rows((b"SELECT pg_stat_force_next_flush()", ()))
    ((rows,),) = place.ask(READ, place.schema)
    return int(rows)
