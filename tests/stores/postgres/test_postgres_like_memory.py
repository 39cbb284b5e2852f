"""A queue in PostgreSQL answers as the memory store does, whatever is done to it."""

from __future__ import annotations

import anyio
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from like_memory import CASES, check_like_memory

from pacer.stores._postgres._schema import TABLES
from pacer.stores.postgres import PostgresStore, migrate

FUZZ = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def schema(postgres, postgres_schema):
    """One with all its tables."""
    migrate(postgres.dsn, postgres_schema)
    return postgres_schema


@given(**CASES)
@settings(max_examples=25, deadline=None, suppress_health_check=FUZZ)
def test_a_queue_in_postgresql_answers_as_the_memory_store(postgres, schema, queue, pacing, concurrency, operations):
    with psycopg.connect(postgres.dsn, autocommit=True) as connection:
        tables = (f"{quoted(schema)}.{name}" for name in TABLES if name != "pacer_migrations")
        connection.execute(f"TRUNCATE {', '.join(tables)}".encode())
    anyio.run(
        check_like_memory,
        lambda clock: PostgresStore(postgres.dsn, schema=schema, clock=clock, lease=30),
        queue,
        pacing,
        concurrency,
        operations,
    )
