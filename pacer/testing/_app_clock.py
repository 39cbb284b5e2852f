"""Virtual time for an application that a synchronous test client runs on an event loop in another thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs
from typing_extensions import TypeVarTuple, Unpack

from pacer._extras import needed
from pacer._validation import seconds as as_seconds
from pacer.testing._virtual import VirtualTimeError, VirtualTimeLoop

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Real seconds between two looks at whether the event loop is still there.
_LOOK = 0.05


@attrs.define(eq=False)
class AppClock:
    """Virtual time for tests with Starlette's or FastAPI's `TestClient`, which runs the app in a thread of its own.

    Time passes while the app answers a request, starts or stops, as far as it has to: a route that awaits a job for an
    hour takes milliseconds. Between requests time stands, so that a test can look at what a job is doing, and `advance`
    moves it.

        clock = AppClock()
        with clock.client(app) as client:
            client.post("/summaries", params={"text": "One fish"})
            clock.advance(30)
            assert client.get("/queue/status").json()["succeeded"] == 1

    Where a websocket listens to the test, time stands too: call `advance` before the test waits for a message that the
    app sends by itself later.

    On asyncio only. The client must be used as a context manager, as it has to be for a lifespan to run at all.

    Not for async tests: these call the app through `httpx.ASGITransport` on their own event loop.
    """

    _loop: _AppLoop | None = attrs.field(init=False, default=None)

    def client(self, app: Any, **options: Any) -> Any:
        """A `starlette.testclient.TestClient` of the app, in this time.

        Args:
            app: The ASGI application.
            **options: Of `TestClient`.
        """
        with needed("fastapi"):
            from starlette.testclient import TestClient  # noqa: PLC0415 - it may be missing

        return TestClient(self.wrap(app), backend_options=self.backend_options, **options)

    def wrap(self, app: Any) -> Any:
        """The app, for a client that is made otherwise: `MyClient(clock.wrap(app), backend_options=...)`."""

        async def timed(scope: Any, receive: Any, send: Any) -> None:
            loop = asyncio.get_running_loop()
            if not isinstance(loop, _AppLoop):
                msg = "AppClock: pass backend_options=clock.backend_options to the client too, or use clock.client(app)"
                raise TypeError(msg)
            work = _Work(asyncio.current_task(), listens=scope["type"] == "websocket")

            async def receiving() -> Any:
                with work.resting():
                    return await receive()

            async def sending(message: Any) -> None:
                with work.resting():  # until the client has read what was sent before
                    await send(message)

            # A request's `receive` is also where a task of a stream waits for its end, beside one that works.
            await loop.do(work, app(scope, receive if scope["type"] == "http" else receiving, sending))

        return timed

    @property
    def backend_options(self) -> dict[str, Any]:
        """For `TestClient(..., backend_options=...)`, with `wrap`."""
        return {"loop_factory": self._make_loop}

    @property
    def now(self) -> float:
        """The virtual time in seconds, from 0 at the start of the client."""
        return 0.0 if self._loop is None else self._loop.time()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass; returns when all that happens in them has happened.

        Args:
            seconds: 0 or more.

        Raises:
            RuntimeError: The client's block has not begun, or is over.
            ValueError: It is negative.
        """
        seconds = as_seconds(seconds)
        if seconds < 0:
            msg = f"AppClock: advance goes forward, got {seconds!r}"
            raise ValueError(msg)
        loop, reached = self._running_loop(), threading.Event()
        loop.call_soon_threadsafe(loop.go_to, seconds, reached.set)
        while not reached.wait(_LOOK):
            self._running_loop()

    def call(self, function: Callable[[Unpack[Ts]], Awaitable[T]], *args: *Ts) -> T:
        """Run a coroutine function on the app's event loop, such as `Scheduler.wait` or `Rehearsal.drain`.

        Time passes meanwhile as far as it has to.

        Args:
            function: The function.
            *args: Its arguments.

        Raises:
            RuntimeError: The client's block has not begun, or is over.
        """
        loop = self._running_loop()

        async def called() -> T:
            return await loop.do(_Work(asyncio.current_task()), function(*args))

        return asyncio.run_coroutine_threadsafe(called(), loop).result()

    def _make_loop(self) -> _AppLoop:
        self._loop = _AppLoop()
        return self._loop

    def _running_loop(self) -> _AppLoop:
        if self._loop is None or self._loop.is_closed():
            msg = "AppClock: the app does not run; use it inside `with clock.client(app) as client:`"
            raise RuntimeError(msg)
        return self._loop


@attrs.define(eq=False)
class _Work:
    """Something that the app does for a client. While it rests, it is the test's turn."""

    task: asyncio.Task[Any] | None
    listens: bool = False
    rests: int = attrs.field(init=False, default=0)
    stuck: str = attrs.field(init=False, default="")

    @contextmanager
    def resting(self) -> Generator[None]:
        self.rests += 1
        try:
            yield
        finally:
            self.rests -= 1


class _AppLoop(VirtualTimeLoop):
    """Its clock stands unless the app works for a client, or the test moves it."""

    def __init__(self) -> None:
        self._works: set[_Work] = set()
        self._goal: float | None = None
        self._reached: Callable[[], None] = lambda: None
        super().__init__()

    async def do(self, work: _Work, what: Awaitable[T]) -> T:
        """Let time pass while this is awaited, but for the moments in which it rests."""
        self._works.add(work)
        try:
            return await what
        except asyncio.CancelledError:
            if not work.stuck:
                raise
            raise VirtualTimeError(work.stuck) from None
        finally:
            self._works.discard(work)

    def go_to(self, seconds: float, reached: Callable[[], None]) -> None:
        """Let so many seconds pass, and call that."""
        self._goal, self._reached = self._now + seconds, reached

    def _wait(self, poll: Any, working: bool) -> Any:
        if working:
            return super()._wait(poll, working)
        if any(not work.rests for work in self._works):
            return self._wait_for_the_app(poll)
        if self._goal is None:
            return self._wait_for_the_test(poll)
        if not self._jump(self._goal):
            self._now, self._goal = max(self._now, self._goal), None
            self._reached()
        return []

    def _wait_for_the_app(self, poll: Any) -> Any:
        try:
            return super()._wait(poll, False)
        except VirtualTimeError as error:
            # Told by those who wait for it: out of the loop, it would only be heard of when the client is closed.
            self._give_up(str(error), [work for work in self._works if not work.rests])
            return []

    def _wait_for_the_test(self, poll: Any) -> Any:
        listening = [work for work in self._works if work.listens]
        if not listening:
            return poll(None)
        events = poll(self._patience)
        if not events:
            msg = (
                f"time has stood at {self._now:g} for {self._patience:g} real seconds, because a websocket of the app "
                "listens to the test. If the test waits for a message that the app sends later, it has to move the "
                "clock first, with AppClock.advance"
            )
            self._give_up(msg, listening)
        return events

    def _give_up(self, why: str, works: list[_Work]) -> None:
        for work in works:
            work.stuck = why
            if work.task is not None:
                work.task.cancel()
