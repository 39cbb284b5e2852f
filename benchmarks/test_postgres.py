"""Jobs in PostgreSQL, beside pgqueuer, and beside what its drivers do by hand; every commit waits for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.contest import Contest, Figures
from benchmarks.postgres_contenders import by_hand, by_hand_on_one_connection, new_database, pgqueuer
from benchmarks.queues import Jobs, Queue, latency, rates, scheduled
from benchmarks.test_latency import questions
from pacer.stores.postgres import PostgresStore

if TYPE_CHECKING:
    from servers import PostgresServer

Opening = Callable[[str], AbstractAsyncContextManager[Queue]]


def pacer(dsn: str) -> AbstractAsyncContextManager[Queue]:
    return scheduled(lambda: PostgresStore(dsn), capacity=1_000_000)


def test_jobs_in_postgresql(contest: Contest, postgres: PostgresServer) -> None:
    jobs = Jobs(contest.size(1000, 5), contest.size(30, 1), contest.size(10, 1))
    few = Jobs(jobs.from_one, contest.size(5, 1), contest.size(2, 1))

    def run(opening: Opening, jobs: Jobs) -> Figures:
        return asyncio.run(measured(opening, new_database(postgres.dsn), partial(rates, jobs=jobs)))

    contest.run(
        f"jobs in PostgreSQL, drained with 50 slots ({jobs.total} jobs)",
        {
            "pgqueuer, batches of 25, at most 50 jobs": lambda: run(partial(pgqueuer, batch=25), jobs),
            "pgqueuer, batches of 50": lambda: run(partial(pgqueuer, batch=50), jobs),
            "pacer": lambda: run(pacer, jobs),
            "asyncpg by hand, 50 jobs a claim": lambda: run(partial(by_hand, claim=50, workers=1), jobs),
            "asyncpg by hand, 1 job a claim": lambda: run(partial(by_hand, claim=1, workers=50), few),
            "psycopg by hand, 1 connection": lambda: by_hand_on_one_connection(
                new_database(postgres.dsn), few.from_one
            ),
        },
    )


def test_from_enqueue_to_start_in_postgresql(contest: Contest, postgres: PostgresServer) -> None:
    jobs = contest.size(100, 5)

    def run(opening: Opening) -> Figures:
        return asyncio.run(measured(opening, new_database(postgres.dsn), partial(latency, jobs=jobs)))

    contest.run(
        f"from enqueue to start in PostgreSQL, one job at a time ({jobs} jobs)",
        {
            "asyncpg by hand: NOTIFY, LISTEN, claim": lambda: run(partial(by_hand, claim=1, workers=1, say=True)),
            "pgqueuer": lambda: run(partial(pgqueuer, batch=25)),
            "pacer": lambda: run(pacer),
        },
    )


def test_questions_with_many_jobs_waiting_in_postgresql(contest: Contest, postgres: PostgresServer) -> None:
    times = contest.size(200, 3)

    def run(waiting: int) -> Figures:
        return asyncio.run(questions(PostgresStore(new_database(postgres.dsn)), waiting, times))

    contest.run(
        "questions with many jobs waiting, PostgreSQL",
        {f"{depth} waiting": partial(run, depth) for depth in ([1000, 2000] if contest.short else [1000, 1_000_000])},
        rounds=3,
    )


async def measured(opening: Opening, dsn: str, measure: Callable[[Queue], Awaitable[Figures]]) -> Figures:
    async with opening(dsn) as queue:
        return await measure(queue)
