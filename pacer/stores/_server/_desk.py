"""All that works on one queue on a server, put together."""

from __future__ import annotations

from collections.abc import Callable

from pacer._rules import Rules
from pacer.stores._care import Care
from pacer.stores._ledger import Desk
from pacer.stores._parts import Tenure
from pacer.stores._queue import StoredQueue
from pacer.stores._server._backend import Backend
from pacer.stores._server._clock import ServerClock
from pacer.stores._server._thread import ServerThread
from pacer.stores._server._view import ServerView


def server_desk(
    backend: Backend,
    queue: str,
    rules: Rules,
    worker: str,
    *,
    clock: Callable[[], float] | None,
    lease: float,
    takeover: bool,
) -> tuple[ServerThread, Desk]:
    """The thread for this backend, and what works there once it is open. `clock` stands in for the server's."""
    view = ServerView(backend, rules, ServerClock(clock), worker, Tenure(queue, rules), takeover)
    stored = StoredQueue(view.work, view, worker, lease)
    desk = Desk.of(stored, Care(view.workers, stored), view.clock)
    return ServerThread(backend, view, desk.expiry), desk
