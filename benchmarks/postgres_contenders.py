"""Queues in PostgreSQL: by hand on its drivers, and pgqueuer's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from time import perf_counter

import asyncpg
import attrs
import psycopg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.contest import Figures
from benchmarks.queues import SLOTS, Started

CONNECTIONS = 10
DATABASE = "benchmark"

TABLE = """
CREATE TABLE job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state text NOT NULL DEFAULT 'queued', payload text NOT NULL
);
CREATE INDEX job_queued ON job (id) WHERE state = 'queued';
"""
ENQUEUE = "INSERT INTO job (payload) VALUES ($1)"
ENQUEUE_AND_SAY = f"WITH added AS ({ENQUEUE} RETURNING id) SELECT pg_notify('job', id::text) FROM added"
CLAIM = """
UPDATE job SET state = 'running' WHERE id IN (
    SELECT id FROM job WHERE state = 'queued' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING id, payload
"""
END = "UPDATE job SET state = 'done' WHERE id = ANY($1)"


def new_database(dsn: str) -> str:
    """An empty database on this server, in place of the one before; what was written is on disk. Returns its DSN."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
        connection.execute("CHECKPOINT")
        assert [connection.execute(f"SHOW {name}").fetchone() for name in ("fsync", "synchronous_commit")] == [
            ("on",), ("on",)
        ]  # fmt: skip
    return f"{dsn.rpartition('/')[0]}/{DATABASE}"


@attrs.frozen(eq=False)
class ByHand:
    """A table and SKIP LOCKED, with asyncpg's pool.

    Attributes:
        claim: How many jobs a transaction claims; it ends them together, too.
        workers: How many tasks do so, one transaction at a time.
        say: Whether a job is announced with NOTIFY. If not, jobs that come while others run are not found.
    """

    pool: asyncpg.Pool
    claim: int
    workers: int
    say: bool
    _news: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def one(self, number: int) -> object:
        return await self.pool.execute(ENQUEUE_AND_SAY if self.say else ENQUEUE, str(number))

    async def many(self, numbers: Sequence[int]) -> object:
        return await self.pool.execute(
            "INSERT INTO job (payload) SELECT unnest($1::text[])", [str(number) for number in numbers]
        )

    @asynccontextmanager
    async def working(self, started: Started) -> AsyncGenerator[None]:
        async with self.pool.acquire() as listener:
            await listener.add_listener("job", self._heard)
            workers = [asyncio.create_task(self._worker(started)) for _ in range(self.workers)]
            yield
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            await listener.remove_listener("job", self._heard)

    def _heard(self, *_: object) -> None:
        self._news.set()

    async def _worker(self, started: Started) -> None:
        while True:
            self._news.clear()
            while jobs := await self.pool.fetch(CLAIM, self.claim):
                for job in jobs:
                    started(int(job["payload"]))
                await self.pool.execute(END, [job["id"] for job in jobs])
            await self._news.wait()

    async def left(self) -> int:
        return await self.pool.fetchval("SELECT count(*) FROM job WHERE state <> 'done'")


@asynccontextmanager
async def by_hand(dsn: str, claim: int, workers: int, say: bool = False) -> AsyncGenerator[ByHand]:
    async with asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        await pool.execute(TABLE)
        yield ByHand(pool, claim, workers, say)


def by_hand_on_one_connection(dsn: str, jobs: int) -> Figures:
    """One blocking connection of psycopg, as pacer has it: a commit for each job that comes, is claimed, and ends."""
    with psycopg.RawCursor(psycopg.connect(dsn, autocommit=True)) as cursor, cursor.connection:
        cursor.execute(TABLE)
        began = perf_counter()
        for number in range(jobs):
            cursor.execute(ENQUEUE, [str(number)])
        enqueued = perf_counter()
        for _ in range(jobs):
            claimed = cursor.execute(CLAIM, [1]).fetchall()
            cursor.execute(END, [[job[0] for job in claimed]])
        drained = perf_counter()
        assert cursor.execute("SELECT count(*) FROM job WHERE state = 'done'").fetchone() == (jobs,)
    return {"enqueue_one_caller_per_s": jobs / (enqueued - began), "drain_per_s": jobs / (drained - enqueued)}


@attrs.frozen(eq=False)
class PgQueuerQueue:
    """pgqueuer with a pool of asyncpg. It deletes ended jobs and writes a line into its log table, both in batches.

    Attributes:
        batch: How many jobs one query claims. It wants at least twice as many slots.
    """

    pool: asyncpg.Pool
    queries: Queries
    batch: int

    async def one(self, number: int) -> object:
        return await self.queries.enqueue("work", b"%d" % number)

    async def many(self, numbers: Sequence[int]) -> object:
        return await self.queries.enqueue(
            ["work"] * len(numbers), [b"%d" % number for number in numbers], [0] * len(numbers)
        )

    @asynccontextmanager
    async def working(self, started: Started) -> AsyncGenerator[None]:
        worker = PgQueuer.from_asyncpg_pool(self.pool)

        @worker.entrypoint("work")
        async def work(job: Job) -> None:
            assert job.payload is not None
            started(int(job.payload))

        running = asyncio.create_task(
            worker.qm.run(
                dequeue_timeout=timedelta(seconds=30),
                batch_size=self.batch,
                max_concurrent_tasks=SLOTS if 2 * self.batch <= SLOTS else None,
            )
        )
        yield
        worker.shutdown.set()
        await running

    async def left(self) -> int:
        return sum(one.count for one in await self.queries.queue_size())


@asynccontextmanager
async def pgqueuer(dsn: str, batch: int) -> AsyncGenerator[PgQueuerQueue]:
    async with asyncpg.create_pool(dsn, min_size=CONNECTIONS, max_size=CONNECTIONS) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()
        yield PgQueuerQueue(pool, queries, batch)
