"""Notices as they come: pub/sub, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import attrs
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pacer.stores._redis._wire import SETTLED, keepalive

# A connection over which nothing has come for so long is asked whether it is still there.
_QUIET: Final = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@attrs.define(eq=False)
class RedisNotices:
    """Listens to the channel of one queue.

    What is published while there is no connection is not heard: `connected` says when that may have happened.
    """

    url: str
    channel: str
    connect_timeout: float

    async def run(self, hear: Callable[[str], None], connected: Callable[[bool], None]) -> None:
        """Hand over each notice, until cancelled. Connects again after a pause that grows."""
        pause = _FIRST_PAUSE
        while True:
            try:
                async with self._subscribed() as pubsub:
                    connected(True)
                    pause = _FIRST_PAUSE
                    try:
                        await self._listen(pubsub, hear)
                    finally:
                        connected(False)
            except (redis.exceptions.RedisError, OSError):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    @contextlib.asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[Any]:
        client = redis.asyncio.Redis.from_url(
            self.url,
            socket_connect_timeout=self.connect_timeout,
            socket_timeout=self.connect_timeout,
            **keepalive(self.url),
        )
        client.connection_pool.connection_kwargs.update(SETTLED, retry=Retry(NoBackoff(), 0))
        async with client, client.pubsub() as pubsub:
            await pubsub.subscribe(self.channel)
            await self._answer(pubsub, "subscribe")
            yield pubsub

    async def _listen(self, pubsub: Any, hear: Callable[[str], None]) -> None:
        while True:
            message = await _message(pubsub, _QUIET)
            if message is None:
                await pubsub.ping()
                message = await self._answer(pubsub, "pong", "message")
            if message["type"] == "message":
                hear(message["data"].decode())

    async def _answer(self, pubsub: Any, *kinds: str) -> Any:
        message = await _message(pubsub, self.connect_timeout)
        if message is None or message["type"] not in kinds:
            msg = f"no answer to a subscription within {self.connect_timeout:g} s"
            raise redis.exceptions.TimeoutError(msg)
        return message


async def _message(pubsub: Any, timeout: float) -> Any:
    """The next message; None if none comes in time."""
    _check_cancelled()
    message = await pubsub.get_message(timeout=timeout)
    _check_cancelled()
    return message


def _check_cancelled() -> None:
    """The driver loses a cancellation that comes while it connects."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
