"""A queue's events as a stream for browsers."""

from __future__ import annotations

import json
import re
from typing import Any

import anyio
import attrs
from anyio.streams.memory import MemoryObjectSendStream
from sse_starlette import EventSourceResponse, ServerSentEvent

from pacer import NotRunningError, Scheduler, StoreError
from pacer.events import PartMisbehaved, StoreFailed
from pacer.fastapi._models import StatusView

# For those who run the server, not for its clients: they may name paths and internals.
_FOR_OPERATORS = (PartMisbehaved, StoreFailed)
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def stream_events(scheduler: Scheduler, status_interval: float, buffer: int) -> EventSourceResponse:
    """An answer that lasts until the client leaves or the server stops.

    The scheduler keeps at most `buffer` events for it and never waits for it. sse-starlette ends the answer when
    uvicorn is told to stop, which would otherwise wait for the client.
    """
    scheduler.utc(0.0)  # raises NotRunningError while the answer can still be another one
    send, receive = anyio.create_memory_object_stream[ServerSentEvent](0)

    async def produce() -> None:
        async with send, anyio.create_task_group() as task_group:
            with scheduler.subscribe(buffer) as subscription:
                task_group.start_soon(_send_status, scheduler, send, status_interval)
                missed = 0
                async for event in subscription:
                    if subscription.missed > missed:
                        missed = subscription.missed
                        await send.send(_message("missed", {"total": missed}))
                    if not isinstance(event, _FOR_OPERATORS):
                        await send.send(_of_event(scheduler, event))
            task_group.cancel_scope.cancel()

    return EventSourceResponse(receive, data_sender_callable=produce)


async def _send_status(
    scheduler: Scheduler, send: MemoryObjectSendStream[ServerSentEvent], status_interval: float
) -> None:
    while True:
        try:
            status = StatusView.of(await scheduler.status())
        except StoreError:
            pass  # it is asked again in a moment
        except NotRunningError:
            return
        else:
            await send.send(_message("status", status.model_dump(mode="json")))
        await anyio.sleep(status_interval)


def _of_event(scheduler: Scheduler, event: Any) -> ServerSentEvent:
    facts = attrs.asdict(event)
    facts["at"] = scheduler.utc(event.at).isoformat()
    return _message(_WORD_START.sub("_", type(event).__name__).lower(), facts)


def _message(name: str, data: dict[str, Any]) -> ServerSentEvent:
    return ServerSentEvent(event=name, data=json.dumps(data, ensure_ascii=False))
