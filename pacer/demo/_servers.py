"""The demo's two servers, each in a thread with an event loop of its own, on loopback."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI

HOST = "127.0.0.1"


class DemoError(Exception):
    """The demo cannot go on; the message says what to do."""


@contextmanager
def serving(app: FastAPI, port: int, option: str, hint: str = "") -> Iterator[str]:
    """Serve the application while the block runs; gives its URL.

    Args:
        app: What to serve.
        port: On loopback; 0 takes any free one.
        option: The command's option for this port, for the error message.
        hint: What to do when the application does not start.

    Raises:
        DemoError: The port is taken, or the application does not start.
    """
    listener = _listen(port, option)
    failures = _remember_failures(app)
    # Open event streams get this long at the end; the display says what matters, so only disasters are logged.
    config = uvicorn.Config(app, timeout_graceful_shutdown=1, log_level="critical", lifespan="on", ws="none")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_run, args=(server, listener), name=f"pacer demo {option}")
    thread.start()
    try:
        while thread.is_alive() and not server.started:
            thread.join(0.01)
        if not server.started:
            why = str(failures[0] if failures else "no reason given").rstrip(".")
            msg = f"the server does not start: {why}{hint and '; '}{hint}"
            raise DemoError(msg)
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def _listen(port: int, option: str) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        why = "is in use by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        msg = f"port {port} {why}; end that program, or choose another port with {option}"
        raise DemoError(msg) from error
    return listener


def _run(server: uvicorn.Server, listener: socket.socket) -> None:
    with suppress(SystemExit):  # uvicorn's word for an application that did not start
        server.run(sockets=[listener])


def _remember_failures(app: FastAPI) -> list[Exception]:
    failures: list[Exception] = []
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def remembering(app: Any) -> AsyncGenerator[Any]:
        try:
            async with inner(app) as state:
                yield state
        except Exception as error:
            failures.append(error)
            raise

    app.router.lifespan_context = remembering
    return failures
