"""Notices as they come: LISTEN, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial

import attrs
import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from pacer.stores._postgres._target import Target
from pacer.stores._server._listening import QUIET, keep_listening, stop_if_cancelled


@attrs.define(eq=False)
class PostgresNotices:
    """Listens to the channel of one queue, on a connection of its own.

    What is said while there is no connection is not heard: `connected` says when that may have happened.
    """

    target: Target
    channel: str

    async def run(self, hear: Callable[[str], None], connected: Callable[[bool], None]) -> None:
        """Hand over each notice, until cancelled; connects again where that is needed."""
        listening, hand_over = partial(self._listening, hear), partial(self._hand_over, hear)
        await keep_listening(listening, hand_over, connected, psycopg.Error)

    @contextlib.asynccontextmanager
    async def _listening(self, hear: Callable[[str], None]) -> AsyncIterator[PGconn]:
        connection = await psycopg.AsyncConnection.connect(**self.target.arguments())
        try:
            # Before Python 3.12, `asyncio.wait_for`, with which the driver connects, may lose a cancellation.
            stop_if_cancelled()
            listen = sql.SQL("LISTEN {}").format(sql.Identifier(self.channel)).as_bytes(connection)
            await self._ask(connection.pgconn, listen, hear)
            yield connection.pgconn
        finally:
            await connection.close()

    async def _hand_over(self, hear: Callable[[str], None], connection: PGconn) -> None:
        """Until the connection is lost."""
        while True:
            if await _readable(connection, QUIET):
                _read(connection, hear)
            else:
                await self._ask(connection, b"SELECT", hear)

    async def _ask(self, connection: PGconn, query: bytes, hear: Callable[[str], None]) -> None:
        """Ask the server something, and hand over what comes before the answer.

        Where that does not come, the driver's own way would wait for seconds more for the query to be cancelled.
        """
        connection.send_query(query)
        connection.flush()
        while True:
            if not await _readable(connection, self.target.patience):
                msg = f"no answer from the server within {self.target.patience:g} s"
                raise psycopg.OperationalError(msg)
            _read(connection, hear)
            if not connection.is_busy():
                break
        while result := connection.get_result():
            if result.status == ExecStatus.FATAL_ERROR:
                raise psycopg.OperationalError(result.get_error_message())


async def _readable(connection: PGconn, seconds: float) -> bool:
    """Whether something has come within so many seconds. Unlike the driver, this does not look ten times a second."""
    loop, came, number = asyncio.get_running_loop(), asyncio.Event(), connection.socket
    loop.add_reader(number, came.set)
    try:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await came.wait()
    finally:
        loop.remove_reader(number)
    return came.is_set()


def _read(connection: PGconn, hear: Callable[[str], None]) -> None:
    """Hand over what has come. Raises OperationalError if that is the end of the connection."""
    connection.consume_input()
    while notice := connection.notifies():
        hear(notice.extra.decode("utf-8", "replace"))
