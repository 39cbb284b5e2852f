"""One connection to the database, made anew when it is lost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs
import psycopg

from pacer._errors import StoreError
from pacer.stores._postgres._errors import holds_data, store_error
from pacer.stores._postgres._patience import PatientConnection
from pacer.stores._postgres._target import LOCK_WITHIN, STOPPED_FOR, Target

Row = tuple[Any, ...]
Bound = tuple[bytes, Sequence[str | None]]
"""SQL and its parameters."""

_BEGIN: Final[Bound] = (b"BEGIN ISOLATION LEVEL READ COMMITTED", ())
_COMMIT: Final[Bound] = (b"COMMIT", ())
_ROLLBACK: Final[Bound] = (b"ROLLBACK", ())
# Through a pooler the settings of a session are not ours to change; these hold for one transaction.
_POOLED: Final[Bound] = (
    (
        f"SELECT set_config('idle_in_transaction_session_timeout', '{STOPPED_FOR:g}s', true), "
        f"set_config('lock_timeout', '{LOCK_WITHIN:g}s', true)"
    ).encode(),
    (),
)


@attrs.define(eq=False)
class Session:
    """What is asked of the server, one after another. Errors are those of `pacer`, unless it is said otherwise.

    Attributes:
        target: Where it is.
        grants: What to do where privileges are missing.
    """

    target: Target
    grants: str
    _connection: PatientConnection | None = attrs.field(init=False, default=None)
    _pipeline: psycopg.Pipeline | None = attrs.field(init=False, default=None)
    """Open for as long as the transaction is: the driver ends one by asking the server to flush, after which that does
    not mind any more for how long the transaction is idle, and would let a stopped worker keep its lock for ever."""
    _open: contextlib.ExitStack = attrs.field(init=False, factory=contextlib.ExitStack)
    """Ends the pipeline."""

    @property
    def name(self) -> str:
        """Of the database."""
        return self.target.name

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction has been begun, and is still there as far as is known."""
        return self._pipeline is not None

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
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()
        self._leave()

    def _leave(self) -> None:
        """The pipeline is over; what is on its way in it no longer matters."""
        self._pipeline = None
        with contextlib.suppress(psycopg.Error):
            self._open.close()

    @contextlib.contextmanager
    def errors(self) -> Iterator[None]:
        """Turn PostgreSQL's errors into StoreErrors; after one of the connection, the next call connects anew."""
        try:
            yield
        except psycopg.Error as error:
            raise self.failed(error) from (None if holds_data(error) else error)

    def failed(self, error: psycopg.Error) -> StoreError:
        """What to raise for it. What was begun is undone."""
        self._undo(error)
        return store_error(error, self.name, self.grants)

    def _undo(self, error: psycopg.Error) -> None:
        self._leave()
        connection = self._connection
        # An error without SQLSTATE is one of the driver, whose connection is best not trusted; a server that has
        # become read-only is another one after a failover.
        if connection is None or connection.closed or error.sqlstate in (None, "25006"):
            self.close()
        elif connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
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
        connection, pipeline = self.connect(), self._pipeline
        cursor = connection.cursor().execute(*statement, binary=True)
        if pipeline is not None:
            pipeline.sync()
        return cursor.fetchall() if cursor.description is not None else []

    def begin(self, statements: Sequence[Bound]) -> list[Row]:
        """Several statements in one round trip, in a new transaction, which stays open; the rows of the last one."""
        first = [_BEGIN, _POOLED] if self.target.pooled else [_BEGIN]
        self.end()
        with self.errors():
            self._pipeline = self._open.enter_context(self.connect().pipeline())
            for one in [*first, *statements[:-1]]:
                self._send(one)
            return self.unguarded(statements[-1])

    def commit(self, statements: Sequence[Bound]) -> list[Row]:
        """The same in the transaction that was begun, which ends. Errors are the driver's."""
        cursors = [self._send(one) for one in [*statements, _COMMIT]]
        self._pipeline = None
        self._open.close()
        return cursors[0].fetchall() if cursors[0].description is not None else []

    def _send(self, statement: Bound) -> psycopg.Cursor[Row]:
        return self.connect().cursor().execute(*statement, binary=True)

    def end(self) -> None:
        """Commit the transaction, if one was begun: what was done in it stands."""
        if self.in_transaction:
            with self.errors():
                self.commit([])
