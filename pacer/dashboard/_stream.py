"""The readings as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress

import attrs
from sse_starlette import EventSourceResponse, ServerSentEvent

from pacer import NotRunningError, StoreError
from pacer.dashboard._reading import Reading, Watch, part_of
from pacer.fastapi._streaming import lasting_answer

READINGS = 300
"""So many are sent before the page has to ask anew, which asks `auth` again."""


def stream_readings(watch: Watch, job_id: str | None) -> EventSourceResponse:
    """An answer that lasts until the client leaves, the scheduler stops or the server does."""
    return lasting_answer(Telling(watch, job_id).messages())


@attrs.define(eq=False)
class Telling:
    """What one client is told: each reading, without what is as it was.

    A client that reads slowly gets the newest, and slows nobody down.
    """

    _watch: Watch
    _job_id: str | None = None
    _sent: dict[str, str] = attrs.field(init=False, factory=dict)

    async def messages(self) -> AsyncGenerator[ServerSentEvent]:
        """They end with `again` when the client is to ask anew, and without when the scheduler stops."""
        with suppress(NotRunningError), self._watch.looking(self._job_id):
            if self._job_id is not None:  # not of a reading that was made before somebody looked
                with suppress(StoreError):
                    yield self._message("job", await self._watch.job(self._job_id))
            number = 0
            for _ in range(READINGS):
                reading = await self._watch.after(number)
                number = reading.number
                for name, text in self._news(reading):
                    yield self._message(name, text)
            yield self._message("again", "{}")

    def _news(self, reading: Reading) -> Iterator[tuple[str, str]]:
        mine = None if self._job_id is None else part_of(self._job_id)
        for part, text in reading.parts.items():
            name = "job" if part == mine else part
            always = name in ("status", "problem")  # they say that the connection is alive
            if not name.startswith("job ") and (always or self._sent.get(name) != text):
                yield name, text

    def _message(self, name: str, text: str) -> ServerSentEvent:
        self._sent[name] = text
        return ServerSentEvent(event=name, data=text)
