"""What a worker keeps in memory of its queue between transactions: valid until somebody else has committed."""

# ruff: noqa: S608 - SQL is put together from constants and quoted identifiers; values are always bound

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from pacer._job import JobRecord
from pacer._rules import Rules
from pacer._snapshot import LOOK_AHEAD, QueueState, Snapshot
from pacer.protocols import JobFacts
from pacer.stores._lazily import Lazily
from pacer.stores._parts import Tenure
from pacer.stores._rows import COLUMNS, FACTS, NAMED, FactsOnDemand, Row, decode, facts_of
from pacer.stores._running import RunningJobs
from pacer.stores._state import decode_state, encoded, not_ours

_READY: Final = "FROM pacer_jobs WHERE queue = ? AND place IS NOT NULL"
_DELAYED: Final = "FROM pacer_jobs WHERE queue = ? AND due IS NOT NULL"
_IN_ORDER: Final = f"SELECT {COLUMNS} {_READY} AND (sort_key, place) > (?, ?) ORDER BY sort_key, place LIMIT ?"
_NAMED: Final = f"SELECT {NAMED} {_READY} ORDER BY sort_key, place LIMIT ?"
_AHEAD: Final = (
    f"SELECT (SELECT count(*) {_READY} AND sort_key < ?) + (SELECT count(*) {_READY} AND sort_key = ? AND place < ?)"
)
_NEXT_EXPIRY: Final = (
    "SELECT min(expires_at) FROM pacer_jobs WHERE queue = ? AND arrival IS NOT NULL AND expires_at IS NOT NULL"
)
_PROMOTE: Final = "UPDATE pacer_jobs SET place = seq, due = NULL WHERE queue = ? AND due <= ?"
_SEQ, _SORT_KEY = 14, 15
_FIRST_CHUNK, _LARGEST_CHUNK = 16, 256
_BEFORE_ALL = (float("-inf"), 0)

Key = tuple[float, int]


@attrs.define(eq=False)
class QueueView:
    """The queue's row, its running jobs and the front of its waiting ones.

    `begin` looks whether another connection has committed since (`PRAGMA data_version`), and only then reads anew:
    a busy process alone on its file hardly ever does.
    """

    cursor: sqlite3.Cursor
    queue: int
    tenure: Tenure
    """Its rules are for a clock that is Unix time, which the queue's may not be."""
    clock: Callable[[], float]
    _rules: Rules = attrs.field(init=False)
    now: float = attrs.field(init=False, default=0.0)
    offset: float = attrs.field(init=False, default=0.0)
    state: QueueState = attrs.field(init=False)
    ready: int = attrs.field(init=False, default=0)
    delayed: int = attrs.field(init=False, default=0)
    roster: int = attrs.field(init=False, default=0)
    dirty: bool = attrs.field(init=False, default=False)
    _seq: int = attrs.field(init=False, default=0)
    _arrivals: int = attrs.field(init=False, default=0)
    _version: int | None = attrs.field(init=False, default=None)
    _written: QueueState | None = attrs.field(init=False, default=None)
    _state_text: str = attrs.field(init=False, default="")
    _parts: str = attrs.field(init=False, default="")
    _kept: dict[str, Any] = attrs.field(init=False, factory=dict)
    """Learned states of others, which are written back as they are."""
    _front: list[Row] = attrs.field(init=False, factory=list)
    _read_up_to: Key = attrs.field(init=False, default=_BEFORE_ALL)
    _chunk: int = attrs.field(init=False, default=_FIRST_CHUNK)
    _last: Key | None = attrs.field(init=False, default=None)
    _next_ready: float | None = attrs.field(init=False, default=None)
    _next_expiry: float | None = attrs.field(init=False, default=None)
    _running: RunningJobs = attrs.field(init=False, factory=RunningJobs)

    # -- transactions ------------------------------------------------------------------------------------------------

    def __attrs_post_init__(self) -> None:
        self._rules = self.tenure.rules

    @property
    def rules(self) -> Rules:
        """On the queue's clock, with the numbers that a person has set."""
        return self._rules.tuned(self.state)

    @property
    def guest(self) -> bool:
        """Whether it was opened by one."""
        return self.tenure.guest

    @property
    def retired(self) -> bool:
        """Whether others have taken the queue over."""
        return self.tenure.retired

    def check_in_charge(self) -> None:
        """Raises TakenOverError if they have."""
        self.tenure.check_in_charge()

    def begin(self, writes: bool) -> bool:
        """Inside a new transaction: read what others have changed, look at the clock, and see who is due.

        Returns whether delayed jobs have become ready, which only a transaction that `writes` can write down.
        """
        (version,) = self.cursor.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._load()
            self._version = version
        now = self.clock() + self.offset
        if now < self.now:
            # The wall clock went back: from here on the store's time is ahead of it by as much.
            self.set_offset(self.offset + self.now - now)
            now = self.now
        self.now = now
        due = self.next_ready_at()
        if due is None or due > now:
            return False
        if writes:
            self._promote()
        return not writes

    def save(self) -> None:
        """Write the queue's row if anything in it has changed."""
        if not self.dirty:
            return
        if self.state is not self._written:
            self.state, self._state_text = encoded(self.state, self._kept, self._written, self.rules)
        self.cursor.execute(
            "UPDATE pacer_queues SET state = ?, clock_offset = ?, clock_last = ?, ready = ?, delayed = ?, "
            "last_seq = ?, arrivals = ?, roster = ? WHERE id = ?",
            (
                self._state_text,
                self.offset,
                self.now,
                self.ready,
                self.delayed,
                self._seq,
                self._arrivals,
                self.roster,
                self.queue,
            ),
        )
        self._written = self.state
        self.dirty = False

    def forget(self) -> None:
        """The transaction was rolled back: what is in memory may be wrong."""
        self._version = None

    def set_offset(self, offset: float) -> None:
        """By how much the queue's time is ahead of the wall clock; the rules may speak of the calendar."""
        if offset != self.offset:
            self.offset, self._rules = offset, self.tenure.rules.on_clock(-offset)

    def _load(self) -> None:
        row = self.cursor.execute(
            "SELECT state, parts, clock_offset, clock_last, ready, delayed, arrivals, roster, "
            # The numbers of jobs are unique in the file, not only in the queue, and are never given out again.
            "max((SELECT max(last_seq) FROM pacer_queues), (SELECT coalesce(max(seq), 0) FROM pacer_jobs)) "
            "FROM pacer_queues WHERE id = ?",
            (self.queue,),
        ).fetchone()
        text, parts, offset, last, self.ready, self.delayed, self._arrivals, self.roster, self._seq = row
        self.set_offset(offset)
        self.now = max(self.now, last)
        if text != self._state_text or parts != self._parts or self._written is None:
            self.tenure.look(parts)
            self._kept = not_ours(text, parts, self._rules) if self.retired else {}
            self.state = decode_state(text, parts, self._rules)
            self._state_text, self._parts, self._written = text, parts, self.state
        else:
            self.state = self._written
        running = self.cursor.execute(
            f"SELECT {FACTS} FROM pacer_jobs WHERE queue = ? AND state = 'running'", (self.queue,)
        )
        self._running.reset(map(decode, running.fetchall()))
        self.dirty = False
        self._next_expiry = None
        self._reread_waiting()

    # -- what is running ---------------------------------------------------------------------------------------------

    @property
    def running(self) -> dict[str, JobRecord]:
        """The running jobs by id."""
        return self._running.by_id

    def add_running(self, record: JobRecord) -> None:
        """A job has been started."""
        self._running.add(record)
        self.dirty = True

    def remove_running(self, record: JobRecord) -> None:
        """A job runs no more."""
        self._running.remove(record)
        self.dirty = True

    def snapshot(self, oldest_at: float | None = None, ahead: Sequence[JobFacts] | None = None) -> Snapshot:
        """The queue now."""
        if ahead is None:
            if not self._front:
                self._read_on()
            ahead = Lazily(self._front[:], facts_of)
        return Snapshot(self.now, self.state, self.waiting, self._running.seen(self.now), oldest_at, ahead)

    def named_snapshot(self, oldest_at: float | None, count: int) -> Snapshot:
        """The same with so many of the ready jobs; `snapshot` names no more than have been read anyway."""
        return self.snapshot(oldest_at, Lazily(self._first_ready(count) if count else [], facts_of))

    def passing_snapshot(self) -> Snapshot:
        """The same for a forecast that is made in this transaction: it may not look far."""
        return self.snapshot(ahead=FactsOnDemand(self._first_ready, min(self.ready, LOOK_AHEAD)))

    def _first_ready(self, count: int) -> list[Row]:
        return self.cursor.execute(_NAMED, (self.queue, count)).fetchall()

    # -- what waits --------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return self.ready + self.delayed

    def steered(self) -> None:
        """A person has changed when jobs may start."""
        self.dirty = True

    def next_seq(self) -> int:
        """The number of a new job, and its place in order of arrival."""
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
        expires_at = job.expires_at
        if expires_at is not None and self._next_expiry is not None:
            self._next_expiry = min(self._next_expiry, expires_at)
        if ready_at > self.now:
            self.delayed += 1
            if self.delayed == 1 or (self._next_ready is not None and ready_at < self._next_ready):
                self._next_ready = ready_at
            return
        self.ready += 1
        key = (job.sort_key, job.seq)
        if self._last is not None and key > self._last:
            self._last = key
        if key <= self._read_up_to:
            self._reread_waiting()

    def removed(self, job: JobRecord, delayed: bool) -> None:
        """A waiting job has left."""
        self.dirty = True
        if job.expires_at is not None:
            self._next_expiry = None
        if delayed:
            self.delayed -= 1
            self._next_ready = None
            return
        self.ready -= 1
        for index, row in enumerate(self._front):
            if row[_SEQ] == job.seq:
                del self._front[index]
                return

    def _promote(self) -> None:
        self.cursor.execute(_PROMOTE, (self.queue, self.now))
        self.ready += self.cursor.rowcount
        self.delayed -= self.cursor.rowcount
        self.dirty = True
        self._reread_waiting()

    def next_ready_at(self) -> float | None:
        """When the first of the delayed jobs becomes ready; None if there is none."""
        if not self.delayed:
            return None
        if self._next_ready is None:
            (self._next_ready,) = self.cursor.execute(f"SELECT min(due) {_DELAYED}", (self.queue,)).fetchone()
        return self._next_ready

    def next_expiry(self) -> float:
        """When the first waiting job's time to start is over; `inf` if all may wait for ever."""
        if self._next_expiry is None:
            (at,) = self.cursor.execute(_NEXT_EXPIRY, (self.queue,)).fetchone()
            self._next_expiry = math.inf if at is None else at
        return self._next_expiry

    def in_order(self) -> Iterator[Row]:
        """Rows of the ready jobs, first to last. Jobs may be removed between two steps, not added."""
        seen = 0
        while True:
            if seen < len(self._front):
                row = self._front[seen]
                yield row
                if seen < len(self._front) and self._front[seen] is row:
                    seen += 1
            elif not self._read_on():
                return

    def _read_on(self) -> bool:
        if self.ready <= len(self._front):
            return False
        rows = self.cursor.execute(_IN_ORDER, (self.queue, *self._read_up_to, self._chunk)).fetchall()
        if not rows:
            return False
        self._chunk = min(2 * self._chunk, _LARGEST_CHUNK)
        self._read_up_to = (rows[-1][_SORT_KEY], rows[-1][_SEQ])
        self._front.extend(rows)
        return True

    def _reread_waiting(self) -> None:
        self._front = []
        self._read_up_to = _BEFORE_ALL
        self._chunk = _FIRST_CHUNK
        self._last = self._next_ready = None

    def position(self, sort_key: float, seq: int, ready_at: float, delayed: bool) -> int:
        """1-based place of a waiting job: as in `MemoryStore`, delayed jobs stand behind all ready ones."""
        if delayed:
            sql = f"SELECT count(*) {_DELAYED} AND (due, seq) <= (?, ?)"
            (earlier,) = self.cursor.execute(sql, (self.queue, ready_at, seq)).fetchone()
            return self.ready + int(earlier)
        if (sort_key, seq) >= self._last_key():
            return self.ready
        return self._ahead_of(sort_key, seq) + 1

    def _ahead_of(self, sort_key: float, seq: int) -> int:
        parameters = (self.queue, sort_key, self.queue, sort_key, seq)
        (ahead,) = self.cursor.execute(_AHEAD, parameters).fetchone()
        return int(ahead)

    def place_of(self, sort_key: float) -> int:
        """Where a new job with this key would come to stand, if it is ready at once."""
        seq = self._seq + 1
        return self.ready + 1 if (sort_key, seq) >= self._last_key() else self._ahead_of(sort_key, seq) + 1

    def _last_key(self) -> Key:
        if self._last is None:
            row = self.cursor.execute(
                f"SELECT sort_key, place {_READY} ORDER BY sort_key DESC, place DESC LIMIT 1", (self.queue,)
            ).fetchone()
            self._last = _BEFORE_ALL if row is None else (row[0], row[1])
        return self._last
