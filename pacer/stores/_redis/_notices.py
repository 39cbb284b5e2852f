"""Notices as they come: pub/sub, on the event loop."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import attrs
import redis.asyncio
import redis.exceptions
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pacer.stores._redis._wire import keepalive, settle
from pacer.stores._server._listening import QUIET, keep_listening, stop_if_cancelled


@attrs.define(eq=False)
class RedisNotices:
    """Listens to the channel of one queue.

    What is published while there is no connection is not heard: `connected` says when that may have happened.
    """

    url: str
    channel: str
    connect_timeout: float

    async def run(self, hear: Callable[[str], None], connected: Callable[[bool], None]) -> None:
        """Hand over each notice, until cancelled; connects again where that is needed."""
        hand_over = partial(self._hand_over, hear)
        await keep_listening(self._subscribed, hand_over, connected, redis.exceptions.RedisError)

    @contextlib.asynccontextmanager
    async def _subscribed(self) -> AsyncIterator[Any]:
        client = redis.asyncio.Redis.from_url(
            self.url,
            socket_connect_timeout=self.connect_timeout,
            socket_timeout=self.connect_timeout,
            **keepalive(self.url),
        )
        settle(client.connection_pool.connection_kwargs, retry=Retry(NoBackoff(), 0))
        async with client, client.pubsub() as pubsub:
            await pubsub.subscribe(self.channel)
            await self._answer(pubsub, "subscribe")
            yield pubsub

    async def _hand_over(self, hear: Callable[[str], None], pubsub: Any) -> None:
        """Until the connection is lost."""
        while True:
            message = await _message(pubsub, QUIET)
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
    stop_if_cancelled()  # the driver loses a cancellation that comes while it connects
    message = await pubsub.get_message(timeout=timeout)
    stop_if_cancelled()
    return message
