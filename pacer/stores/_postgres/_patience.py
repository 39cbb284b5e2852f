"""A connection that gives up in the end."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, TypeVar

import psycopg

T = TypeVar("T")


class PatientConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that does not wait for ever for an answer that was lost on the way."""

    patience: float = 60.0

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Raises OperationalError, and closes the connection, if it takes too long."""
        return super().wait(_limited(gen, time.monotonic() + self.patience, self), *args, **kwargs)


def _limited(gen: Generator[Any, Any, T], deadline: float, connection: PatientConnection) -> Generator[Any, Any, T]:
    """The same steps, as long as there is time left; from 3.2.11 on psycopg takes one at least ten times a second."""
    ready = None
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as end:
            result: T = end.value
            return result
        ready = yield wanted
        if not ready and time.monotonic() > deadline:
            connection.pgconn.finish()
            msg = f"no answer from the server within {connection.patience:g} s"
            raise psycopg.OperationalError(msg)
