"""One queue in Redis, as `ServerThread` uses it."""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from pacer._errors import CorruptStoreError, StoreUnavailableError, UnknownQueueError
from pacer._job import JobState
from pacer._minutes import Tally
from pacer._overview import Mark
from pacer.stores._redis import _scripts as scripts
from pacer.stores._redis._keys import MINUTES, POSITIONS, UNSUCCESSFUL, Keys, kind_text, number_text, shelf_name
from pacer.stores._redis._layout import LAYOUT, check_layout, check_server, older
from pacer.stores._redis._queues import queues_on
from pacer.stores._redis._rows import BATCH, ENDED_AT, READY_AT, STATE, SeenRows, rows_of, with_data
from pacer.stores._redis._scripts import Script
from pacer.stores._redis._wire import Argument, Wire
from pacer.stores._redis._writing import batch_field, commit_of, head_fields
from pacer.stores._rows import NAMED, SEQ, SORT_KEY, Row, storable_text
from pacer.stores._server._backend import FRONT, Content, Head, JobExistsError, Key, Loaded, Writing

_LOCK_LIFE: Final = 1.0
# Whoever waits for the lock looks by itself this often: its holder may be gone.
_WAIT: Final = "0.1"
# So many jobs are moved or read in one step: a server does nothing else meanwhile.
_AT_ONCE: Final = 1000
# Of those whose rows the server itself has to read.
_READ_AT_ONCE: Final = 500
_NAMED: Final = NAMED.count(",") + 1
_DAY: Final = 86400
_NOTHING: Final = (-1, "")


@attrs.define(eq=False)
class RedisBackend:
    """Reads and writes one queue.

    A commit is made if the queue has the version and the stamp that this worker knows. The stamp is another for each
    commit: a server that has lost the last moments in a crash may come to the same version again with other jobs.
    """

    wire: Wire
    keys: Keys
    worker: str
    risks: tuple[str, ...] = attrs.field(init=False, default=())
    """What may be lost with the server as it is set up, in sentences; it was looked at when the queue was opened."""
    _token: str = attrs.field(init=False, factory=lambda: secrets.token_hex(8))
    _commits: int = attrs.field(init=False, default=0)
    _head: Head | None = attrs.field(init=False, default=None)
    """The last head that was read or written, and its stamp."""
    _stamp: str = attrs.field(init=False, default="")
    _sorted: int = attrs.field(init=False, default=0)
    """How many commits there have been by workers that put ended jobs into the set of their state."""
    _layout: int | None = attrs.field(init=False, default=None)
    _seen: SeenRows = attrs.field(init=False, factory=SeenRows)
    _locked: bool = attrs.field(init=False, default=False)

    @property
    def name(self) -> str:
        """Which server this is, without a password."""
        return self.wire.name

    # -- life --------------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, and look at what is there."""
        self.wire.connect()
        self.risks = check_server(self.wire)
        self._layout = check_layout(self.wire, self.keys)

    def close(self) -> None:
        """Disconnect. Never raises."""
        self.wire.close()

    def create(self, head: Head | None) -> None:
        """Make the queue with this head, unless there is one, and bring it to this version; a guest does neither."""
        if head is None:
            self._check_for_guest()
            return
        self._run(
            scripts.CREATE,
            *(str(LAYOUT), str(head.version), self._next_stamp(), head.state, head.parts),
            *(repr(head.offset), repr(head.at)),
        )
        self._sort_ended()

    def _check_for_guest(self) -> None:
        if self._layout is None:
            known = [queue.name for queue in queues_on(self.wire, self.keys.prefix)]
            raise UnknownQueueError(self.keys.queue, self.name, known)
        if self._layout < LAYOUT:
            raise older(self.name, self._layout)

    def _sort_ended(self) -> None:
        """Put the jobs into the set of their state that workers of the version before have ended.

        These may still be running when the first of this version comes. What they do is seen from how many commits
        there have been, and looked through from where it was looked through last.
        """
        unsorted = self._run(scripts.UNSORTED)
        if not unsorted:
            return
        commits, score, until = unsorted
        number = number_text(0)
        while True:
            last = self._run(
                *(scripts.SORT, score, number, str(_READ_AT_ONCE), *UNSUCCESSFUL), more=self.keys.unsuccessful
            )
            if not last:
                break
            score, number = last[0], number_text(int(last[1], 16) + 1)
        self._run(scripts.SORTED, str(LAYOUT), commits, until)

    # -- commits -----------------------------------------------------------------------------------------------------

    def load(self, known: int | None, lock: bool) -> Loaded:
        """The queue as it is now."""
        if self._head is None or self._head.version != known:
            self._head = None
        answer = self._load(self._token) if lock else None
        if answer is None:
            answer = self._load("")
        self._locked |= lock
        at, commit = int(answer[0]) + int(answer[1]) / 1e6, int((answer[2] or b"0").split()[0])
        if len(answer) == 3:
            assert self._head is not None  # noqa: S101 - otherwise no version would have been known
            return Loaded(self._head, None, at, commit)
        head, content = self._content(answer[3:])
        return Loaded(head, content, at, commit)

    def _load(self, lock: str) -> Any:
        """None if somebody else has the lock, for as long as one can."""
        version, stamp = _NOTHING if self._head is None else (self._head.version, self._stamp)
        arguments = (str(version), stamp, self.worker, lock, str(int(_LOCK_LIFE * 1000)), str(FRONT))
        baton, deadline = self.keys.fixed[POSITIONS["baton"] - 1], time.monotonic() + _LOCK_LIFE
        while True:
            answer = self._run(scripts.LOAD, *arguments)
            if answer is not None or time.monotonic() > deadline:
                return answer
            self.wire.ask("BLPOP", baton, _WAIT)

    def _content(self, answer: Any) -> tuple[Head, Content]:
        fields, running, front, data, last, due, expiry, people = answer
        if fields[0] is None:
            self._head = None
            msg = (
                f"{self.name}: the queue is gone: the server was emptied, or has lost its data. Restore them, or stop "
                f"all schedulers of the queue and start them again; what waited in it is lost."
            )
            raise StoreUnavailableError(msg)
        head = Head(
            version=int(fields[0]),
            state=fields[2].decode(),
            parts=fields[3].decode(),
            offset=float(fields[4]),
            at=float(fields[5]),
            ready=int(fields[6]),
            delayed=int(fields[7]),
            seq=int(fields[8]),
            arrivals=int(fields[9]),
            roster=int(fields[10]),
        )
        self._sorted = int(fields[11] or 0)
        rows = self._rows([*running, *front], self._seen.rows_of)
        content = Content(
            running=[tuple(row) for row in rows[: len(running)]],
            front=with_data(rows[len(running) :], data),
            last=(float(last[1]), int(last[0], 16)) if last else None,
            next_due=float(due[1]) if due else None,
            next_expiry=float(expiry[1]) if expiry else None,
            people=people,
        )
        self._head, self._stamp = head, fields[1].decode()
        return head, content

    def write(self, writing: Writing) -> bool:
        """Commit all of it."""
        head, stamp = self._head, self._next_stamp()
        if head is None or head.version + 1 != writing.head.version:
            return False  # what it is based on is not known any more
        commit = commit_of(writing, self.keys)
        lock = self._token if self._locked else ""
        fields = head_fields(writing.head, stamp, self._sorted + 1, head)
        arguments = commit.arguments(writing, head, self._stamp, fields, lock, self.keys.channel)
        self._head = None
        answer = self.wire.run(scripts.WRITE, commit.keys(), arguments, again=False)
        self._locked = False
        if answer == 1:
            self._head, self._stamp, self._sorted = writing.head, stamp, self._sorted + 1
        elif answer != 0:
            raise JobExistsError
        return bool(answer)

    def _next_stamp(self) -> str:
        self._commits += 1
        return f"{self._token}-{self._commits}"

    def unlock(self) -> None:
        """Give up the lock, if there is one."""
        if self._locked:
            self._locked = False
            self._run(scripts.UNLOCK, self._token)

    def promote(self, now: float) -> None:
        """Make the delayed jobs ready that are due by then."""
        while self._run(scripts.PROMOTE, repr(now), str(_AT_ONCE), self._next_stamp()) == _AT_ONCE:
            pass

    def prune(self, older_than: float, limit: int) -> int:
        """Remove jobs that ended before then, and what is known of workers that have long been gone."""
        self._run(scripts.FORGET, str(_DAY))
        self._sort_ended()
        numbers, places, texts = self._run(
            scripts.ENDED, repr(older_than), str(min(limit, _AT_ONCE)), more=self.keys.unsuccessful
        )
        arguments: list[Argument] = []
        for number, place, row in zip(numbers, places, self._rows(texts), strict=True):
            batch = row[BATCH]
            arguments += (number, str(place), row[0], "" if batch is None else batch_field(row[STATE], batch))
        return int(self._run(scripts.REMOVE, *arguments, more=self.keys.unsuccessful)) if arguments else 0

    # -- reads -------------------------------------------------------------------------------------------------------

    def in_order(self, after: Key, count: int) -> Sequence[Row]:
        """Rows of the first ready jobs with larger keys, with arguments."""
        return self._found(scripts.IN_ORDER, repr(after[0]), number_text(after[1] + 1), str(count), "1")

    def named(self, count: int) -> Sequence[Row]:
        """Rows of the first ready jobs, as far as a forecast looks at them."""
        texts, _ = self._run(scripts.IN_ORDER, "-inf", number_text(0), str(count), "0")
        return [tuple(row[:_NAMED]) for row in self._rows(texts)]

    def ahead_of(self, key: Key) -> int:
        """How many ready jobs have smaller keys."""
        return int(self._run(scripts.BEFORE, str(POSITIONS["ready"]), repr(key[0]), number_text(key[1])))

    def delayed_before(self, ready_at: float, seq: int) -> int:
        """How many delayed jobs become ready before one with these."""
        return int(self._run(scripts.BEFORE, str(POSITIONS["due"]), repr(ready_at), number_text(seq)))

    def find(self, job_ids: Sequence[str], uniques: Sequence[str]) -> Sequence[Row]:
        """Rows of the jobs with these ids, and of those not ended with these unique keys."""
        wanted = [storable_text(one) for one in (*job_ids, *uniques)]
        return self._found(scripts.FIND, str(len(job_ids)), *wanted)

    def oldest(self, count: int) -> Sequence[Row]:
        """Rows of the jobs that have waited longest."""
        kinds = [self.keys.waiting(kind) for kind in self._kinds()]
        return self._found(scripts.OLDEST, str(count), more=kinds)

    def expired(self, now: float, limit: int) -> Sequence[Row]:
        """Rows of the first waiting jobs whose time to start is over."""
        return self._in_steps(scripts.EXPIRED, limit, repr(now))

    def kinds(self) -> Sequence[tuple[str, str | None]]:
        """The tasks and homes of all that wait."""
        return [(task, home) for task, home in map(json.loads, self._kinds())]

    def _kinds(self) -> list[str]:
        return [kind.decode() for kind in self.wire.ask("SMEMBERS", self.keys.fixed[POSITIONS["kinds"] - 1])]

    def of_kind(self, task: str, home: str | None, limit: int) -> Sequence[Row]:
        """Rows of waiting jobs of this task and home."""
        return self._in_steps(scripts.OF_KIND, limit, more=[self.keys.waiting(kind_text(task, home))])

    def _in_steps(self, script: Script, limit: int, *arguments: Argument, more: Sequence[bytes] = ()) -> list[Row]:
        """What a script gives that is told which of them are wanted: the first, and how many."""
        found: list[Row] = []
        while len(found) < limit:
            wanted = min(_AT_ONCE, limit - len(found))
            some = self._found(script, *arguments, str(len(found)), str(wanted), more=more)
            found += some
            if len(some) < wanted:
                break
        return found

    def waiting(self, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows of the waiting jobs behind this mark: ready ones in order, then delayed ones by time."""
        found: list[Row] = []
        shelf, at, seq = (0, -math.inf, -1) if after is None else (after.shelf, after.at, after.seq)
        while len(found) < count:
            wanted = min(_AT_ONCE, count - len(found))
            ready, texts = self._run(scripts.WAITING, str(shelf), repr(at), number_text(seq + 1), str(wanted))
            rows = self._rows(texts)
            found += map(tuple, rows)
            if len(rows) < wanted:
                break
            shelf, column = (0, SORT_KEY) if ready == wanted else (1, READY_AT)
            at, seq = rows[-1][column], rows[-1][SEQ]
        return found

    def ended(self, state: str, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows of the jobs that ended so, the last first, before the one of this mark."""
        found: list[Row] = []
        more = [] if shelf_name(state) in POSITIONS else [self.keys.key(shelf_name(state))]
        before = ("", "") if after is None else (repr(after.at), number_text(after.seq))
        while len(found) < count:
            wanted = min(_AT_ONCE, count - len(found))
            rows = self._rows(self._run(scripts.LAST, *before, str(wanted), more=more))
            # Among those that have succeeded may be others, which have not been sorted yet.
            found += [tuple(row) for row in rows if row[STATE] == state]
            if len(rows) < wanted:
                break
            before = (repr(rows[-1][ENDED_AT]), number_text(rows[-1][SEQ]))
        return found

    def tally(self, most: int) -> Mapping[str, int]:
        """How many jobs ended so are there, for each state, counted up to so many."""
        counts = self._run(scripts.TALLY, more=self.keys.unsuccessful)
        states = (JobState.SUCCEEDED.value, *UNSUCCESSFUL)
        return {state: min(count, most) for state, count in zip(states, counts, strict=True) if count}

    def minutes(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on, in order, as far as it was written."""
        texts = self.wire.ask("ZRANGEBYSCORE", self.keys.key(MINUTES), str(since), "+inf")
        return [json.loads(text) for text in texts]

    def batch(self, batch_id: str) -> Mapping[str, int]:
        """How many jobs of the batch are in which state."""
        states = [state.value for state in JobState]
        fields = [batch_field(state, storable_text(batch_id)) for state in states]
        counts = self.wire.ask("HMGET", self.keys.fixed[POSITIONS["batches"] - 1], *fields)
        return {state: int(count) for state, count in zip(states, counts, strict=True) if count is not None}

    def workers(self) -> Sequence[tuple[str, float, str]]:
        """Those who have the queue open."""
        answer = self.wire.ask("HGETALL", self.keys.fixed[POSITIONS["workers"] - 1])
        said = [json.loads(text) for text in answer[1::2]]
        return [(name.decode(), *one) for name, one in zip(answer[::2], said, strict=True)]

    def staged(self, limit: int) -> Sequence[tuple[int, float, Row]]:
        """There is no stage: Redis has no transactions that a user could enqueue in."""
        return ()

    # -- asking ------------------------------------------------------------------------------------------------------

    def _run(self, script: Script, *arguments: Argument, more: Sequence[bytes] = ()) -> Any:
        """Of a script that may be run again if its answer does not come."""
        return self.wire.run(script, [*self.keys.fixed, *more], arguments, again=True)

    def _found(self, script: Script, *arguments: Argument, more: Sequence[bytes] = ()) -> list[Row]:
        texts, data = self._run(script, *arguments, more=more)
        return with_data(self._rows(texts), data)

    def _rows(self, texts: Sequence[bytes | None], rows_of: Any = rows_of) -> list[list[Any]]:
        if None in texts:
            msg = (
                f"{self.name}: jobs of this queue are missing: somebody has removed them, or the server evicts keys "
                f"(maxmemory-policy). Restore its data, or give another prefix."
            )
            raise CorruptStoreError(msg)
        found: list[list[Any]] = rows_of(texts)
        return found
