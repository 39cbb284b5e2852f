"""One connection to the database, made anew when it is lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final, TypeVar

import attrs
import psycopg

from pacer._errors import StoreError
from pacer.stores._postgres._errors import holds_data, store_error
from pacer.stores._postgres._migrate import grants_advice
from pacer.stores._postgres._target import LOCK_WITHIN, STOPPED_FOR, Target

T = TypeVar("T")
Row = tuple[Any, ...]
Bound = tuple[bytes, Sequence[str | None]]
"""SQL and its parameters."""

_BEGIN: Final[Bound] = (b"BEGIN ISOLATION LEVEL READ COMMITTED", ())
_COMMIT: Final[Bound] = (b"COMMIT", ())
# Through a pooler the settings of a session are not ours to change; these hold for one transaction.
_POOLED: Final[Bound] = (
    (
        f"SELECT set_config('idle_in_transaction_session_timeout', '{STOPPED_FOR:g}s', true), "
        f"set_config('lock_timeout', '{LOCK_WITHIN:g}s', true)"
    ).encode(),
    (),
)


class PatientConnection(psycopg.Connection[Row]):
    """A connection that does not wait for ever for an answer that was lost on the way."""

    patience: float = 60.0

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **kwargs: Any) -> T:
        """Raises OperationalError, and closes the connection, if it takes too long."""
        return super().wait(_limited(gen, time.monotonic() + self.patience, self), *args, **kwargs)


def _limited(gen: Generator[Any, Any, T], deadline: float, connection: PatientConnection) -> Generator[Any, Any, T]:
    """The same steps, as long as there is time left; psycopg takes one at least ten times a second."""
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


@attrs.define(eq=False)
class Session:
    """What is asked of the server, one after another. Errors are those of `pacer`.

    Attributes:
        target: Where it is.
        in_transaction: Whether a transaction has been begun that holds a lock.
    """

    target: Target
    in_transaction: bool = attrs.field(init=False, default=False)
    _connection: PatientConnection | None = attrs.field(init=False, default=None)

    @property
    def name(self) -> str:
        """Of the database."""
        return self.target.name

    def connect(self) -> PatientConnection:
        """The connection, made if there is none."""
        connection = self._connection
        if connection is None or connection.closed:
            self.close()
            with self.errors():
                connection = PatientConnection.connect(**self.target.arguments(), cursor_factory=psycopg.RawCursor)
            connection.patience = self.target.patience
            self._connection = connection
        return connection

    def close(self) -> None:
        """Disconnect, if connected; a transaction is rolled back by the server."""
        connection, self._connection, self.in_transaction = self._connection, None, False
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn PostgreSQL's errors into StoreErrors; after one of the connection, the next call connects anew."""
        try:
            yield
        except psycopg.Error as error:
            raise self.failed(error) from (None if holds_data(error) else error)

    def failed(self, error: psycopg.Error) -> StoreError:
        """What to raise for it. What was begun is over."""
        self._clear(error)
        return store_error(error, self.name, grants_advice(self.target.schema))

    def _clear(self, error: psycopg.Error) -> None:
        connection = self._connection
        # An error without SQLSTATE is one of the driver, whose connection is best not trusted; a server that has
        # become read-only is another one after a failover.
        if connection is None or connection.closed or error.sqlstate in (None, "25006"):
            self.close()
        elif self.in_transaction or connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self.in_transaction = False
            try:
                connection.execute(b"ROLLBACK")
            except psycopg.Error:
                self.close()

    # -- asking ------------------------------------------------------------------------------------------------------

    def rows(self, statement: Bound) -> list[Row]:
        """The rows of a statement of its own, or in the transaction that was begun."""
        with self.errors():
            return self.unguarded(statement)

    def unguarded(self, statement: Bound) -> list[Row]:
        """The same; errors are the driver's."""
        return self.connect().cursor().execute(*statement, binary=True).fetchall()

    def together(self, statements: Sequence[Bound]) -> list[Row]:
        """Several statements in one round trip, and the rows of the last one that has any. Errors are the driver's."""
        connection = self.connect()
        with connection.pipeline():
            cursors = [connection.cursor().execute(*one, binary=True) for one in statements]
        return next((one.fetchall() for one in reversed(cursors) if one.description is not None), [])

    def begin(self, statements: Sequence[Bound]) -> list[Row]:
        """The same in a new transaction, which stays open."""
        first = [_BEGIN, _POOLED] if self.target.pooled else [_BEGIN]
        with self.errors():
            self.rollback_unguarded()
            self.in_transaction = True
            return self.together([*first, *statements])

    def commit(self, statements: Sequence[Bound]) -> list[Row]:
        """The same in the transaction that was begun, which ends. Errors are the driver's."""
        rows = self.together([*statements, _COMMIT])
        self.in_transaction = False
        return rows

    def rollback(self) -> None:
        """End the transaction, if one was begun."""
        with self.errors():
            self.rollback_unguarded()

    def rollback_unguarded(self) -> None:
        """The same; errors are the driver's."""
        if self.in_transaction:
            self.in_transaction = False
            self.connect().execute(b"ROLLBACK")
