"""A TCP proxy between a client and a server, which does to their connections what networks do.

It runs on a thread of its own, beside whatever the test runs, and may be told what to do from any thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from contextlib import AbstractContextManager
from typing import Self

import attrs
from anyio.from_thread import BlockingPortal, start_blocking_portal
from servers import free_port

RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@attrs.define(eq=False)
class Connection:
    """A client's connection, and that to the server for it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter

    def cut(self) -> None:
        """Both ends are told at once that it is gone (RST); what is on its way is lost."""
        for writer in (self.client, self.server):
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            writer.transport.abort()


@attrs.define(eq=False)
class Proxy:
    """`with Proxy(server.port) as proxy:` lets clients reach the server at `proxy.port`.

    Attributes:
        target: The server's port on 127.0.0.1.
        port: Where it listens itself.
        delay: Seconds by which all bytes come later, each way.
        accepted: How many connections there have been.
    """

    target: int
    port: int = attrs.field(factory=free_port)
    delay: float = 0.0
    accepted: int = attrs.field(init=False, default=0)
    _portal: BlockingPortal = attrs.field(init=False)
    _thread: AbstractContextManager[BlockingPortal] = attrs.field(init=False, factory=start_blocking_portal)
    _listener: asyncio.Server | None = attrs.field(init=False, default=None)
    _kept: socket.socket | None = attrs.field(init=False, default=None)
    _open: set[Connection] = attrs.field(init=False, factory=set)
    _requests: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)
    _answers: asyncio.Event = attrs.field(init=False, factory=asyncio.Event)

    def __enter__(self) -> Self:
        self._portal = self._thread.__enter__()
        self.flow()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.cut()
        self._free_the_port()
        self._thread.__exit__(None, None, None)

    # -- what it can be told ------------------------------------------------------------------------------------------

    def stall(self, *, requests: bool = True, answers: bool = True) -> None:
        """Hold all bytes that come from now on, or those of one direction; connections stay open."""
        self._portal.call(self._hold, requests, answers)

    def flow(self) -> None:
        """Let bytes pass, those that were held first."""
        self._portal.call(self._let_go)

    def cut(self) -> None:
        """Reset all connections; bytes that were held are lost."""
        self._portal.call(self._cut)

    def refuse(self) -> None:
        """Let nobody connect any more, as if the server were not there; connections stay."""
        self._portal.call(self._close)

    def accept(self) -> None:
        """Let clients connect again."""
        self._portal.call(self._listen)

    # -- on its own thread --------------------------------------------------------------------------------------------

    async def _hold(self, requests: bool, answers: bool) -> None:
        if requests:
            self._requests.clear()
        if answers:
            self._answers.clear()

    async def _let_go(self) -> None:
        self._requests.set()
        self._answers.set()

    async def _cut(self) -> None:
        for connection in self._open:
            connection.cut()

    async def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._keep_the_port()

    def _keep_the_port(self) -> None:
        """Nobody can connect to it, and nobody else can listen there: clients would reach a server that is not ours."""
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", self.port))

    def _free_the_port(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    async def _listen(self) -> None:
        if self._listener is None:
            self._free_the_port()
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            answers, requests = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.close()
            return
        connection = Connection(writer, requests)
        self._open.add(connection)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, requests, self._requests))
                group.create_task(self._pump(answers, writer, self._answers))
        finally:
            self._open.discard(connection)
            connection.client.close()
            connection.server.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may: asyncio.Event) -> None:
        """Carry bytes one way until that way ends."""
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                await asyncio.sleep(self.delay)
                await may.wait()
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
