"""Any sequence of calls leaves a store where a simple model says it should be."""

from __future__ import annotations

import asyncio
import itertools
import math
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import attrs
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pacer import (
    BoundedQueue,
    JobRecord,
    JobState,
    LeaseLostError,
    Outcome,
    OutcomeKind,
    QueueFullError,
    Retry,
    Rules,
)
from pacer.backoff import ConstantBackoff, NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.protocols import Store
from pacer.queues import FairShare
from pacer.stores import MemoryStore
from pacer.stores.sqlite import SqliteStore
from pacer.testing import ManualClock

T = TypeVar("T")

CAPACITY, CONCURRENCY, ATTEMPTS, RETRY_DELAY = 4, 2, 2, 5.0
WEIGHTS = {"a": 2.0, None: 0.5}
TASKS = frozenset({"work"})


@attrs.define
class Model:
    """What the store should hold of one job."""

    id: str
    seq: int
    ready_at: float
    unique: str | None
    key: str | None
    expires_at: float
    tag: float = 0.0
    state: JobState = JobState.QUEUED
    failures: int = 0
    throttles: int = 0


def lane(key: str | None) -> str:
    return "" if key is None else f":{key}"


class StoreMachine(RuleBasedStateMachine):
    """One worker's calls, with a clock that moves and a store that is closed and opened again at any moment."""

    make_store: ClassVar[Callable[[Path, ManualClock], Store]]

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        self.store = type(self).make_store(Path(self.directory.name), self.clock)
        self.rules = Rules(
            queue=BoundedQueue(CAPACITY, order=FairShare(WEIGHTS)),
            pacing=Unpaced(),
            backoff=NoBackoff(),
            estimator=MovingAverage(),
            concurrency=CONCURRENCY,
        )
        self.jobs: dict[str, Model] = {}
        self.held: dict[str, JobRecord] = {}
        self.hold_until = 0.0
        self.paused = False
        self.virtual = 0.0
        self.finish: dict[str | None, float] = {}
        self.untold: set[str] = set()
        self.numbers = itertools.count()
        self.open()

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.close()
            self.runner.close()
            self.directory.cleanup()

    def run(self, awaitable: Awaitable[T]) -> T:
        async def main() -> T:
            return await awaitable

        return self.runner.run(main())

    def open(self) -> None:
        self.block = self.store.open("queue", self.rules, f"worker-{next(self.numbers)}")
        self.ledger = self.run(self.block.__aenter__())

    def close(self) -> None:
        self.run(self.block.__aexit__(None, None, None))

    def waiting(self) -> list[Model]:
        """In the order in which a store counts them: ready ones by tag and arrival, then delayed ones by time.

        Whoever looks after its time does not find a job among them any more.
        """
        for job in self.jobs.values():
            if job.state is JobState.QUEUED and job.expires_at <= self.clock.now:
                job.state = JobState.EXPIRED
                self.untold.add(job.id)
        queued = [job for job in self.jobs.values() if job.state is JobState.QUEUED]
        late = [job for job in queued if job.ready_at > self.clock.now]
        ready = [job for job in queued if job.ready_at <= self.clock.now]
        return sorted(ready, key=lambda job: (job.tag, job.seq)) + sorted(late, key=lambda job: (job.ready_at, job.seq))

    def running(self) -> list[Model]:
        return [job for job in self.jobs.values() if job.state is JobState.RUNNING]

    @rule(
        size=st.integers(1, 3),
        delay=st.sampled_from([0.0, 0.0, 3.0, 30.0]),
        unique=st.sampled_from([None, None, "a", "b"]),
        key=st.sampled_from([None, "a", "b", "None"]),
        expires=st.sampled_from([None, None, 0.5, 4.0, 20.0]),
        again=st.booleans(),
    )
    def add(
        self, size: int, delay: float, unique: str | None, key: str | None, expires: float | None, again: bool
    ) -> None:
        self.waiting()
        ids = [f"job-{next(self.numbers)}" for _ in range(size)]
        if again and self.jobs:
            ids[0] = next(iter(self.jobs))
        records = [
            JobRecord(job_id, "work", "[[],{}]", delay=delay, unique=unique, key=key, expires=expires) for job_id in ids
        ]
        expires_at = math.inf if expires is None else self.clock.now + expires
        existing: dict[str, str] = {}
        fresh: list[Model] = []
        active = {job.unique: job.id for job in self.jobs.values() if not job.state.final and job.unique}
        for record in records:
            if record.id in self.jobs:
                existing[record.id] = record.id
            elif unique in active:
                existing[record.id] = active[unique]
            else:
                fresh.append(Model(record.id, 0, self.clock.now + delay, unique, key, expires_at))
                if unique is not None:
                    active[unique] = record.id
        if fresh and len(self.waiting()) + len(fresh) > CAPACITY:
            with pytest.raises(QueueFullError) as full:
                self.run(self.ledger.add(records))
            assert full.value.retry_after > 0
            return
        addition = self.run(self.ledger.add(records))
        for job in fresh:
            job.seq = next(self.numbers)
            job.tag = max(self.virtual, self.finish.get(key, 0.0))
            self.finish[key] = job.tag + 1 / WEIGHTS.get(key, 1.0)
            self.jobs[job.id] = job
        assert [added.created for added in addition.jobs] == [record.id not in existing for record in records]
        assert [added.record.id for added in addition.jobs] == [existing.get(r.id, r.id) for r in records]
        assert addition.snapshot.waiting == len(self.waiting())

    @rule(limit=st.integers(1, 3))
    def claim(self, limit: int) -> None:
        claimed = self.run(self.ledger.claim(TASKS, limit))
        expected: list[Model] = []
        if not self.paused and self.clock.now >= self.hold_until:
            ready = [job for job in self.waiting() if job.ready_at <= self.clock.now]
            expected = ready[: min(limit, CONCURRENCY - len(self.running()))]
        assert [record.id for record in claimed.jobs] == [job.id for job in expected]
        for record, job in zip(claimed.jobs, expected, strict=True):
            job.state = JobState.RUNNING
            self.virtual = max(self.virtual, job.tag)
            assert record.attempt == job.failures + 1
            self.held[record.id] = record

    @precondition(lambda self: self.held)
    @rule(kind=st.sampled_from(OutcomeKind), pick=st.integers(0, 9), retry=st.booleans())
    def settle(self, kind: OutcomeKind, pick: int, retry: bool) -> None:
        job_id = sorted(self.held)[pick % len(self.held)]
        record, job = self.held.pop(job_id), self.jobs[job_id]
        outcome = Outcome(kind, result='"done"' if kind is OutcomeKind.SUCCEEDED else None, retry_after=7.0)
        policy = Retry(ATTEMPTS, ConstantBackoff(RETRY_DELAY)) if retry else None
        settled = self.run(self.ledger.settle(record, outcome, policy))
        match kind:
            case OutcomeKind.SUCCEEDED:
                job.state = JobState.SUCCEEDED
            case OutcomeKind.IGNORED:
                job.state = JobState.FAILED
            case OutcomeKind.THROTTLED:
                job.state, job.throttles = JobState.QUEUED, job.throttles + 1
                self.hold_until = max(self.hold_until, self.clock.now + 7.0)
            case OutcomeKind.FAILED:
                job.failures += 1
                job.state = JobState.QUEUED if retry and job.failures < ATTEMPTS else JobState.FAILED
                if job.state is JobState.QUEUED:
                    job.ready_at = self.clock.now + RETRY_DELAY
        assert settled.record.state is job.state
        with pytest.raises(LeaseLostError):
            self.run(self.ledger.settle(record, outcome, policy))

    @precondition(lambda self: self.held)
    @rule()
    def release(self) -> None:
        self.run(self.ledger.release(list(self.held.values())))
        for job_id in self.held:
            self.jobs[job_id].state = JobState.QUEUED
        self.held.clear()

    @precondition(lambda self: self.jobs)
    @rule(pick=st.integers(0, 99))
    def cancel(self, pick: int) -> None:
        self.waiting()
        job = list(self.jobs.values())[pick % len(self.jobs)]
        if job.state is JobState.RUNNING:
            return
        assert self.run(self.ledger.cancel(job.id)) is job.state
        if job.state is JobState.QUEUED:
            job.state = JobState.CANCELLED

    @rule(seconds=st.sampled_from([0.5, 4.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(paused=st.booleans())
    def pause_or_resume(self, paused: bool) -> None:
        self.run(self.ledger.set_paused(paused))
        self.paused = paused

    @rule()
    def expire(self) -> None:
        waiting = self.waiting()
        expired = self.run(self.ledger.expire())
        assert sorted(record.id for record in expired.jobs) == sorted(self.untold), "each is told of once"
        self.untold.clear()
        upcoming = min((job.expires_at for job in waiting), default=math.inf)
        assert expired.next == (None if upcoming == math.inf else upcoming)

    @precondition(lambda self: not self.held)
    @rule()
    def reopen(self) -> None:
        self.expire()
        self.close()
        self.open()
        assert self.run(self.ledger.recover(TASKS)) == []

    @invariant()
    def the_store_is_where_the_model_is(self) -> None:
        if not hasattr(self, "jobs"):
            return
        snapshot = self.run(self.ledger.snapshot())
        assert snapshot.waiting == len(self.waiting())
        assert {run.job.id for run in snapshot.running} == {job.id for job in self.running()}
        assert snapshot.queue.succeeded == sum(job.state is JobState.SUCCEEDED for job in self.jobs.values())
        assert snapshot.queue.failed == sum(job.state is JobState.FAILED for job in self.jobs.values())
        assert snapshot.queue.throttled == sum(job.throttles for job in self.jobs.values())
        shares = snapshot.queue.order
        ahead = {lane(key): tag for key, tag in self.finish.items() if tag > self.virtual}
        assert (shares["virtual"], shares["finish"]) == (self.virtual, ahead)
        for position, job in enumerate(self.waiting(), 1):
            assert self.run(self.ledger.position(job.id)) == position
        for job in self.jobs.values():
            record: Any = self.run(self.ledger.job(job.id))
            assert (record.state, record.failures, record.throttles) == (job.state, job.failures, job.throttles)


class MemoryMachine(StoreMachine):
    make_store = staticmethod(lambda directory, clock: MemoryStore(clock=clock))


class SqliteMachine(StoreMachine):
    make_store = staticmethod(
        lambda directory, clock: SqliteStore(directory / "jobs.db", durability="process", clock=clock)
    )


MemoryMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
SqliteMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)


class TestMemoryStore(MemoryMachine.TestCase):
    """On MemoryStore."""


class TestSqliteStore(SqliteMachine.TestCase):
    """On SqliteStore."""
