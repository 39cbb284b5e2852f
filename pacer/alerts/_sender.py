"""Calls people's functions, which may raise and hang, and harms nobody by it."""

from __future__ import annotations

import inspect
import math
import re

import anyio
import anyio.to_thread
import attrs

from pacer import events
from pacer._runner import one_line
from pacer._signals import cancellations, pass_on_cancellation
from pacer._tasks import is_async
from pacer._worker import Worker
from pacer.alerts._alert import Alert, AlertMessage
from pacer.alerts._watch import Watch

# Errors of HTTP clients name the address, and whoever knows that of a webhook can write to it.
_URL = re.compile(r"(\b\w+://)(?:[^\s/'\"@]*@)?([^\s/'\"?#]*)[^\s'\"]*")
TRIES = 5
RETRY_IN = 30.0


@attrs.define(eq=False)
class Sender:
    """Sends the messages of one alert, one after the other."""

    _alert: Alert
    _worker: Worker
    _limiter: anyio.CapacityLimiter = attrs.field(init=False, factory=lambda: anyio.CapacityLimiter(math.inf))
    _in_thread: bool = attrs.field(init=False, default=False)
    """A thread is in the function. It cannot be stopped, so it may be there although nobody waits for it any more."""

    async def send(self, watch: Watch, message: AlertMessage) -> None:
        """Call the function until it has returned once, a few times at most."""
        alert, worker = self._alert, self._worker
        try:
            for left in reversed(range(TRIES)):
                problem = await self._call(message)
                now = worker.ledger.now()
                if problem is None:
                    worker.announce(events.AlertSent(now, alert.name, message.firing, message.text))
                    return
                worker.announce(events.AlertFailed(now, alert.name, problem, RETRY_IN if left else None))
                if left:
                    await anyio.sleep(RETRY_IN)
        finally:
            watch.sending = False

    async def _call(self, message: AlertMessage) -> str | None:
        """What went wrong, in one line; None if it returned."""
        before = cancellations()
        try:
            with anyio.move_on_after(self._alert.timeout):
                await self._call_function(message)
                return None
        except (Exception, BaseExceptionGroup, anyio.get_cancelled_exc_class()) as error:
            await pass_on_cancellation(error, before)
            return _URL.sub(r"\1\2...", one_line(error))
        return f"did not return within {self._alert.timeout:g} s"

    async def _call_function(self, message: AlertMessage) -> None:
        call = self._alert.call
        if is_async(call):
            await call(message)  # type: ignore[misc]  # its colour was looked at
            return

        if self._in_thread:
            msg = "the call before this one has not returned yet"
            raise TimeoutError(msg)

        def run() -> tuple[object]:
            self._in_thread = True
            try:
                return (call(message),)
            finally:
                self._in_thread = False

        (answer,) = await anyio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=self._limiter)
        if inspect.isawaitable(answer):  # of a lambda around a coroutine function
            await answer
