"""The time of a database server, as far as it is known without asking."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import attrs

from pacer._wall import moment

# By so much two monotonic clocks may part in a second; quartz is ten times better.
_DRIFT: Final = 1e-4
# A server's clock that is behind what it said before by more than this was set back.
_SET_BACK: Final = 1.0


@attrs.define(eq=False)
class ServerClock:
    """The queue's time: the server's, plus what it has been set back by since.

    Between two answers of the server the local monotonic clock counts on, so the wall clock of this host does not
    matter. Of what was heard, the answer with the shortest round trip counts, since it leaves the least doubt; that
    doubt grows with time, so that a later one takes over. Written on the database's thread, read on the event loop.

    Args:
        given: Shows the time instead of the server; None for the server's.
    """

    given: Callable[[], float] | None
    offset: float = attrs.field(init=False, default=0.0)
    """Seconds by which the queue's time is ahead of the server's."""
    latest: float = attrs.field(init=False, default=0.0)
    """The queue's time never goes back behind this."""
    _ahead: float = attrs.field(init=False, default=0.0)
    _doubt: float = attrs.field(init=False, default=float("inf"))
    _heard_at: float = attrs.field(init=False, default=0.0)

    def heard(self, sent: float, server: float) -> None:
        """The server's time in an answer to what was sent at `sent` (of `time.monotonic`), which has just come."""
        got = time.monotonic()
        doubt = (got - sent) / 2
        ahead = server - (sent + got) / 2
        known = self._doubt + (got - self._heard_at) * _DRIFT
        if doubt <= known or abs(ahead - self._ahead) > doubt + known:  # more certain, or it was set
            self._ahead, self._doubt, self._heard_at = ahead, doubt, got

    def server(self) -> float:
        """The server's time now."""
        return time.monotonic() + self._ahead if self.given is None else self.given()

    def now(self) -> float:
        """The queue's time now."""
        return max(self.server() + self.offset, self.latest)

    def utc(self, at: float) -> datetime:
        """The server's time when the queue's was `at`."""
        return moment(at - self.offset)

    def tick(self, server: float) -> float:
        """The queue's time when the server's is this; from now on it is no earlier."""
        at = server + self.offset
        if at < self.latest - _SET_BACK:
            self.offset += self.latest - at
        self.latest = max(at, self.latest)
        return self.latest
