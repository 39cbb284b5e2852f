"""Server-sent events as an answer that lasts."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
import attrs
from sse_starlette import EventSourceResponse, ServerSentEvent

# Seconds that a stream gets to end by itself when the server stops.
_FAREWELL = 1.0


def lasting_answer(messages: AsyncGenerator[ServerSentEvent]) -> EventSourceResponse:
    """An answer that lasts until the messages end, the client leaves or the server stops."""
    stream = ServerStream(messages)
    return EventSourceResponse(
        stream.messages(),
        data_sender_callable=stream.end_with_server,
        shutdown_event=stream.stopping,
        shutdown_grace_period=_FAREWELL,
    )


@attrs.define(eq=False)
class ServerStream:
    """Messages that end when the server does: it waits for its answers before it lets the application stop.

    Attributes:
        stopping: Set by sse-starlette when uvicorn is told to stop.
    """

    _messages: AsyncGenerator[ServerSentEvent]
    stopping: anyio.Event = attrs.field(init=False, factory=anyio.Event)
    _waiting: anyio.CancelScope = attrs.field(init=False, factory=anyio.CancelScope)

    async def messages(self) -> AsyncGenerator[ServerSentEvent]:
        """Those that it was given, as long as the server runs."""
        async with aclosing(self._messages):
            while not self.stopping.is_set():
                message = None
                with anyio.CancelScope() as self._waiting:
                    message = await anext(self._messages, None)
                if message is None:
                    return
                yield message

    async def end_with_server(self) -> None:
        """Wait for no further message once the server stops."""
        await self.stopping.wait()
        self._waiting.cancel()
