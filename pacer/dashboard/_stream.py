"""The readings as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress

from sse_starlette import ServerSentEvent

from pacer import NotRunningError, StoreError
from pacer.dashboard._reading import Reading, Watch, part_of

READINGS = 1200
"""So many are sent before the page has to ask anew, which asks `auth` again."""


async def live(watch: Watch, job_id: str | None) -> AsyncGenerator[ServerSentEvent]:
    """Each reading, without what is as it was. A client that reads slowly gets the newest, and slows nobody down.

    It ends with `again` when the client is to ask anew, and without when the scheduler has stopped.
    """
    sent: dict[str, str] = {}
    with suppress(NotRunningError), watch.looking(job_id):
        if job_id is not None:  # not of a reading that was made before somebody looked
            with suppress(StoreError):
                sent["job"] = await watch.job(job_id)
                yield ServerSentEvent(event="job", data=sent["job"])
        reading = Reading(0, {})
        for _ in range(READINGS):
            reading = await watch.after(reading.number)
            for name, text in _of_interest(reading, job_id):
                if name in ("status", "problem") or sent.get(name) != text:
                    sent[name] = text
                    yield ServerSentEvent(event=name, data=text)
        yield ServerSentEvent(event="again", data="{}")


def _of_interest(reading: Reading, job_id: str | None) -> Iterator[tuple[str, str]]:
    mine = None if job_id is None else part_of(job_id)
    for name, text in reading.parts.items():
        if name == mine:
            yield "job", text
        elif not name.startswith("job "):
            yield name, text
