"""A queue's events as a stream for browsers."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.lowlevel
import attrs
from sse_starlette import EventSourceResponse, ServerSentEvent

from pacer import NotRunningError, Scheduler, StoreError, Subscription
from pacer.events import AlertFailed, AlertSent, PartMisbehaved, QueueTakenOver, StoreFailed, TicksMissed
from pacer.fastapi._models import StatusView
from pacer.fastapi._streaming import lasting_answer

# For those who run the server, not for its clients: they may name paths and internals.
_FOR_OPERATORS = (AlertFailed, AlertSent, PartMisbehaved, QueueTakenOver, StoreFailed, TicksMissed)
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def stream_events(scheduler: Scheduler, status_interval: float, buffer: int) -> EventSourceResponse:
    """An answer that lasts until the client leaves, the scheduler stops or the server does.

    The scheduler keeps at most `buffer` events for it and never waits for it.

    Raises:
        NotRunningError: Now, while the answer can still be another one.
    """
    return lasting_answer(Telling(scheduler, scheduler.utc(0.0), status_interval, buffer).messages())


@attrs.frozen(eq=False)
class Telling:
    """What one client is told."""

    _scheduler: Scheduler
    _epoch: datetime
    _status_interval: float
    _buffer: int

    async def messages(self) -> AsyncGenerator[ServerSentEvent]:
        """A status now and at every interval, and all events between."""
        with suppress(NotRunningError), self._scheduler.subscribe(self._buffer) as events:
            missed = 0
            while True:
                with suppress(StoreError):  # it is asked again in a moment
                    status = await self._scheduler.status()
                    yield _message("status", StatusView.of(status).model_dump(mode="json"))
                due = anyio.move_on_after(self._status_interval).deadline
                while (event := await _next(events, due)) is not _DUE:
                    if event is None:
                        return
                    if events.missed > missed:
                        missed = events.missed
                        yield _message("missed", {"total": missed})
                    if not isinstance(event, _FOR_OPERATORS):
                        yield self._of_event(event)

    def _of_event(self, event: Any) -> ServerSentEvent:
        facts = attrs.asdict(event)
        # The last events come after the scheduler has stopped, when it can be asked no more.
        facts["at"] = (self._epoch + timedelta(seconds=event.at)).isoformat()
        return _message(_WORD_START.sub("_", type(event).__name__).lower(), facts)


_DUE = object()


async def _next(events: Subscription, due: float) -> Any:
    """The next event, None after the last, or `_DUE` when it is time for another status."""
    with anyio.CancelScope(deadline=due):
        # Events that wait already must not keep the deadline from being noticed.
        await anyio.lowlevel.checkpoint()
        return await anext(events, None)
    return _DUE


def _message(name: str, data: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=json.dumps(data, ensure_ascii=False))
