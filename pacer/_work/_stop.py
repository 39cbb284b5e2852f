"""What ends a worker process: signals, and the time that it may take to obey."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
from typing import Any, Final

import anyio
import attrs

from pacer._work._errors import BY_SIGNAL, DONE, NOT_IN_ORDER

# What a process gets to hand back its jobs and to end, on top of what its jobs get.
LAST_SECONDS: Final = 5.0
_TOO_LATE: Final = (
    b"pacer worker: not everything ended in time, so the process does. "
    b"Jobs that were not handed back run again when their leases have run out.\n"
)


@attrs.define(eq=False)
class Stop:
    """The first signal ends the work in good order, a second one at once, a third one is as good as a kill.

    Handlers in Python rather than the event loop's: they run even if a job blocks the loop. They are never taken
    away, because signals count until the process has ended. Make it on the main thread, while the event loop runs.

    Attributes:
        grace: Seconds that running jobs get to end.
        work: Cancelled by the first signal.
        everything: Cancelled by the second.
        received: The signals so far.
        code: The exit code, should the time be over before the process has ended.
    """

    grace: float
    work: anyio.CancelScope = attrs.field(init=False, factory=anyio.CancelScope)
    everything: anyio.CancelScope = attrs.field(init=False, factory=anyio.CancelScope)
    received: list[int] = attrs.field(init=False, factory=list)
    code: int = attrs.field(init=False, default=NOT_IN_ORDER)
    _loop: asyncio.AbstractEventLoop = attrs.field(init=False, factory=asyncio.get_running_loop)
    _process: int = attrs.field(init=False, factory=os.getpid)

    def listen(self) -> None:
        """From now on."""
        signal.signal(signal.SIGINT, self._receive)
        signal.signal(signal.SIGTERM, self._receive)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
            signal.signal(signal.SIGHUP, self._receive)
        signal.signal(signal.SIGALRM, self._too_late)
        # When Python itself ends it takes the handlers away, and an alarm would kill the process.
        atexit.register(self._end_within, 0.0)

    def ended(self, *, in_order: bool) -> None:
        """The scheduler has stopped. What is left, such as threads that nobody can stop, gets a moment."""
        self.code = BY_SIGNAL + self.received[-1] if self.at_once else DONE if in_order else NOT_IN_ORDER
        self._end_within(LAST_SECONDS)

    @property
    def at_once(self) -> bool:
        """Whether a second signal has broken something off."""
        return self.everything.cancelled_caught

    @property
    def reason(self) -> str:
        """What has ended the work, for people."""
        if not self.received:
            return "drained"
        name = signal.Signals(self.received[-1 if self.at_once else 0]).name
        return f"stopped at once by {name}" if self.at_once else f"stopped by {name}"

    def _receive(self, number: int, _: Any) -> None:
        if os.getpid() != self._process:  # forked by a job: it has inherited the handlers, and is to die of signals
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.received.append(number)
        if len(self.received) > 2:
            os._exit(BY_SIGNAL + number)
        first = len(self.received) == 1
        self._end_within((self.grace if first else 0.0) + LAST_SECONDS)
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            self._loop.call_soon_threadsafe((self.work if first else self.everything).cancel)

    def _end_within(self, seconds: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds)

    def _too_late(self, *_: Any) -> None:
        if self.code == NOT_IN_ORDER:
            os.write(2, _TOO_LATE)
        os._exit(self.code)
