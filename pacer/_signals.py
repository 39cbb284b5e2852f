"""Small things that coroutines of one process tell each other."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import anyio
import anyio.lowlevel
import attrs

from pacer.protocols import JobFacts, Observer

logger = logging.getLogger("pacer")


@attrs.define(eq=False)
class Pulse:
    """Something has changed: whoever took `next()` before the change is woken by `fire()`."""

    _event: anyio.Event | None = attrs.field(init=False, default=None)

    def next(self) -> anyio.Event:
        """The event that the next `fire` sets. Take it first, then look, then wait."""
        if self._event is None:
            self._event = anyio.Event()
        return self._event

    def fire(self) -> None:
        """Wake all that wait; costs next to nothing when nobody does."""
        if self._event is not None:
            self._event.set()
            self._event = None


@attrs.define(eq=False)
class Pulses:
    """A pulse for each of many things, which is kept only for as long as somebody waits for it."""

    _waiting: dict[str, list[anyio.Event]] = attrs.field(init=False, factory=dict)

    @contextmanager
    def waiting(self, name: str) -> Iterator[anyio.Event]:
        """The event that the next `fire` of this name sets."""
        event = anyio.Event()
        self._waiting.setdefault(name, []).append(event)
        try:
            yield event
        finally:
            self._waiting[name].remove(event)
            if not self._waiting[name]:
                del self._waiting[name]

    def fire(self, name: str) -> None:
        """Wake all that wait for it; costs next to nothing when nobody does."""
        if self._waiting:
            for event in self._waiting.get(name, ()):
                event.set()

    def fire_all(self) -> None:
        """Wake all that wait for anything."""
        for name in self._waiting:
            self.fire(name)


@attrs.define(eq=False)
class Turn:
    """A lock whose waiters are served in order, and which costs next to nothing when there are none."""

    _taken: bool = attrs.field(init=False, default=False)
    _waiters: deque[_Waiter] = attrs.field(init=False, factory=deque)

    async def take(self) -> bool:
        """Wait for the turn. If it returns True, `give` must be called; False: it was called out of the line."""
        if not self._taken:
            self._taken = True
            return True
        mine = _Waiter()
        self._waiters.append(mine)
        try:
            await mine.served.wait()
        except BaseException:
            if not mine.served.is_set():
                self._waiters.remove(mine)
            elif mine.has_turn:  # handed over and cancelled at the same time
                self.give()
            raise
        return mine.has_turn

    def give(self) -> None:
        """Hand the turn to the next in line."""
        if self._waiters:
            following = self._waiters.popleft()
            following.has_turn = True
            following.served.set()
        else:
            self._taken = False

    def call_out(self, count: int) -> None:
        """Let so many of the line go on without the turn, all at once."""
        for _ in range(min(count, len(self._waiters))):
            self._waiters.popleft().served.set()


@attrs.define(eq=False)
class _Waiter:
    served: anyio.Event = attrs.field(factory=anyio.Event)
    has_turn: bool = False


@attrs.define(eq=False)
class Subscription:
    """Events as they happen, for a reader that may be slow: at most `buffer` are kept, the oldest are lost first.

    Attributes:
        missed: How many events this reader has lost so far.
    """

    _buffer: deque[Any]
    _pulse: Pulse = attrs.field(init=False, factory=Pulse)
    _closed: bool = attrs.field(init=False, default=False)
    missed: int = attrs.field(init=False, default=0)

    def put(self, event: Any) -> None:
        """Keep an event for the reader; never waits."""
        self.missed += len(self._buffer) == self._buffer.maxlen
        self._buffer.append(event)
        self._pulse.fire()

    def close(self) -> None:
        """No more events: the reader's loop ends after those it has."""
        self._closed = True
        self._pulse.fire()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Any:
        while not self._buffer:
            if self._closed:
                raise StopAsyncIteration
            await self._pulse.next().wait()
        return self._buffer.popleft()


@attrs.define(eq=False)
class Announcer:
    """Tells observers and subscribers; an observer that raises is logged and harms nobody."""

    _observers: Sequence[Observer]
    _givers: Sequence[Any] = attrs.field(init=False)
    _companions: Sequence[Any] = attrs.field(init=False)
    _subscriptions: list[Subscription] = attrs.field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self._givers = [one for one in self._observers if callable(getattr(one, "headers", None))]
        self._companions = [one for one in self._observers if callable(getattr(one, "running", None))]

    def __call__(self, event: Any) -> None:
        """Tell everybody, in order of registration."""
        for observer in self._observers:
            try:
                observer(event)
            except Exception:
                logger.exception("observer %r raised on %s", observer, type(event).__name__)
        for subscription in self._subscriptions:
            subscription.put(event)

    def headers(self) -> Mapping[str, str] | None:
        """What the observers give along with a job that is being enqueued; None for nothing."""
        if not self._givers:
            return None
        found = dict[str, str]()
        for observer in self._givers:
            try:
                found.update((str(name), str(value)) for name, value in observer.headers().items())
            except Exception:
                logger.exception("observer %r raised in headers", observer)
        return found or None

    def running(self, job: JobFacts, headers: Mapping[str, str] | None) -> AbstractContextManager[object]:
        """What the observers want to be entered around the call of the job's function."""
        return _around(self._companions, job, headers or {}) if self._companions else _NOTHING_AROUND

    @contextmanager
    def subscribed(self, buffer: int) -> Iterator[Subscription]:
        """A subscription that is told of all events from now until the block ends."""
        subscription = Subscription(deque(maxlen=buffer))
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in self._subscriptions:
            subscription.close()


_NOTHING_AROUND = nullcontext()


@contextmanager
def _around(observers: Sequence[Any], job: JobFacts, headers: Mapping[str, str]) -> Iterator[None]:
    """Each observer's block around what follows. What goes wrong in one harms nobody, and it swallows no error."""
    entered = list[tuple[Any, AbstractContextManager[Any]]]()
    for observer in observers:
        try:
            block = observer.running(job, headers)
            block.__enter__()
        except Exception:
            logger.exception("observer %r raised in running", observer)
        else:
            entered.append((observer, block))
    error: tuple[Any, Any, Any] = (None, None, None)
    try:
        yield
    except BaseException:
        error = sys.exc_info()
        raise
    finally:
        for observer, block in reversed(entered):
            try:
                block.__exit__(*error)
            except Exception as raised:
                if raised is not error[1]:
                    logger.exception("observer %r raised in running", observer)


def cancellations() -> int:
    """How often asyncio has been told to cancel the current task; 0 on trio, where only scopes can."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return 0
    return 0 if task is None else task.cancelling()


async def pass_on_cancellation(error: BaseException, before: int) -> None:
    """Raise if the current task has been cancelled, whatever a job's function has made of that.

    Functions turn a cancellation into other errors: by a clean-up that fails, or by a group of tasks. Their jobs are
    unfinished or cancelled all the same, and not failed.
    """
    await anyio.lowlevel.checkpoint_if_cancelled()
    if cancellations() > before:  # the task itself was, as by a loop that shuts down, and not one of its scopes
        raise error if isinstance(error, asyncio.CancelledError) else asyncio.CancelledError
    if isinstance(error, BaseExceptionGroup) and not isinstance(error, Exception):  # an exit, say
        raise error
