"""The stage on a server, as one worker takes jobs from it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pacer.stores._rows import decode
from pacer.stores._server._view import ServerView
from pacer.stores._stage import Staged


@attrs.frozen(eq=False)
class ServerStage:
    """What the server says of it, and what was taken from it in this transaction."""

    _view: ServerView

    def waits(self) -> bool:
        """Whether jobs lie there whose transactions are committed, as far as the server has been asked."""
        return self._view.staged

    def first(self, count: int) -> list[Staged]:
        """The first of them that have not been taken, by number."""
        view, taken = self._view, set(self._view.unstaged)
        rows = view.backend.staged(count + len(taken))
        left = [row for row in rows if row[0] not in taken]
        view.staged = bool(left)
        return [Staged(number, came_at + view.clock.offset, decode(row)) for number, came_at, row in left[:count]]

    def remove(self, numbers: Sequence[int]) -> None:
        """These are in the queue, if the transaction is committed."""
        self._view.unstaged += numbers
        self._view.staged = False

    def forget(self) -> None:
        """The server is asked anew in any case."""
