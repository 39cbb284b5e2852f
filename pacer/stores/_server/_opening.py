"""A queue on a server, opened by one worker: connected, and told of what the others do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Final

import attrs

from pacer._rules import Rules
from pacer.stores._ledger import Desk, StoredLedger, Terms, opened
from pacer.stores._parts import Tenure
from pacer.stores._queue import StoredQueue
from pacer.stores._server._backend import Backend
from pacer.stores._server._clock import ServerClock
from pacer.stores._server._notices import Notices, heard
from pacer.stores._server._stage import ServerStage
from pacer.stores._server._thread import ServerThread
from pacer.stores._server._view import ServerView
from pacer.stores._stage import Door

# As long as no notices come, others are asked this often.
_POLL_WITHOUT: Final = 0.5
# Seconds for which it does not matter that a job of another kind could start sooner.
_SOON: Final = 1.0


@attrs.define(eq=False)
class Hearing:
    """What a store says of its ledgers, with what it depends on whether notices come."""

    _terms: Terms
    _view: ServerView
    _guest: bool = False
    """Others do not know that it listens: one that is alone says nothing."""
    connected: bool = attrs.field(init=False, default=False)
    _ledger: StoredLedger | None = attrs.field(init=False, default=None)

    @property
    def lease(self) -> float:
        """The store's."""
        return self._terms.lease

    @property
    def keep_finished_for(self) -> float:
        """The store's."""
        return self._terms.keep_finished_for

    @property
    def poll(self) -> float:
        """The store's, which is long, because notices come."""
        heard = self.connected and not self._guest
        return self._terms.poll if heard else min(self._terms.poll, _POLL_WITHOUT)

    def connect(self, ledger: StoredLedger) -> None:
        """The ledger whose queue it is."""
        self._ledger = ledger

    def connection(self, there: bool) -> None:
        """Notices come from now on, or do not; what came in between was missed."""
        self.connected = there
        if self._ledger is not None:
            self._ledger.changed()
            self._ledger.ended(None)

    def hear(self, text: str) -> None:
        """A notice has come."""
        ledger, notice = self._ledger, heard(text)
        if ledger is None or notice.worker == ledger.worker:
            return
        self._view.doubt()
        if notice.ended is None:
            ledger.ended(None)
        for job_id in notice.ended or ():
            ledger.ended(job_id)
        if notice.look or not self._starts_soon(ledger):
            ledger.changed()

    @staticmethod
    def _starts_soon(ledger: StoredLedger) -> bool:
        """Whether a job waits for a time that was named: others that come or end hardly ever make that sooner."""
        upcoming = ledger.next
        if upcoming is None or (upcoming.on_event and not upcoming.by_hand) or upcoming.lane:
            return False
        return upcoming.at - ledger.now() < _SOON


@asynccontextmanager
async def opened_on_server(
    backend: Backend,
    notices: Notices | None,
    terms: Terms,
    queue: str,
    rules: Rules,
    worker: str,
    *,
    clock: Callable[[], float] | None = None,
    ahead: float = 0.0,
    takeover: bool = False,
    guest: bool = False,
    door: Door | None = None,
) -> AsyncGenerator[StoredLedger]:
    """A ledger on the server that this backend connects to.

    Args:
        backend: Not connected yet.
        notices: How the others are heard; None: they are polled.
        terms: The store.
        queue: The name.
        rules: The worker's.
        worker: Its name.
        clock: Shows the time instead of the server.
        ahead: Seconds ahead of the clock for which start times are given out.
        takeover: Whether the queue may be taken from others with other settings.
        guest: Whether it is no worker that opens it.
        door: Where jobs are enqueued in transactions of others.
    """
    view = ServerView(backend, rules, ServerClock(clock), worker, Tenure(queue, rules, guest=guest), takeover)
    stored = StoredQueue(view.work, view, worker, terms.lease, ahead=ahead)
    desk = Desk.of(stored, view.workers, view.clock, ServerStage(view), door)
    hearing = Hearing(terms, view, guest)
    async with opened(ServerThread(backend, view, desk.expiry), lambda: desk, hearing) as ledger:
        desk.risks = backend.risks
        hearing.connect(ledger)
        listening = None if notices is None else asyncio.ensure_future(notices.run(hearing.hear, hearing.connection))
        try:
            yield ledger
        finally:
            if listening is not None:
                listening.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await listening
