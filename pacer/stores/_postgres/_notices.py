"""Notices as they come: LISTEN, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import attrs
import psycopg
from psycopg import sql
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from pacer.stores._postgres._target import Target

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# A connection over which nothing has come for so long is asked whether it is still there.
_QUIET: Final = 10.0


@attrs.define(eq=False)
class PostgresNotices:
    """Listens to the channel of one queue, on a connection of its own.

    What is said while there is no connection is not heard: `connected` says when that may have happened.
    """

    target: Target
    channel: str

    async def run(self, hear: Callable[[str], None], connected: Callable[[bool], None]) -> None:
        """Hand over each notice, until cancelled. Connects again after a pause that grows."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._listening(hear) as connection:
                    connected(True)
                    pause = _FIRST_PAUSE
                    try:
                        await self._hand_over(connection, hear)
                    finally:
                        connected(False)
            except (psycopg.Error, OSError):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    @contextlib.asynccontextmanager
    async def _listening(self, hear: Callable[[str], None]) -> AsyncIterator[PGconn]:
        connection = await psycopg.AsyncConnection.connect(**self.target.arguments())
        try:
            _stop_if_cancelled()
            listen = sql.SQL("LISTEN {}").format(sql.Identifier(self.channel)).as_bytes(connection)
            await self._ask(connection.pgconn, listen, hear)
            yield connection.pgconn
        finally:
            await connection.close()

    async def _hand_over(self, connection: PGconn, hear: Callable[[str], None]) -> None:
        """Until the connection is lost."""
        while True:
            if await _readable(connection, _QUIET):
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


def _stop_if_cancelled() -> None:
    """Before Python 3.12, `asyncio.wait_for`, with which the driver connects, may lose a cancellation."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


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
