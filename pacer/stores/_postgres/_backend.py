"""One queue in PostgreSQL: each question, and each commit, is one round trip."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
import psycopg
from psycopg import errors

from pacer._errors import CorruptStoreError, StoreError, StoreUnavailableError, UnknownQueueError
from pacer._job import JobState
from pacer._minutes import Tally
from pacer._overview import Mark
from pacer.stores._postgres import _sql, _writing
from pacer.stores._postgres._columns import joined, text_array
from pacer.stores._postgres._commit import HEAD, Commit, head_values
from pacer.stores._postgres._migrate import bring_up_to_date, check_current
from pacer.stores._postgres._privileges import check_guest_privileges, check_privileges, grants_advice, guest_advice
from pacer.stores._postgres._risks import risks_of
from pacer.stores._postgres._session import Bound, Row, Session
from pacer.stores._postgres._statement import Statement
from pacer.stores._postgres._target import Target
from pacer.stores._postgres._writing import Shape
from pacer.stores._rows import SEQ, SORT_KEY, storable_text
from pacer.stores._server._backend import (
    Content,
    Head,
    JobExistsError,
    Key,
    Loaded,
    Writing,
)

# So many delayed jobs become ready in one statement: it has to end well before the time-out.
_AT_ONCE: Final = 5000
_JOBS_TABLE: Final = "pacer_jobs"
_FINAL: Final = text_array([state.value for state in JobState if state.final])
_LARGEST: Final = 2**63 - 1


def channel_of(schema: str, queue: str) -> str:
    """What the workers of a queue listen to. Names of channels are short, those of queues need not be."""
    digest = hashlib.sha256(json.dumps([schema, queue]).encode()).hexdigest()
    return f"pacer_{digest[:32]}"


@attrs.define(eq=False)
class PostgresBackend:
    """A `Backend`; see there."""

    _target: Target
    _queue: str
    """Its name."""
    _worker: str
    _guest: bool = attrs.field(default=False, kw_only=True)
    """Whether it makes nothing."""
    _session: Session = attrs.field(init=False)
    _channel: str = attrs.field(init=False)
    _id: int | None = attrs.field(init=False, default=None)
    _risks: Sequence[str] = attrs.field(init=False, default=())
    _where: str | None = attrs.field(init=False, default=None)
    _token: str = attrs.field(init=False, factory=lambda: secrets.token_hex(8))
    _stamps: int = attrs.field(init=False, default=0)
    _known: tuple[int, str] | None = attrs.field(init=False, default=None)
    """The version and the stamp of the last head that was read or written."""
    _statements: dict[str | Shape, Statement] = attrs.field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        schema = self._target.schema
        self._session = Session(self._target, guest_advice(schema) if self._guest else grants_advice(schema))
        self._channel = channel_of(self._target.schema, self._queue)

    @property
    def name(self) -> str:
        """Which database this is."""
        return self._session.name

    def _bound(self, text: str, **values: Any) -> Bound:
        statement = self._statements.get(text)
        if statement is None:
            statement = self._statements[text] = Statement.of(text, self._target.schema)
        return statement.text, statement.bind(values)

    def _ask(self, text: str, **values: Any) -> list[Row]:
        return self._session.rows(self._bound(text, queue=self._number(), **values))

    def _jobs(self, text: str, **values: Any) -> list[Row]:
        return [joined(row) for row in self._ask(text, **values)]

    @property
    def risks(self) -> Sequence[str]:
        """What may be lost with the server as it is set up."""
        return self._risks

    @property
    def where(self) -> str | None:
        """Which database a guest has connected to, for no eyes; None for a worker, whose row is in it."""
        return self._where

    # -- life --------------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, check that the database may be used, and make or migrate what is missing."""
        session, schema = self._session, self._target.schema
        connection = session.connect()
        with session.errors():
            if not self._guest:
                bring_up_to_date(connection, schema, self.name)
                check_privileges(connection, schema, self.name)
            elif check_current(connection, schema, self.name):
                check_guest_privileges(connection, schema, self.name)
                ((self._where,),) = connection.execute(f"SELECT {_sql.WHERE}").fetchall()
            else:
                raise UnknownQueueError(self._queue, self.name, [])
            self._risks = risks_of(connection, self.name)

    def close(self) -> None:
        """Disconnect."""
        self._session.close()

    def create(self, head: Head | None) -> None:
        """Make the queue with this head, unless there is one. None: raises UnknownQueueError."""
        if self._find_queue() is None:
            if head is None:
                queues = self._session.rows(self._bound(_sql.QUEUES))
                raise UnknownQueueError(self._queue, self.name, [name for name, _ in queues])
            create = self._bound(_writing.CREATE, name=self._queue, stamp=self._next_stamp(), **head_values(head))
            with self._session.errors():
                self._session.connect().execute(*create)
        self._number()

    def _next_stamp(self) -> str:
        """What no other commit has."""
        self._stamps += 1
        return f"{self._token}-{self._stamps}"

    def _find_queue(self) -> int | None:
        rows = self._session.rows(self._bound(_sql.FIND_QUEUE, name=self._queue))
        return rows[0][0] if rows else None

    def _number(self) -> int:
        if self._id is None:
            self._id = self._find_queue()
            if self._id is None:
                raise self._gone()
        return self._id

    def _gone(self) -> CorruptStoreError:
        msg = f"{self.name}: the queue {self._queue!r} was removed while it was in use. Start its workers again."
        return CorruptStoreError(msg)

    # -- commits -----------------------------------------------------------------------------------------------------

    def load(self, known: int | None, lock: bool) -> Loaded:
        """The queue as it is now; without its content if the version is the known one."""
        number = self._number()
        known, stamp = (None, None) if self._known is None or self._known[0] != known else self._known
        load = self._bound(_sql.LOAD, queue=number, known=known, stamp=stamp, worker=self._worker)
        rows = self._locked(load) if lock else self._session.rows(load)
        if not rows:
            self._id = None
            raise self._gone()
        found = json.loads(rows[0][1])
        self._known = found["version"], found["stamp"]
        return _loaded(found, rows[1:])

    def _locked(self, load: Bound) -> list[Row]:
        with self._freeing():
            return self._session.begin([self._bound(_sql.LOCK, queue=self._number()), load])

    @contextlib.contextmanager
    def _freeing(self) -> Iterator[None]:
        """Take the queue from whoever stopped with it, if that is what this waited for; the next try finds it free."""
        try:
            yield
        except StoreUnavailableError as error:
            if isinstance(error.__cause__, errors.LockNotAvailable | errors.QueryCanceled):
                with contextlib.suppress(StoreError):
                    self._session.rows(self._bound(_sql.FREE, queue=self._number()))
            raise

    def write(self, writing: Writing) -> bool:
        """Commit all of it, durably, and give up the lock. False if the version or the clock is not as supposed."""
        session, stamp = self._session, self._next_stamp()
        if self._known is None or self._known[0] != writing.head.version - 1:
            session.end()
            return False
        statement = self._commit(writing, stamp)
        try:
            done = bool(session.commit([statement]) if session.in_transaction else session.unguarded(statement))
        except (errors.DivisionByZero, errors.SerializationFailure) as error:
            session.failed(error)
            return False
        except errors.UniqueViolation as error:
            raised = session.failed(error)
            if error.diag.table_name == _JOBS_TABLE:
                raise JobExistsError from None
            raise raised from None
        except psycopg.Error as error:
            with self._freeing(), session.errors():
                raise error
        if done:
            self._known = writing.head.version, stamp
        return done

    def _commit(self, writing: Writing, stamp: str) -> Bound:
        """The statement that does all of it."""
        assert self._known is not None  # noqa: S101 - write() has looked
        commit = Commit.of(writing, self._worker)
        statement = self._statements.get(commit.shape)
        if statement is None:
            statement = self._statements[commit.shape] = commit.shape.statement(self._target.schema)
        version, known = self._known
        values = {
            **commit.values,
            **head_values(writing.head),
            "queue": self._number(),
            "version": version,
            "stamp": stamp,
            "known_stamp": known,
            "channel": self._channel,
        }
        return statement.text, statement.bind(values)

    def unlock(self) -> None:
        """Give up the lock, if there is one."""
        self._session.end()

    def promote(self, now: float) -> None:
        """Make the delayed jobs ready that are due by then, or the first of them, under the lock if there is one."""
        session, number = self._session, self._number()
        promote = self._bound(_writing.PROMOTE, queue=number, now=now, stamp=self._next_stamp(), limit=_AT_ONCE)
        locked = session.in_transaction
        with self._freeing():
            rows = session.rows(promote) if locked else session.begin([self._bound(_sql.LOCK, queue=number), promote])
        if not locked or rows[0][0] == _AT_ONCE:
            session.end()

    def prune(self, older_than: float, limit: int) -> int:
        """Remove jobs that ended before then, the oldest first, in a commit of its own. Returns how many."""
        ((count,),) = self._ask(_writing.PRUNE, older_than=older_than, limit=limit, states=_FINAL)
        return int(count)

    # -- reads -------------------------------------------------------------------------------------------------------

    def in_order(self, after: Key, count: int) -> Sequence[Row]:
        """Rows (`COLUMNS`) of the first ready jobs with larger keys, in order."""
        return self._jobs(_sql.IN_ORDER, sort_key=after[0], seq=after[1], count=count)

    def named(self, count: int) -> Sequence[Row]:
        """Rows (`NAMED`) of the first ready jobs, in order."""
        return self._ask(_sql.NAMED_IN_ORDER, count=count)

    def ahead_of(self, key: Key) -> int:
        """How many ready jobs have smaller keys."""
        ((count,),) = self._ask(_sql.AHEAD_OF, sort_key=key[0], seq=key[1])
        return int(count)

    def delayed_before(self, ready_at: float, seq: int) -> int:
        """How many delayed jobs become ready before one with these."""
        ((count,),) = self._ask(_sql.DELAYED_BEFORE, ready_at=ready_at, seq=seq)
        return int(count)

    def find(self, job_ids: Sequence[str], uniques: Sequence[str]) -> Sequence[Row]:
        """Rows (`COLUMNS`) of the jobs with these ids, and of those not ended with these unique keys."""
        ids, keys = [one for one in job_ids if _storable(one)], [one for one in uniques if _storable(one)]
        if not ids and not keys:
            return []
        return self._jobs(_sql.FIND[bool(ids), bool(keys)], ids=text_array(ids), uniques=text_array(keys))

    def oldest(self, count: int) -> Sequence[Row]:
        """Rows (`COLUMNS`) of the jobs that have waited longest, by arrival."""
        return self._jobs(_sql.OLDEST, count=count)

    def expired(self, now: float, limit: int) -> Sequence[Row]:
        """Rows (`COLUMNS`) of the first waiting jobs whose time to start is over, by that time."""
        return self._jobs(_sql.EXPIRED, now=now, limit=limit)

    def kinds(self) -> Sequence[tuple[str, str | None]]:
        """The tasks and homes of all that wait."""
        return [(task, home[1:] if home else None) for task, home in self._ask(_sql.KINDS)]

    def of_kind(self, task: str, home: str | None, limit: int) -> Sequence[Row]:
        """Rows (`COLUMNS`) of waiting jobs of this task and home: of all, or of as many as the limit says."""
        return self._jobs(_sql.OF_KIND, task=task, home=home, limit=limit)

    def waiting(self, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows (`LISTED`) of the waiting jobs behind this mark: ready ones in order, then delayed ones by time."""
        ready = delayed = (-math.inf, -1)
        if after is not None:
            ready, delayed = (_key_in(after), delayed) if after.shelf == 0 else ((math.inf, _LARGEST), _key_in(after))
        marks = {"sort_key": ready[0], "seq": ready[1], "due": delayed[0], "due_seq": delayed[1]}
        rows = self._ask(_sql.WAITING, count=count, **marks)
        return [joined(row[1:]) for row in sorted(rows, key=lambda one: one[0])]

    def ended(self, state: str, after: Mark | None, count: int) -> Sequence[Row]:
        """Rows (`LISTED`) of the jobs that ended so, the last first, before the one of this mark."""
        at, seq = (math.inf, _LARGEST) if after is None else _key_in(after)
        return self._jobs(_sql.ENDED, state=state, ended_at=at, seq=seq, count=count)

    def tally(self, most: int) -> Mapping[str, int]:
        """How many jobs ended so are there, for each state, counted up to so many."""
        return dict(self._ask(_sql.TALLY, states=_FINAL, most=most))

    def minutes(self, since: int) -> Sequence[Tally]:
        """What happened in the minutes from this number on, in order, as far as it was written."""
        return [json.loads(tally) for (tally,) in self._ask(_sql.MINUTES, since=since)]

    def batch(self, batch_id: str) -> Mapping[str, int]:
        """How many jobs of the batch are in which state."""
        if not _storable(batch_id):
            return {}
        return dict(self._ask(_sql.BATCH, batch=batch_id))

    def workers(self) -> Sequence[tuple[str, float, str]]:
        """Those who have the queue open: their names, until when they are alive, and what they can run as JSON."""
        return [(worker, until, tasks) for worker, until, tasks in self._ask(_sql.WORKERS)]

    def staged(self, limit: int) -> Sequence[tuple[int, float, Row]]:
        """The first jobs in the stage: their numbers there, when they came (server's clock), and rows (`COLUMNS`)."""
        rows = self._ask(_sql.STAGED, limit=limit)
        return [(number, came_at, joined(row)) for number, came_at, *rest in rows for row in [tuple(rest)]]


def _storable(text: str) -> bool:
    """Whether a job can have this as an id or a key; others are not found, and cannot be asked for."""
    return "\0" not in text and storable_text(text) == text


def _key_in(mark: Mark) -> Key:
    """Of the job that it names; people may have changed it."""
    return mark.at, max(-1, min(mark.seq, _LARGEST))


def _loaded(found: Mapping[str, Any], rows: Sequence[Row]) -> Loaded:
    head = Head(**{name: found[name] for name in HEAD})
    content = None
    if found["news"]:
        content = Content(
            running=[joined(row[2:]) for row in rows if row[0] == 1],
            front=sorted((joined(row[2:]) for row in rows if row[0] == 2), key=_key),
            # JSON has no infinite numbers; PostgreSQL gives their names.
            last=None if found["last_seq"] is None else (float(found["last_key"]), found["last_seq"]),
            next_due=found["next_due"],
            next_expiry=found["next_expiry"],
            people=found["people"],
        )
    return Loaded(head, content, found["time"], found["commit"] or 0, found["staged"])


def _key(row: Row) -> Key:
    return row[SORT_KEY], row[SEQ]
