"""Notices as they come: LISTEN, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import attrs
import psycopg
from psycopg import sql

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
                async with self._listening() as connection:
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
    async def _listening(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        connection = await psycopg.AsyncConnection.connect(**self.target.arguments())
        try:
            async with asyncio.timeout(self.target.patience):
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self.channel)))
            yield connection
        except TimeoutError as error:
            raise _silent(self.target.patience) from error
        finally:
            await connection.close()

    async def _hand_over(self, connection: psycopg.AsyncConnection[Any], hear: Callable[[str], None]) -> None:
        """Until the connection is lost."""
        connection.add_notify_handler(lambda notice: hear(notice.payload))
        while True:
            if await self._readable(connection):
                _read(connection, hear)
            else:
                async with asyncio.timeout(self.target.patience):
                    await connection.execute(b"SELECT")

    async def _readable(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """Whether something has come before long. Unlike psycopg, this does not look ten times a second."""
        loop, came, number = asyncio.get_running_loop(), asyncio.Event(), connection.fileno()
        loop.add_reader(number, came.set)
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_QUIET):
                    await came.wait()
        finally:
            loop.remove_reader(number)
        return came.is_set()


def _read(connection: psycopg.AsyncConnection[Any], hear: Callable[[str], None]) -> None:
    """Hand over what has come. Raises OperationalError if that is the end of the connection."""
    connection.pgconn.consume_input()
    while notice := connection.pgconn.notifies():
        hear(notice.extra.decode("utf-8", "replace"))


def _silent(seconds: float) -> psycopg.OperationalError:
    return psycopg.OperationalError(f"no answer from the server within {seconds:g} s")
