"""Queues in PostgreSQL, as their workers see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import psycopg
import pytest

from pacer.stores._postgres._backend import PostgresBackend
from pacer.stores._postgres._target import Target

ROLE_PASSWORD = "never-to-be-shown"


@attrs.frozen
class Place:
    """A schema in a database."""

    dsn: str
    schema: str

    def target(self, **settings: Any) -> Target:
        given = {"dsn": self.dsn, "schema": self.schema, "connect_timeout": 5.0, "timeout": 10.0, "pooled": False}
        return Target(**{**given, **settings})

    def ask(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """As the owner of the database; `<schema>` stands for the schema."""
        quoted = '"' + self.schema.replace('"', '""') + '"'
        with psycopg.connect(self.dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
            cursor = connection.execute(query.replace("<schema>", quoted), parameters or None)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture
def place(postgres, postgres_schema) -> Place:
    return Place(postgres.dsn, postgres_schema)


@pytest.fixture
def role(place):
    """A role that may connect, and nothing more; and the DSN with which it does."""
    name = f"role {place.schema}"
    quoted = '"' + name.replace('"', '""') + '"'
    place.ask(f"CREATE ROLE {quoted} LOGIN PASSWORD '{ROLE_PASSWORD}'")
    return quoted, psycopg.conninfo.make_conninfo(place.dsn, user=name, password=ROLE_PASSWORD)


Make = Callable[..., PostgresBackend]


@pytest.fixture
def make(place) -> Iterator[Make]:
    """Makes backends of one queue, by the worker's name."""
    made = []

    def backend(worker: str, queue: str = "default", *, guest: bool = False, **settings: Any) -> PostgresBackend:
        made.append(PostgresBackend(place.target(**settings), queue, worker, guest=guest))
        return made[-1]

    yield backend
    for one in made:
        one.close()
