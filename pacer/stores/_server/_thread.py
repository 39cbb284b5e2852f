"""The thread on which a server is used: operations that come together are committed together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import attrs

from pacer._errors import PacerError, StoreError, StoreUnavailableError, TakenOverError
from pacer.stores._expiry import Doing, Expiry
from pacer.stores._group import Operation
from pacer.stores._server._backend import Backend, JobExistsError
from pacer.stores._server._view import ServerView

Values = list[tuple[Operation[Any], Any]]


@attrs.frozen
class _Sent:
    """A commit that the server may have made.

    Attributes:
        values: What came of the operations.
        doing: What else it has done.
        version: It is made only if this is still the queue's version.
    """

    values: Values
    doing: Doing
    version: int | None


# After so many looks at a queue that nobody else has changed, the next look is left out.
_QUIET: Final = 3
# For so many transactions after a conflict, the lock is asked for at once.
_BUSY: Final = 8
# A server that has not said whether it has made a commit is asked for so long.
_PATIENCE: Final = 5.0
_ASK_AGAIN: Final = 0.1


@attrs.define(eq=False)
class ServerThread:
    """Runs operations on a queue in memory, and commits what they have changed there if nobody else has meanwhile.

    If somebody has, they are run again on what is true now: with the lock, so that this ends.
    """

    backend: Backend
    view: ServerView
    unit: Expiry
    _executor: ThreadPoolExecutor = attrs.field(init=False)
    _running: asyncio.Future[None] | None = attrs.field(init=False, default=None)
    _busy: int = attrs.field(init=False, default=0)
    _sent: dict[int, _Sent] = attrs.field(init=False, factory=dict)
    """Commits that the server has not answered, by number."""
    _given_up: dict[int, _Sent] = attrs.field(init=False, factory=dict)
    """Those of them for which nobody waits any more, as long as they may still arrive."""

    def __attrs_post_init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="pacer")

    # -- the event loop's side ---------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Of the database, for people."""
        return self.backend.name

    async def open(self) -> None:
        """Connect, and make the queue if it is new."""
        try:
            await self._on_thread(self._connect)
        except BaseException:
            self._executor.shutdown(wait=False)
            raise

    async def run(self, batch: Sequence[Operation[Any]]) -> None:
        """All of it in one commit."""
        if batch:
            self._running = self._on_thread(lambda: self._perform(batch))
        if self._running is not None:
            await asyncio.shield(self._running)

    async def close(self) -> None:
        """Disconnect."""
        await self._on_thread(self.backend.close)
        self._executor.shutdown(wait=False)

    def _on_thread(self, work: Callable[[], None]) -> asyncio.Future[None]:
        return asyncio.get_running_loop().run_in_executor(self._executor, work)

    # -- the thread's side -------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        try:
            self.backend.connect()
            self.view.create()
            self.view.look(lock=False)
            self.view.end()
        except BaseException:
            self.backend.close()
            raise

    def _perform(self, batch: Sequence[Operation[Any]]) -> None:
        """All of it together; if that fails, each by itself."""
        try:
            self._insist(batch)
        except StoreUnavailableError as error:
            self._roll_back()
            for one in batch:
                one.error = error
        except Exception as error:
            self._roll_back()
            if len(batch) == 1:
                batch[0].error = error
            else:
                for one in batch:
                    self._perform([one])

    def _insist(self, batch: Sequence[Operation[Any]]) -> None:
        """Until it is committed. Raises what went wrong, unless an operation merely refused."""
        lock, deadline = False, time.monotonic() + _PATIENCE
        self._sent = {}
        while True:
            try:
                if self._attempt(batch, lock):
                    return
                self._busy = _BUSY
            except JobExistsError:
                del self._sent[self.view.commit]
                self.unit.forget()
                self.view.work.checking = True
            except StoreUnavailableError as error:
                # The server is away, which the caller may hear of at once; or it has not answered to a commit.
                if not self._sent:
                    raise
                if time.monotonic() > deadline:
                    self._given_up.update(self._sent)
                    raise _unanswered(error) from error
                self.unit.forget()
                time.sleep(_ASK_AGAIN)
                continue
            lock = True

    def _attempt(self, batch: Sequence[Operation[Any]], lock: bool) -> bool:
        """Returns False if somebody else has committed meanwhile."""
        view, writes = self.view, any(one.writes for one in batch)
        if lock or not writes or view.doubted or view.quiet < _QUIET or self._sent or self._given_up:
            view.look(lock=writes and (lock or self._busy > 0))
            self._busy = max(0, self._busy - 1)
        if view.committed in self._sent:
            made = self._sent[view.committed]  # the answer was lost, not the commit
            self._deliver(made.values, made.doing)
            self._given_up = {}
            view.forget()
            self.backend.unlock()
            return True
        if self.unit.begin(writes):
            self.unit.begin(True)  # which is as good: nothing has been written so far
        try:
            values = self._run([*self._undone(), *batch])
        except StoreError:
            raise
        except Exception:
            # What is in memory and what was read since may not fit together. That is no fault of the operation.
            known = view.version
            view.look(lock=False)
            if view.version == known:
                raise
            self.unit.forget()
            return False
        if not view.changed:
            return self._end_unchanged(values)
        self.unit.save()
        self._sent[view.commit + 1] = _Sent(values, self.unit.doing, view.version)
        if not view.write():
            del self._sent[view.commit]
            self.unit.forget()
            return False
        self._deliver(values)
        self._forget_given_up()
        self._given_up = {}
        view.written()
        return True

    def _undone(self) -> list[Operation[Any]]:
        """What makes good for commits that turn out to have been made after all when their callers were gone."""
        made = self._given_up.get(self.view.committed)
        undone = [] if made is None else [one.undo(value) for one, value in made.values if one.undo is not None]
        return [one for one in undone if one is not None]

    def _forget_given_up(self) -> None:
        """Those that have been made are made good for, or need not be; others have no place any more."""
        made, version = self.view.committed, self.view.version
        if made in self._given_up:
            self.unit.committed(self._given_up[made].doing)
        self._given_up = {
            number: one for number, one in self._given_up.items() if one.version == version and number != made
        }

    def _end_unchanged(self, values: Values) -> bool:
        """There is nothing to commit; then what was taken to be true has to be."""
        view = self.view
        if not view.fresh and view.look(lock=False):
            self.unit.forget()
            return False
        self.backend.unlock()
        self._deliver(values)
        self._forget_given_up()
        view.end()
        return True

    def _run(self, batch: Sequence[Operation[Any]]) -> Values:
        values: Values = []
        for one in batch:
            if one.withdrawn:
                continue
            try:
                values.append((one, one.run()))
            except PacerError as refusal:
                if isinstance(refusal, StoreError) and not isinstance(refusal, TakenOverError):
                    raise  # it is no refusal: the server has failed
                one.error = refusal
        return values

    def _deliver(self, values: Values, doing: Doing | None = None) -> None:
        self._sent = {}
        self.view.work.checking = False
        self.unit.committed(doing)
        for one, value in values:
            one.value, one.done, one.error = value, True, None

    def _roll_back(self) -> None:
        self._sent = {}
        self.view.work.checking = False
        self.unit.forget()
        try:
            self.backend.unlock()
        except StoreError:
            return  # the connection is gone, and the lock with it


def _unanswered(error: StoreUnavailableError) -> StoreUnavailableError:
    return StoreUnavailableError(
        f"{error} It is not known whether the last change was made; ask for the job, or try again with its job_id."
    )
