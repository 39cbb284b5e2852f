"""What the store's contract is tried with: a store on a manual clock, and workers on one of its queues."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import attrs

from pacer._errors import QueueFullError
from pacer._job import JobRecord, JobState, Outcome, OutcomeKind
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.protocols import Addition, Claimed, Ledger, Store
from pacer.queues._bounded import BoundedQueue
from pacer.testing._clock import ManualClock
from pacer.testing._expect import expect_equal

LEASE = 30.0
TASKS = frozenset({"work", "other"})
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED)
FAILED = Outcome(OutcomeKind.FAILED, error="ValueError: no")


class StoreFactory(Protocol):
    """Makes the stores that the checks run on."""

    def __call__(self, clock: Callable[[], float], lease: float) -> Store:
        """A new store without jobs, on this clock, whose workers are taken to be gone after `lease` seconds."""


class StoreCheck(Protocol):
    """One check of the store's contract. Its docstring is the promise it shows."""

    __name__: str

    def __call__(self, factory: StoreFactory, /) -> Awaitable[None]:
        """Raises AssertionError if the promise is broken."""


def make_rules(**parts: Any) -> Rules:
    """Rules of which each worker has its own equal copy, as separate processes have."""
    usual = {
        "queue": BoundedQueue(100),
        "pacing": Unpaced(),
        "backoff": NoBackoff(),
        "estimator": MovingAverage(initial=60, weight=0.2),
        "concurrency": 100,
    }
    return Rules(**{**usual, **parts})


@attrs.frozen(eq=False)
class Desk:
    """A store, its clock, and workers "a" and "b" on the queue "default"."""

    store: Store
    clock: ManualClock
    parts: dict[str, Any]
    a: Ledger
    b: Ledger

    def job(self, job_id: str, **fields: Any) -> JobRecord:
        """A new job of the task `work`, with its id as argument."""
        task = fields.pop("task", "work")
        payload = self.store.codec.encode_call(task, [job_id], {})
        return JobRecord(job_id, task, **{"payload": payload, **fields})

    async def add(self, *job_ids: str, **fields: Any) -> None:
        """Enqueue jobs one after the other, through worker a."""
        for job_id in job_ids:
            await self.a.add([self.job(job_id, **fields)])

    async def start(self, ledger: Ledger, *expected: str) -> list[JobRecord]:
        """Claim all that may start now, and check that it is these jobs, in this order."""
        claimed = await ledger.claim(TASKS, 100)
        expect_equal(ids(claimed), list(expected), "claim takes the jobs that may start now, in order")
        return list(claimed.jobs)

    async def state(self, job_id: str) -> JobState:
        """Where the job stands, as worker b sees it."""
        record = await self.b.job(job_id)
        if record is None:
            msg = f"a job that was added can be asked about, but {job_id!r} is unknown"
            raise AssertionError(msg)
        return record.state

    async def run(self, ledger: Ledger, job_id: str, outcome: Outcome = SUCCEEDED, seconds: float = 0.0) -> None:
        """Start the next job, which has to be this one, and end it after so many seconds."""
        claimed = await ledger.claim(TASKS, 1)
        expect_equal(ids(claimed), [job_id], "claim takes the job that is next")
        self.clock.advance(seconds)
        await ledger.settle(claimed.jobs[0], outcome, None)

    def open(
        self, worker: str, queue: str = "default", *, takeover: bool = False, guest: bool = False, **parts: Any
    ) -> AbstractAsyncContextManager[Ledger]:
        """One more worker."""
        return self.store.open(queue, make_rules(**{**self.parts, **parts}), worker, takeover=takeover, guest=guest)


@asynccontextmanager
async def set_up(factory: StoreFactory, **parts: Any) -> AsyncGenerator[Desk]:
    """An empty store, opened by two workers that know the same tasks."""
    clock = ManualClock()
    store = factory(clock, LEASE)
    async with (
        store.open("default", make_rules(**parts), "a") as a,
        store.open("default", make_rules(**parts), "b") as b,
    ):
        await a.recover(TASKS)
        await b.recover(TASKS)
        yield Desk(store, clock, parts, a, b)


async def admitted(ledger: Ledger, job: JobRecord, promise: str) -> Addition:
    """Add a job that has to be taken."""
    try:
        return await ledger.add([job])
    except QueueFullError as error:
        msg = f"{promise}: {job.id!r} was refused, {error}"
        raise AssertionError(msg) from error


def ids(claimed: Claimed | Sequence[JobRecord]) -> list[str]:
    """The ids of these jobs."""
    return [job.id for job in (claimed.jobs if isinstance(claimed, Claimed) else claimed)]
