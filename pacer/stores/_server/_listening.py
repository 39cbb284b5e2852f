"""How a process goes on hearing notices when connections are lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

C = TypeVar("C")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
# Seconds after which a connection over which nothing has come is asked whether it is still there.
QUIET: Final = 10.0


async def keep_listening(
    listening: Callable[[], AbstractAsyncContextManager[C]],
    hand_over: Callable[[C], Awaitable[None]],
    connected: Callable[[bool], None],
    lost: type[Exception],
) -> None:
    """Hand over what is heard, until cancelled. Connects again after a pause that grows.

    Args:
        listening: Gives a connection over which notices come, and closes it.
        hand_over: Does so until the connection is lost.
        connected: Told whenever it changes whether notices can come.
        lost: What is raised when there is no connection, if it is no OSError.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            async with listening() as connection:
                connected(True)
                pause = _FIRST_PAUSE
                try:
                    await hand_over(connection)
                finally:
                    connected(False)
        except (lost, OSError):
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)


def stop_if_cancelled() -> None:
    """For where a driver may have lost a cancellation. Raises CancelledError if one has been asked for."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
