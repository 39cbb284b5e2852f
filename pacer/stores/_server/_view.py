"""What a worker keeps in memory of its queue on a server: valid until somebody else has committed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from pacer._errors import ReadOnlyStoreError
from pacer._job import JobRecord
from pacer._rules import Rules
from pacer._snapshot import LOOK_AHEAD, QueueState, Snapshot
from pacer.protocols import JobFacts
from pacer.stores._lazily import Lazily
from pacer.stores._parts import Tenure
from pacer.stores._rows import FactsOnDemand, Row, decode
from pacer.stores._server._backend import Backend, Content, Head, Loaded, Place, Writing
from pacer.stores._server._clock import ServerClock
from pacer.stores._server._front import Front, facts_in, row_in
from pacer.stores._server._notices import notice
from pacer.stores._server._work import WAITING, Moment, Work, WorkersAtWork
from pacer.stores._state import decode_state, encode_state, encoded, not_ours


@attrs.define(eq=False)
class ServerView:
    """The queue's head, its running jobs and the front of its waiting ones, with what one transaction has changed.

    Attributes:
        quiet: How many transactions in a row have found that nobody else had committed.
        commit: The number of this worker's last attempt at a commit.
        committed: The number of the last one that has come off, as far as the server has been asked.
        fresh: Whether the server has been asked in this transaction.
        doubted: Whether others have been heard since.
        staged: Whether jobs lay in the stage when the server was last asked.
        unstaged: Numbers of those that have been taken in.
    """

    backend: Backend
    given: Rules
    """The rules for a clock that is Unix time, which the queue's may not be."""
    clock: ServerClock
    worker: str
    tenure: Tenure
    takeover: bool
    moment: Moment = attrs.field(init=False, factory=Moment)
    work: Work = attrs.field(init=False)
    workers: WorkersAtWork = attrs.field(init=False)
    _rules: Rules = attrs.field(init=False)
    state: QueueState = attrs.field(init=False)
    ready: int = attrs.field(init=False, default=0)
    delayed: int = attrs.field(init=False, default=0)
    roster: int = attrs.field(init=False, default=0)
    dirty: bool = attrs.field(init=False, default=False)
    quiet: int = attrs.field(init=False, default=0)
    commit: int = attrs.field(init=False, default=0)
    committed: int = attrs.field(init=False, default=0)
    fresh: bool = attrs.field(init=False, default=False)
    doubted: bool = attrs.field(init=False, default=False)
    staged: bool = attrs.field(init=False, default=False)
    unstaged: list[int] = attrs.field(init=False, factory=list)
    _entered: bool = attrs.field(init=False, default=False)
    _parts: str = attrs.field(init=False, default="")
    _kept: dict[str, Any] | None = attrs.field(init=False, default=None)
    """Learned states in which a worker has no say whose queue was taken over."""
    _steered: bool = attrs.field(init=False, default=False)
    _head: Head | None = attrs.field(init=False, default=None)
    _offset: float = attrs.field(init=False, default=0.0)
    _seq: int = attrs.field(init=False, default=0)
    _arrivals: int = attrs.field(init=False, default=0)
    _front: Front = attrs.field(init=False)
    _next_due: float | None = attrs.field(init=False, default=None)
    _next_expiry: float = attrs.field(init=False, default=math.inf)
    _unsure: bool = attrs.field(init=False, default=False)
    """Whether the next times at which a job is due or expires may be later than that."""
    _people: int = attrs.field(init=False, default=0)
    _only_looks: bool = attrs.field(init=False, default=False)
    """It is a guest that may not write: some jobs that have become ready are delayed ones for it until others look."""
    _written: QueueState | None = attrs.field(init=False, default=None)
    _state_text: str = attrs.field(init=False, default="")
    _next_text: str = attrs.field(init=False, default="")

    def __attrs_post_init__(self) -> None:
        self._rules = self.given
        self.work = Work(self.backend, self.moment)
        self.workers = WorkersAtWork(self.backend)
        self._front = Front(self.backend)

    # -- transactions ------------------------------------------------------------------------------------------------

    @property
    def rules(self) -> Rules:
        """On the queue's clock, with the numbers that a person has set."""
        return self._rules.tuned(self.state)

    @property
    def guest(self) -> bool:
        """Whether it was opened by one."""
        return self.tenure.guest

    @property
    def now(self) -> float:
        """The time, the same during one transaction."""
        return self.moment.now

    @property
    def running(self) -> dict[str, JobRecord]:
        """The running jobs by id."""
        return self.moment.running.by_id

    def create(self) -> None:
        """Make the queue, if there is none with this name. Raises UnknownQueueError for a guest."""
        if self.guest:
            self.backend.create(None)
            return
        state = encode_state(self.given.initial())
        self.backend.create(Head(version=0, state=state, parts=self.tenure.text))

    @property
    def version(self) -> int | None:
        """The number of the last commit that is known; None if nothing is."""
        return None if self._head is None else self._head.version

    def look(self, *, lock: bool) -> bool:
        """Read what others have changed. Returns whether they had."""
        sent, self.doubted = time.monotonic(), False
        version = self.version
        loaded = self.backend.load(None if self._unsure else version, lock)
        self.clock.heard(sent, loaded.time)
        self.fresh, self.staged, self.committed = True, loaded.staged, loaded.commit
        self.commit = max(self.commit, loaded.commit)
        self._entered |= loaded.commit > 0  # the answer may have been lost
        known = loaded.head.version == version
        if loaded.content is not None:
            self._take(loaded, loaded.content)
        self.quiet = self.quiet + 1 if known else 0
        self._tick(loaded.time if self.clock.given is None else self.clock.given())
        return not known or loaded.staged

    def doubt(self) -> None:
        """Others have done something: the next transaction looks first. Called on any thread."""
        self.doubted = True

    def _take(self, loaded: Loaded, content: Content) -> None:
        head = self._head = loaded.head
        self._check_parts(head)
        self.ready, self.delayed, self.roster = head.ready, head.delayed, head.roster
        self._seq, self._arrivals = head.seq, head.arrivals
        self.clock.offset = head.offset
        self.clock.latest = max(self.clock.latest, head.at)
        if head.state != self._state_text or self._written is None:
            self._state_text, self._written = head.state, decode_state(head.state, head.parts, self.given)
        self.state = self._written
        self.moment.running.reset(map(decode, content.running))
        self._front.reset(content)
        self._unsure, self._next_due = False, content.next_due
        self._next_expiry = math.inf if content.next_expiry is None else content.next_expiry
        self._people = content.people

    def _check_parts(self, head: Head) -> None:
        """Raises PartsDifferError if this worker has not come in yet, and may not."""
        self._parts = head.parts
        if not self._entered:
            others = [until for name, until, _ in self.backend.workers() if name != self.worker]
            now = max(self.clock.server() + head.offset, head.at)
            self.tenure.check(head.parts, max(others, default=-math.inf) - now, takeover=self.takeover)
            if not self.guest:
                self._parts = self.tenure.text
        else:
            self.tenure.look(head.parts)
        self._kept = not_ours(head.state, head.parts, self.given) if self.retired else None

    @property
    def retired(self) -> bool:
        """Whether others have taken the queue over with other strategies or settings."""
        return self.tenure.retired

    def check_in_charge(self) -> None:
        """Raises TakenOverError if they have."""
        self.tenure.check_in_charge()

    def _tick(self, server: float) -> None:
        self.moment.now = self.clock.tick(server)
        if self.clock.offset != self._offset:
            self._offset = self.clock.offset
            self._rules = self.given.on_clock(-self._offset)

    def begin(self, writes: bool) -> bool:
        """A transaction has begun; `look` comes before it, unless what is known is taken to be true.

        Delayed jobs that are due become ready first, in a commit of their own. Then the time stands still: no job may
        become due that has not been made ready.
        """
        if not self.fresh:
            self._tick(self.clock.server())
        now = self.now
        while self._next_due is not None and self._next_due <= now and not self._only_looks:
            try:
                self.backend.promote(now)
            except ReadOnlyStoreError:
                if not self.guest:
                    raise
                self._only_looks = True
                return False
            self.look(lock=False)
            assert self._head is not None  # noqa: S101 - it has just been read
            now = self.moment.now = max(now, self._head.at)
        return False

    def save(self) -> None:
        """Make the state text."""
        same_parts = self._head is not None and self._head.parts == self._parts
        if self.state is self._written and self._kept is None and same_parts:
            self._next_text = self._state_text
            return
        self.state, self._next_text = encoded(self.state, self._kept, self._written, self.rules)

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return self.dirty or bool(self.work.changes) or bool(self.workers.changes) or bool(self.unstaged)

    def write(self) -> bool:
        """Commit what was changed. False if somebody else has committed since, or the clock was not as it seemed."""
        head = self._new_head()
        self.commit += 1
        changes = self.work.changes
        return self.backend.write(
            Writing(
                head=head,
                time=None if self.fresh or self.clock.given is not None else self.clock.server(),
                worker=self.worker,
                commit=self.commit,
                changes=changes,
                workers=self.workers.changes,
                unstage=tuple(self.unstaged),
                minutes=tuple(self.work.minutes_over),
                notice=None
                if self._people < (1 if self.guest else 2)
                else notice(self.worker, changes, self._steered or self._makes_room),
            )
        )

    @property
    def _makes_room(self) -> bool:
        """Whether there is room now that others may be waiting for: of starts they do not hear otherwise."""
        head, queue = self._head, self.rules.queue
        assert head is not None  # noqa: S101 - look() has been called
        return queue.wait_timeout != 0 and self.waiting < queue.capacity <= head.ready + head.delayed

    def _new_head(self) -> Head:
        assert self._head is not None  # noqa: S101 - look() has been called
        return Head(
            version=self._head.version + 1,
            state=self._next_text,
            parts=self._parts,
            offset=self.clock.offset,
            at=self.now,
            ready=self.ready,
            delayed=self.delayed,
            seq=self._seq,
            arrivals=self._arrivals,
            roster=self.roster,
        )

    def steered(self) -> None:
        """A person has changed when jobs may start."""
        self.dirty = self._steered = True

    def written(self) -> None:
        """What was changed is committed, and nobody else has come in between."""
        if not self._entered and not self.guest:
            self._people += 1  # whoever was counted, this worker was not among them
        self._head, self._written, self._entered = self._new_head(), self.state, True
        self._state_text = self._next_text
        self.committed = self.commit
        self._front.written()
        self.end()

    def forget(self) -> None:
        """What is in memory may be wrong."""
        self._head, self.quiet = None, 0
        self.end()

    def end(self) -> None:
        """The transaction is over."""
        self.dirty = self.fresh = self._steered = False
        self.work.clear()
        self.workers.changes, self.unstaged = {}, []

    # -- what is running ---------------------------------------------------------------------------------------------

    def add_running(self, record: JobRecord) -> None:
        """A job has been started."""
        self.moment.running.add(record)
        self.dirty = True

    def remove_running(self, record: JobRecord) -> None:
        """A job runs no more."""
        self.moment.running.remove(record)
        self.dirty = True

    # -- what waits --------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self.ready + self.delayed

    def next_seq(self) -> int:
        """The number of a new job."""
        self._seq += 1
        self.dirty = True
        return self._seq

    def next_arrival(self) -> int:
        """The place in order of arrival of a job that comes into the queue."""
        self._arrivals += 1
        self.dirty = True
        return self._arrivals

    def take_back_numbers(self) -> None:
        """The job for which both were taken last does not come in after all."""
        self._seq -= 1
        self._arrivals -= 1

    def added(self, job: JobRecord, ready_at: float) -> None:
        """A waiting job has been written: keep up with it."""
        self.dirty = True
        change = self.work.changed(job.id)
        assert change is not None  # noqa: S101 - it was written just now
        if job.expires_at is not None:
            self._next_expiry = min(self._next_expiry, job.expires_at)
        if change.place is Place.DELAYED:
            self.delayed += 1
            self._next_due = ready_at if self._next_due is None else min(self._next_due, ready_at)
        else:
            self.ready += 1
            self._front.add(change.job)

    def removed(self, job: JobRecord, delayed: bool) -> None:
        """A waiting job has left."""
        self.dirty = True
        self._unsure |= delayed or job.expires_at is not None
        if delayed:
            self.delayed -= 1
        else:
            self.ready -= 1
            self._front.remove(job)

    def next_ready_at(self) -> float | None:
        """When the first of the delayed jobs becomes ready, or a time before; None if there is none."""
        return self._next_due if self.delayed else None

    def next_expiry(self) -> float:
        """When the first waiting job expires, or a time before; `inf` if all may wait for ever."""
        return self._next_expiry

    def in_order(self) -> Iterator[Row]:
        """Rows of the ready jobs, first to last. Jobs may be removed between two steps, not added."""
        return self._front.in_order(self.ready)

    def position(self, sort_key: float, seq: int, ready_at: float, delayed: bool) -> int:
        """1-based place of a waiting job; delayed jobs stand behind all ready ones."""
        if not delayed:
            return min(self._front.ahead_of((sort_key, seq), self.ready) + 1, self.ready)
        earlier = self.backend.delayed_before(ready_at, seq)
        for change in self.work.changes:
            before = (change.job.ready_at, change.job.seq) < (ready_at, seq)
            earlier += before and change.place is Place.DELAYED
            earlier -= change.was is Place.DELAYED and change.place not in WAITING and before
        return self.ready + earlier + 1

    def place_of(self, sort_key: float) -> int:
        """Where a new job with this key would come to stand, if it is ready at once."""
        return self._front.ahead_of((sort_key, self._seq + 1), self.ready) + 1

    # -- for forecasts -----------------------------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The queue now, with as many of the ready jobs as are known anyway."""
        return self._snapshot(None, Lazily(self._front.first(self.ready), facts_in))

    def named_snapshot(self, oldest_at: float | None, count: int) -> Snapshot:
        """The same with so many of the ready jobs."""
        return self._snapshot(oldest_at, Lazily(self._front.named(count, self.ready) if count else [], facts_in))

    def passing_snapshot(self) -> Snapshot:
        """The same for a forecast that is made in this transaction: it may not look far."""
        return self._snapshot(None, FactsOnDemand(self._first_ready, min(self.ready, LOOK_AHEAD)))

    def _first_ready(self, count: int) -> list[Row]:
        return [row_in(entry) for entry in self._front.named(count, self.ready)]

    def _snapshot(self, oldest_at: float | None, ahead: Sequence[JobFacts]) -> Snapshot:
        running = self.moment.running.seen(self.now)
        return Snapshot(self.now, self.state, self.waiting, running, oldest_at, ahead)
