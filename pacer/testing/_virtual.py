"""Virtual time: tests that wait for hours in milliseconds, with the same result each time."""

from __future__ import annotations

import asyncio
import functools
import heapq
import inspect
import itertools
import math
import selectors
import sys
import threading
import weakref
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import Context
from queue import Queue
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import anyio
from typing_extensions import TypeVarTuple, Unpack

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike
    from trio.testing import MockClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_Events = list[tuple[selectors.SelectorKey, int]]

# Virtual seconds within which steps count as "at one instant": a loop that creeps on by rounding errors spins too.
_INSTANT = 1e-6
# Real seconds between two looks at whether threads still work, at first and at most.
_FIRST_LOOK = 0.001
_LONGEST_LOOK = 0.05
_TASKS_SHOWN = 5


class VirtualTimeError(RuntimeError):
    """Virtual time cannot go on: nothing can happen any more, work outside never answers, or the loop spins."""


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose clock jumps to the next timer whenever nothing else can be done.

    Use it as `asyncio.Runner(loop_factory=VirtualTimeLoop)`, as
    `anyio.run(main, backend_options={"loop_factory": VirtualTimeLoop})`, or through `run_virtual`. What the code
    under test computes between two awaits takes no time at all. Timers of the same moment run in the order in which
    they were set.

    The clock stands still while something outside the loop works for it, and the loop then really waits for that: an
    executor (`loop.run_in_executor`, `asyncio.to_thread`), a thread of `anyio.to_thread`, and whatever runs under
    `outside`. Sockets and subprocesses do not hold the clock; tests of these want a real loop, or `outside`.

    Not for time-outs of blocking functions in threads: the clock that would end them waits for them.

    Args:
        start: What the clock shows at first, in seconds; 0 by default. Epoch-size values work, at the precision that a
            float has there (about 0.2 microseconds).
        patience: Real seconds after which work outside is taken to hang; 60 by default.
        max_steps: Rounds of the loop at one instant after which it is taken to spin; a million by default.

    Raises:
        VirtualTimeError: Out of `run_until_complete` and its like, instead of hanging: no task can go on and no timer
            is set; work outside has not answered for `patience` seconds; `max_steps` rounds took no time.
    """

    def __init__(self, *, start: float = 0.0, patience: float = 60.0, max_steps: int = 1_000_000) -> None:
        self._now = start
        self._patience = patience
        self._max_steps = max_steps
        self._steps = 0
        self._instant = start
        self._outside = 0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers_kept = 64
        self._count = itertools.count()
        self._sockets = selectors.DefaultSelector()
        super().__init__(_Selector(self._sockets, self._select))
        self._own_sockets = len(self._sockets.get_map())  # the pipe that wakes the loop from threads

    def time(self) -> float:
        """The virtual time in seconds."""
        return self._now

    @contextmanager
    def outside(self) -> Generator[None]:
        """Hold the clock: the block awaits something that does not happen on this loop, such as a thread."""
        self._outside += 1
        try:
            yield
        finally:
            self._outside -= 1

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As in asyncio. The timers are kept here because the base class rounds their times and mixes up equal ones."""
        self._check_open()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._count), handle))
        if len(self._timers) > self._timers_kept:
            # Time-outs that were not needed stay in the heap until then, or until their time comes.
            self._timers = [timer for timer in self._timers if not timer[2].cancelled()]
            heapq.heapify(self._timers)
            self._timers_kept = 2 * len(self._timers) + 64
        return handle

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts) -> asyncio.Future[T]:
        """As in asyncio; the clock stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._executor_done)
        return future

    async def shutdown_default_executor(self, *args: Any) -> None:
        """As in asyncio."""
        with self.outside():
            await super().shutdown_default_executor(*args)

    def _executor_done(self, future: asyncio.Future[Any]) -> None:
        self._outside -= 1

    def _check_open(self) -> None:
        if self.is_closed():
            msg = "Event loop is closed"
            raise RuntimeError(msg)

    def _select(self, poll: Callable[[float | None], _Events], idle: bool) -> _Events:
        """One round of the loop. `idle`: it has nothing to do, and the base class knows of no timer."""
        # Asked before polling: a thread that ends in between has left its answer where the poll finds it.
        working = idle and (self._outside > 0 or _threads_working_for(self))
        events = poll(0)
        if events:
            self._steps = 0
        elif not self._fire_due_timers() and idle:
            events = self._wait(poll, working)
        self._count_step()
        return events

    def _wait(self, poll: Callable[[float | None], _Events], working: bool) -> _Events:
        if working:
            return self._wait_for_work(poll)
        if self._jump():
            return []
        if len(self._sockets.get_map()) > self._own_sockets:
            return poll(None)
        msg = (
            f"nothing can happen any more at virtual time {self._now:g}: no task can go on, no timer is set. If a "
            f"thread was to wake one of them, await it inside `with outside():` or `with holding(...)`, or wrap the "
            f"store in HeldStore. "
            f"{self._waiting_tasks()}"
        )
        raise VirtualTimeError(msg)

    def _wait_for_work(self, poll: Callable[[float | None], _Events]) -> _Events:
        self._steps = 0
        waited, look_again = 0.0, _FIRST_LOOK
        while waited < self._patience:
            events = poll(look_again)
            # A thread counts as working for a moment after it has handed over its answer: nothing more will come.
            if events or not (self._outside or _threads_working_for(self)):
                return events
            waited, look_again = waited + look_again, min(2 * look_again, _LONGEST_LOOK)
        msg = (
            f"work outside the event loop has not answered for {self._patience:g} real seconds while the virtual clock "
            f"stood at {self._now:g}. Does it wait for a timer of this loop? {self._waiting_tasks()}"
        )
        raise VirtualTimeError(msg)

    def _jump(self, latest: float = math.inf) -> bool:
        """To the next timer, if there is one that is not later."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers or math.isinf(self._timers[0][0]) or self._timers[0][0] > latest:
            return False
        self._now = self._timers[0][0]
        return self._fire_due_timers()

    def _fire_due_timers(self) -> bool:
        fired = False
        while self._timers and self._timers[0][0] <= self._now:
            _, _, handle = heapq.heappop(self._timers)
            if not handle.cancelled():
                self.call_soon(_run_unless_cancelled, handle)
                fired = True
        return fired

    def _count_step(self) -> None:
        if self._now > self._instant + _INSTANT:
            self._instant, self._steps = self._now, 0
        self._steps += 1
        if self._steps > self._max_steps:
            self._steps = 0  # the tasks are cancelled next, and that takes steps too
            msg = (
                f"the event loop spins: {self._max_steps} rounds at virtual time {self._now:g}. Something asks again "
                f"and again without waiting. {self._waiting_tasks()}"
            )
            raise VirtualTimeError(msg)

    def _waiting_tasks(self) -> str:
        tasks = asyncio.all_tasks(self)
        shown = [f"{task.get_name()} at {_where(task)}" for task in itertools.islice(tasks, _TASKS_SHOWN)]
        more = f" and {len(tasks) - len(shown)} more" if len(tasks) > len(shown) else ""
        return f"Tasks: {', '.join(sorted(shown)) or 'none'}{more}."


class _Selector(selectors.BaseSelector):
    """A real selector, polled by `select(poll, idle)` in place of waiting."""

    def __init__(
        self, real: selectors.BaseSelector, select: Callable[[Callable[[float | None], _Events], bool], _Events]
    ) -> None:
        self._real = real
        self._select = select

    def select(self, timeout: float | None = None) -> _Events:
        return self._select(self._real.select, timeout is None or timeout > 0)

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def _run_unless_cancelled(handle: asyncio.TimerHandle) -> None:
    """A timer may be cancelled between its moment and its turn."""
    if not handle.cancelled():
        handle._run()


def _threads_working_for(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether a worker thread of anyio has an unfinished call.

    anyio offers no way to ask. Its worker threads have a `loop` and a `queue` with at most one call in it, which counts
    as unfinished until the result has been handed to the loop.
    """
    return any(
        getattr(thread, "loop", None) is loop
        and isinstance(queue := getattr(thread, "queue", None), Queue)
        and queue.unfinished_tasks > 0
        for thread in threading.enumerate()
    )


def _where(task: asyncio.Task[Any]) -> str:
    """The innermost line at which a task waits."""
    awaited: Any = task.get_coro()
    frame = None
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None) or frame
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return "its end" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


_trio_holds: weakref.WeakKeyDictionary[MockClock, tuple[int, float]] = weakref.WeakKeyDictionary()


@contextmanager
def _hold_trio(clock: MockClock) -> Generator[None]:
    """Suspend the autojump of the clock, counting how many want it suspended."""
    holders, threshold = _trio_holds.get(clock, (0, clock.autojump_threshold))
    _trio_holds[clock] = (holders + 1, threshold)
    clock.autojump_threshold = math.inf
    try:
        yield
    finally:
        holders, threshold = _trio_holds.pop(clock)
        if holders > 1:
            _trio_holds[clock] = (holders - 1, threshold)
        else:
            clock.autojump_threshold = threshold


def outside() -> AbstractContextManager[None]:
    """Hold the virtual clock of the current run, on asyncio or trio, while something outside its event loop works.

    Put it around an await of something that happens on another thread or in another process: virtual time must not
    run on meanwhile, or time-outs would fire at random. In real time it does nothing.
    """
    if "trio" in sys.modules:
        import trio.lowlevel  # noqa: PLC0415 - trio is optional
        import trio.testing  # noqa: PLC0415

        if trio.lowlevel.in_trio_run():
            clock = trio.lowlevel.current_clock()
            return _hold_trio(clock) if isinstance(clock, trio.testing.MockClock) else nullcontext()
    loop = asyncio.get_running_loop()
    return loop.outside() if isinstance(loop, VirtualTimeLoop) else nullcontext()


@contextmanager
def holding(owner: Any, *names: str) -> Generator[None]:
    """Hold the virtual clock whenever a coroutine function of a class or module is awaited, also by the application.

    For applications that talk to a database of their own: its driver's threads and sockets do not hold the clock.

        with holding(aiosqlite.Connection): ...

    Args:
        owner: A class or module.
        *names: Which of its coroutine functions; by default all that it defines.

    Raises:
        TypeError: One of them is not a coroutine function, or there are none.
    """
    names = names or tuple(name for name, value in vars(owner).items() if inspect.iscoroutinefunction(value))
    if not names:
        msg = f"holding: {owner!r} defines no coroutine functions; name a class that does"
        raise TypeError(msg)
    own = {name: inspect.getattr_static(owner, name) for name in names}
    for name, function in own.items():
        if not inspect.iscoroutinefunction(function):
            msg = f"holding: {name} of {owner!r} is not a coroutine function"
            raise TypeError(msg)
    for name, function in own.items():
        setattr(owner, name, _held(function))
    try:
        yield
    finally:
        for name, function in own.items():
            setattr(owner, name, function)


def _held(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def held(*args: Any, **kwargs: Any) -> Any:
        with outside():
            return await function(*args, **kwargs)

    return held


def virtual_clock() -> Callable[[], float] | None:
    """The virtual clock of the event loop that runs here; None if its clock is the real one."""
    if "trio" in sys.modules:
        import trio.lowlevel  # noqa: PLC0415 - trio is optional
        import trio.testing  # noqa: PLC0415

        if trio.lowlevel.in_trio_run():
            clock = trio.lowlevel.current_clock()
            return clock.current_time if isinstance(clock, trio.testing.MockClock) else None
    loop = asyncio.get_running_loop()
    return loop.time if isinstance(loop, VirtualTimeLoop) else None


def run_virtual(
    async_fn: Callable[[Unpack[Ts]], Awaitable[T]],
    *args: *Ts,
    backend: Literal["asyncio", "trio"] = "asyncio",
) -> T:
    """Run an async function to its end in virtual time, from 0 on, and return its result.

    On trio it is `trio.testing.MockClock(autojump_threshold=0)`, which knows of no threads: await these inside
    `with outside():`.

    Args:
        async_fn: The function.
        *args: Its arguments.
        backend: "asyncio" (default) or "trio", which then has to be installed.

    Raises:
        VirtualTimeError: See `VirtualTimeLoop`.
    """
    options: dict[str, Any]
    if backend == "trio":
        from trio.testing import MockClock  # noqa: PLC0415 - trio is optional

        options = {"clock": MockClock(autojump_threshold=0)}
    else:
        options = {"loop_factory": VirtualTimeLoop}
    return anyio.run(async_fn, *args, backend=backend, backend_options=options)
