"""A database server in memory, whose answers can be lost and whose state anybody can change: for the core's own tests.

The real servers are tested too; what they cannot do on demand is to fail at a chosen moment.
"""

from __future__ import annotations

import asyncio
import copy
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs

from pacer._errors import StoreUnavailableError, UnknownQueueError
from pacer._job import JobRecord, JobState
from pacer._minutes import Tally
from pacer._overview import Mark, QueueInfo
from pacer.codecs import JsonCodec
from pacer.stores._ledger import StoredLedger
from pacer.stores._parts import stored_terms
from pacer.stores._rows import PLAIN, Row, encode, row_of
from pacer.stores._server._backend import (
    CLOCK_TOLERANCE,
    FRONT,
    Content,
    Head,
    JobExistsError,
    Key,
    Loaded,
    Place,
    Writing,
)
from pacer.stores._server._opening import opened_on_server


@attrs.define(eq=False)
class Kept:
    """A job on the server."""

    job: JobRecord
    place: Place
    arrival: int | None

    @property
    def key(self) -> Key:
        return self.job.sort_key, self.job.seq


@attrs.define(eq=False)
class MemoryServer:
    """The data of one queue, and what goes wrong with it: each a function that is called at that moment."""

    clock: Callable[[], float]
    head: Head | None = None
    jobs: dict[str, Kept] = attrs.field(factory=dict)
    workers: dict[str, tuple[float, str]] = attrs.field(factory=dict)
    commits: dict[str, int] = attrs.field(factory=dict)
    lock: threading.RLock = attrs.field(factory=threading.RLock)
    before_write: Callable[[], None] = lambda: None
    after_write: Callable[[], None] = lambda: None
    before_load: Callable[[], None] = lambda: None
    writes: int = 0
    loads: int = 0
    minutes: dict[int, Tally] = attrs.field(factory=dict)
    listeners: list[tuple[asyncio.AbstractEventLoop, Callable[[str], None]]] = attrs.field(factory=list)
    notices: list[str] = attrs.field(factory=list)

    def tell(self, notice: str) -> None:
        self.notices.append(notice)
        for loop, hear in self.listeners:
            loop.call_soon_threadsafe(hear, notice)

    async def run(self, hear: Callable[[str], None], connected: Callable[[bool], None]) -> None:
        """Its notices, as `Notices` has it."""
        listener = (asyncio.get_running_loop(), hear)
        self.listeners.append(listener)
        connected(True)
        try:
            await asyncio.Event().wait()
        finally:
            self.listeners.remove(listener)


def fail() -> None:
    msg = "the server is away"
    raise StoreUnavailableError(msg)


@attrs.define(eq=False)
class MemoryBackend:
    """A connection to it."""

    server: MemoryServer
    worker: str
    name: str = "memory"
    risks: tuple[str, ...] = ()

    def connect(self) -> None: ...
    def close(self) -> None: ...
    def unlock(self) -> None: ...

    def create(self, head: Head | None) -> None:
        with self.server.lock:
            self.server.head = self.server.head or head
            if self.server.head is None:
                raise UnknownQueueError("default", self.name, [])

    def load(self, known: int | None, lock: bool) -> Loaded:
        server = self.server
        with server.lock:
            server.before_load()
            server.loads += 1
            assert server.head is not None
            content = None if known == server.head.version else self._content()
            return Loaded(server.head, content, server.clock(), server.commits.get(self.worker, 0))

    def _content(self) -> Content:
        ready, delayed = self._in(Place.READY), self._in(Place.DELAYED)
        expiries = [one.job.expires_at for one in [*ready, *delayed] if one.job.expires_at is not None]
        return Content(
            running=[_row(one.job, payload=False) for one in self._in(Place.RUNNING)],
            front=[_row(one.job) for one in ready[:FRONT]],
            last=ready[-1].key if ready else None,
            next_due=min((one.job.ready_at for one in delayed), default=None),
            next_expiry=min(expiries, default=None),
            people=len(self.server.workers),
        )

    def _in(self, *places: Place) -> list[Kept]:
        return sorted((one for one in self.server.jobs.values() if one.place in places), key=lambda one: one.key)

    def write(self, writing: Writing) -> bool:
        server = self.server
        with server.lock:
            server.before_write()
            assert server.head is not None
            if server.head.version != writing.head.version - 1:
                return False
            if writing.time is not None and abs(writing.time - server.clock()) > CLOCK_TOLERANCE:
                return False
            self._check_new(writing)
            for change in writing.changes:
                new = change.was is Place.NOWHERE
                assert new is (change.job.id not in server.jobs)
                job = copy.copy(change.job)
                if new:
                    assert change.encoded is not None
                else:
                    before = server.jobs[job.id]
                    assert before.place is change.was, (job.id, before.place, change)
                    job.payload = None if job.state is JobState.SUCCEEDED else before.job.payload
                waits = change.place in (Place.READY, Place.DELAYED)
                assert waits is (change.arrival is not None), change
                server.jobs[job.id] = Kept(job, change.place, change.arrival)
            for name, said in writing.workers.items():
                if said is None:
                    server.workers.pop(name, None)
                else:
                    server.workers[name] = said
            server.minutes.update({int(minute[0]): minute for minute in writing.minutes})
            server.head, server.commits[writing.worker] = writing.head, writing.commit
            server.writes += 1
            if writing.notice is not None:
                server.tell(writing.notice)
            self._check_counts()
            server.after_write()
            return True

    def _check_new(self, writing: Writing) -> None:
        uniques = {one.job.unique for one in self._in(Place.READY, Place.DELAYED, Place.RUNNING)} - {None}
        for change in writing.changes:
            if change.was is Place.NOWHERE and (change.job.id in self.server.jobs or change.job.unique in uniques):
                raise JobExistsError

    def _check_counts(self) -> None:
        head = self.server.head
        assert head is not None
        assert (head.ready, head.delayed) == (len(self._in(Place.READY)), len(self._in(Place.DELAYED)))

    def promote(self, now: float) -> None:
        server = self.server
        with server.lock:
            assert server.head is not None
            due = [one for one in self._in(Place.DELAYED) if one.job.ready_at <= now]
            for one in due:
                one.place = Place.READY
            head = server.head
            server.head = attrs.evolve(
                head,
                version=head.version + 1,
                ready=head.ready + len(due),
                delayed=head.delayed - len(due),
                at=max(head.at, now),
            )

    def prune(self, older_than: float, limit: int) -> int:
        with self.server.lock:
            ended = sorted(self._in(Place.ENDED), key=lambda one: one.job.ended_at or 0.0)
            old = [one for one in ended if (one.job.ended_at or 0.0) < older_than][:limit]
            for one in old:
                del self.server.jobs[one.job.id]
            return len(old)

    def in_order(self, after: Key, count: int) -> list[Row]:
        with self.server.lock:
            return [_row(one.job) for one in self._in(Place.READY) if one.key > after][:count]

    def named(self, count: int) -> list[Row]:
        with self.server.lock:
            return [_row(one.job) for one in self._in(Place.READY)[:count]]

    def ahead_of(self, key: Key) -> int:
        with self.server.lock:
            return sum(one.key < key for one in self._in(Place.READY))

    def delayed_before(self, ready_at: float, seq: int) -> int:
        with self.server.lock:
            return sum((one.job.ready_at, one.job.seq) < (ready_at, seq) for one in self._in(Place.DELAYED))

    def find(self, job_ids: Any, uniques: Any) -> list[Row]:
        with self.server.lock:
            active = (JobState.QUEUED, JobState.RUNNING)
            return [
                _row(one.job)
                for one in self.server.jobs.values()
                if one.job.id in job_ids or (one.job.unique in uniques and one.job.state in active)
            ]

    def oldest(self, count: int) -> list[Row]:
        with self.server.lock:
            waiting = sorted(self._in(Place.READY, Place.DELAYED), key=lambda one: one.arrival or 0)
            return [_row(one.job) for one in waiting[:count]]

    def expired(self, now: float, limit: int) -> list[Row]:
        with self.server.lock:
            waiting = self._in(Place.READY, Place.DELAYED)
            over = [one for one in waiting if one.job.expires_at is not None and one.job.expires_at <= now]
            return [_row(one.job) for one in sorted(over, key=lambda one: (one.job.expires_at, one.job.seq))[:limit]]

    def kinds(self) -> list[tuple[str, str | None]]:
        with self.server.lock:
            return list({(one.job.task, one.job.home) for one in self._in(Place.READY, Place.DELAYED)})

    def of_kind(self, task: str, home: str | None, limit: int) -> list[Row]:
        with self.server.lock:
            waiting = self._in(Place.READY, Place.DELAYED)
            return [_row(one.job) for one in waiting if (one.job.task, one.job.home) == (task, home)][:limit]

    def waiting(self, after: Mark | None, count: int) -> list[Row]:
        with self.server.lock:
            ready = [(0, *one.key, one.job) for one in self._in(Place.READY)]
            delayed = [(1, one.job.ready_at, one.job.seq, one.job) for one in self._in(Place.DELAYED)]
            start = (-1, 0.0, 0) if after is None else (after.shelf, after.at, after.seq)
            found = [entry for entry in [*ready, *sorted(delayed, key=lambda one: one[:3])] if entry[:3] > start]
            return [_listed(job) for *_, job in found[:count]]

    def ended(self, state: str, after: Mark | None, count: int) -> list[Row]:
        with self.server.lock:
            ended = [one.job for one in self._in(Place.ENDED) if one.job.state == state]
            ended.sort(key=lambda job: (job.ended_at or 0.0, job.seq), reverse=True)
            if after is not None:
                ended = [job for job in ended if (job.ended_at or 0.0, job.seq) < (after.at, after.seq)]
            return [_listed(job) for job in ended[:count]]

    def tally(self, most: int) -> dict[str, int]:
        with self.server.lock:
            counts = Counter(one.job.state.value for one in self._in(Place.ENDED))
            return {state: min(count, most) for state, count in counts.items()}

    def minutes(self, since: int) -> list[Tally]:
        with self.server.lock:
            return [minute for number, minute in sorted(self.server.minutes.items()) if number >= since]

    def batch(self, batch_id: str) -> Counter[str]:
        with self.server.lock:
            jobs = [one.job for one in self.server.jobs.values()]
            return Counter(job.state.value for job in jobs if job.batch_id == batch_id)

    def staged(self, limit: int) -> list[Any]:
        return []

    def workers(self) -> list[tuple[str, float, str]]:
        with self.server.lock:
            return [(name, until, tasks) for name, (until, tasks) in self.server.workers.items()]


def _row(job: JobRecord, *, payload: bool = True) -> Row:
    row = row_of(job, encode(job) if job.payload is not None else PLAIN)
    return row if payload else (*row[:2], None, *row[3:])


def _listed(job: JobRecord) -> Row:
    row = _row(job, payload=False)
    return (*row[:35], None, *row[36:])


@attrs.frozen(eq=False)
class MemoryServerStore:
    """A store on such servers, one for each queue."""

    clock: Callable[[], float]
    lease: float = 30.0
    poll: float = 0.25
    keep_finished_for: float = 7 * 86400.0
    codec: JsonCodec = attrs.field(factory=JsonCodec)
    servers: dict[str, MemoryServer] = attrs.field(factory=dict)
    given: bool = True
    """Whether the ledgers are given the clock, or have to hear of it."""

    def server(self, queue: str = "default") -> MemoryServer:
        return self.servers.setdefault(queue, MemoryServer(self.clock))

    async def queues(self) -> list[QueueInfo]:
        heads = {name: server.head for name, server in sorted(self.servers.items())}
        return [QueueInfo(name, stored_terms(head.parts)) for name, head in heads.items() if head is not None]

    @asynccontextmanager
    async def open(
        self, queue: str, rules: Any, worker: str, *, takeover: bool = False, guest: bool = False
    ) -> AsyncGenerator[StoredLedger]:
        backend = MemoryBackend(self.server(queue), worker)
        clock = self.clock if self.given else None
        async with opened_on_server(
            backend, self.server(queue), self, queue, rules, worker, clock=clock, takeover=takeover, guest=guest
        ) as ledger:
            yield ledger
