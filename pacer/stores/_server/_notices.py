"""What workers tell each other after a commit: who should look at the queue now, and which jobs have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import attrs

from pacer.stores._server._backend import Change, Place

# More names than these make a notice too long for some servers; then it says "some".
_NAMED: Final = 100
_LOOK, _CAME, _ENDED = "!", "+", "-"


class Notices(Protocol):
    """How the notices of a queue come to a process."""

    async def run(self, hear: Callable[[str], None], connected: Callable[[bool], None]) -> None:
        """Hand each notice over as it comes, on the event loop, until cancelled; connect again if that is needed.

        `connected` is told whenever it changes whether notices can come.
        """


@attrs.frozen
class Notice:
    """What was heard.

    Attributes:
        worker: Who said it.
        look: Something was decided by a person, or otherwise changes when the next job starts.
        came: A job waits that did not.
        ended: Jobs that have ended, or came back; None for some that are not named.
    """

    worker: str
    look: bool
    came: bool
    ended: Sequence[str] | None


def notice(worker: str, changes: Sequence[Change], steered: bool) -> str | None:
    """The text of what the others have to hear of these changes; None for nothing."""
    ended = [one.job.id for one in changes if one.was is not Place.NOWHERE and one.place is not Place.RUNNING]
    came = any(one.place in (Place.READY, Place.DELAYED) for one in changes)
    if not (steered or came or ended):
        return None
    kinds = (_LOOK if steered else "") + (_CAME if came else "") + (_ENDED if ended else "")
    return "\n".join([worker, kinds, *(ended if len(ended) <= _NAMED else [])])


STAGED: Final = f"\n{_CAME}"
"""The text of what workers have to hear of a transaction in which jobs were staged: it is none of a worker's."""


def heard(text: str) -> Notice:
    """What such a text says; a text that nobody understands says to look."""
    worker, _, rest = text.partition("\n")
    kinds, *ended = rest.split("\n")
    if not kinds or set(kinds) - {_LOOK, _CAME, _ENDED}:
        return Notice(worker, look=True, came=True, ended=None)
    return Notice(worker, _LOOK in kinds, _CAME in kinds, None if _ENDED in kinds and not ended else ended)
