"""Whatever is done to it, a store answers as the memory store does, which is the reference.

Two workers a store take turns, each with a connection and a memory of the queue of its own, so what one of them has
missed of the other shows here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import attrs
from hypothesis import strategies as st

from pacer._errors import LeaseLostError, QueueFullError
from pacer._job import ENDED_WITHOUT_SUCCESS, ONE_REQUEST, JobRecord, JobState, Outcome, OutcomeKind, Retry
from pacer._overview import Listing
from pacer._rules import Rules
from pacer.backoff import ConstantBackoff, ExponentialBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause, TokenBucket, Unpaced
from pacer.protocols import JobQueue, Store
from pacer.queues import EarliestDeadline, FairShare, Fifo, Lifo, Priority, ShortestFirst
from pacer.queues._bounded import BoundedQueue
from pacer.queues._max_wait import MaxWait
from pacer.stores import MemoryStore
from pacer.testing import ManualClock

TASKS = frozenset({"work", "other"})
WORKERS = ("a", "b")
OUTCOMES = (
    Outcome(OutcomeKind.SUCCEEDED, result="1"),
    Outcome(OutcomeKind.FAILED, error="ValueError: no"),
    Outcome(OutcomeKind.THROTTLED, retry_after=3.0, error="429"),
    Outcome(OutcomeKind.THROTTLED),
    Outcome(OutcomeKind.IGNORED, error="cannot be read back"),
)
RETRIES = (None, Retry(3, ConstantBackoff(4.0)))
IDS = [f"j{number}" for number in range(12)]


def adds() -> st.SearchStrategy[tuple[Any, ...]]:
    one = st.fixed_dictionaries(
        {
            "id": st.sampled_from(IDS),
            "task": st.sampled_from(["work", "work", "other", "unknown"]),
            "key": st.sampled_from([None, "k", "l"]),
            "priority": st.integers(0, 2),
            "delay": st.sampled_from([0.0, 0.0, 5.0]),
            "unique": st.sampled_from([None, None, "u"]),
            "home": st.sampled_from([None, None, "a", "b", "gone"]),
            "batch_id": st.sampled_from([None, "x"]),
            "expires": st.sampled_from([None, None, 1.0, 4.0, 10.0, 40.0]),
            "cost": st.sampled_from([ONE_REQUEST, ONE_REQUEST, {"requests": 3.0}]),
        }
    )
    return st.tuples(st.just("add"), st.sampled_from(WORKERS), st.lists(one, min_size=1, max_size=3))


OPERATIONS = st.one_of(
    adds(),
    adds(),
    st.tuples(st.just("claim"), st.sampled_from(WORKERS), st.integers(1, 3)),
    st.tuples(st.just("settle"), st.integers(0, 9), st.sampled_from(OUTCOMES), st.sampled_from(RETRIES), st.booleans()),
    st.tuples(st.just("release"), st.sampled_from(WORKERS), st.integers(0, 9)),
    st.tuples(st.just("beat"), st.sampled_from(WORKERS)),
    st.tuples(st.just("recover"), st.sampled_from(WORKERS)),
    st.tuples(st.just("cancel"), st.sampled_from(WORKERS), st.sampled_from(IDS)),
    st.tuples(st.just("rerun"), st.sampled_from(WORKERS), st.integers(0, 9), st.integers(1, 3)),
    st.tuples(st.just("rerun"), st.sampled_from(WORKERS), st.integers(0, 9), st.integers(1, 3)),
    st.tuples(st.just("expire"), st.sampled_from(WORKERS)),
    st.tuples(st.just("reopen"), st.sampled_from(WORKERS)),
    st.tuples(st.just("pause"), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 4.0, 5.0, 10.0, 40.0])),
)


@attrs.define(eq=False)
class Bench:
    """Two workers on one store, and the jobs they hold."""

    clock: ManualClock
    store: Store
    rules: Callable[[], Rules]
    queue: str = "default"
    ledgers: dict[str, Any] = attrs.field(factory=dict)
    held: list[tuple[str, JobRecord]] = attrs.field(factory=list)
    blocks: dict[str, AsyncExitStack] = attrs.field(factory=dict)

    async def open(self, worker: str) -> None:
        """A worker comes, and looks at what there is."""
        self.blocks[worker] = AsyncExitStack()
        ledger = await self.blocks[worker].enter_async_context(self.store.open(self.queue, self.rules(), worker))
        self.ledgers[worker] = ledger
        await ledger.recover(TASKS)

    async def close(self) -> None:
        for block in self.blocks.values():
            await block.aclose()

    async def do(self, operation: Sequence[Any]) -> Any:
        """Do it, and say what came of it."""
        name, *arguments = operation
        return await getattr(self, name)(*arguments)

    async def add(self, worker: str, fields: Sequence[dict[str, Any]]) -> Any:
        try:
            addition = await self.ledgers[worker].add(
                [JobRecord(payload="[[],{}]", **{"task": "work", **one}) for one in fields]
            )
        except QueueFullError as error:
            return error.args
        return (
            [(one.record.id, one.position, one.created) for one in addition.jobs],
            [record.id for record in addition.dropped],
            addition.snapshot.waiting,
        )

    async def claim(self, worker: str, limit: int) -> Any:
        claimed = await self.ledgers[worker].claim(TASKS, limit)
        self.held += [(worker, record) for record in claimed.jobs]
        # `next` says when to ask again if there are none; with some a store need not have looked again from the front.
        return [facts(record) for record in claimed.jobs] or claimed.next

    async def settle(self, index: int, outcome: Outcome, retry: Retry | None, again: bool) -> Any:
        if not self.held:
            return None
        worker, record = self.held[index % len(self.held)]
        if not again:
            self.held.remove((worker, record))
        try:
            settled = await self.ledgers[worker].settle(record, outcome, retry)
        except LeaseLostError:
            return "lost"
        return facts(settled.record), settled.hold, settled.queue

    async def release(self, worker: str, index: int) -> None:
        mine = [one for one in self.held if one[0] == worker][index:]
        await self.ledgers[worker].release([record for _, record in mine])
        self.held = [one for one in self.held if one not in mine]

    async def beat(self, worker: str) -> Any:
        beat = await self.ledgers[worker].beat([record for name, record in self.held if name == worker])
        return beat.lost, beat.cancel

    async def recover(self, worker: str) -> Any:
        return sorted(facts(record) for record in await self.ledgers[worker].recover(TASKS))

    async def cancel(self, worker: str, job_id: str) -> Any:
        return await self.ledgers[worker].cancel(job_id)

    async def rerun(self, worker: str, index: int, count: int) -> Any:
        """Some that ended without success, and one of which nobody knows how it is."""
        jobs = [(job_id, await self.ledgers[worker].job(job_id)) for job_id in IDS]
        ended = [job_id for job_id, record in jobs if record is not None and record.state in ENDED_WITHOUT_SUCCESS]
        rerun = await self.ledgers[worker].rerun([*ended[index % max(1, len(ended)) :][:count], IDS[index]])
        full = None if rerun.full is None else rerun.full.args
        return [facts(record) for record in rerun.jobs], rerun.refused, [one.id for one in rerun.dropped], full

    async def expire(self, worker: str) -> Any:
        """Whoever has taken them out tells of them: each job is told of once."""
        expired = await self.ledgers[worker].expire()
        others = [await ledger.expire() for name, ledger in self.ledgers.items() if name != worker]
        jobs = [facts(record) for one in (expired, *others) for record in one.jobs]
        return sorted(jobs), expired.next

    async def reopen(self, worker: str) -> Any:
        """It goes, and comes back under its old name; what it has not told of by then is told by nobody."""
        told = await self.expire(worker)
        await self.blocks[worker].aclose()
        await self.open(worker)
        return told

    async def pause(self, paused: bool) -> None:
        await self.ledgers["a"].set_paused(paused)

    async def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    async def seen(self, worker: str) -> Any:
        """All that this worker can see."""
        ledger = self.ledgers[worker]
        snapshot = await ledger.snapshot()
        jobs = [await ledger.job(job_id) for job_id in IDS]
        running = sorted((run.job.id, run.started_at) for run in snapshot.running)
        return (
            (snapshot.now, snapshot.queue, snapshot.waiting, running, snapshot.oldest_at),
            [None if record is None else facts(record) for record in jobs],
            [await ledger.position(job_id) for job_id in IDS],
            await ledger.batch("x"),
        )

    async def lists(self, worker: str) -> Any:
        """All that people see of it, too."""
        pages = {state: await self._pages(worker, state) for state in JobState}
        return pages, await self.ledgers[worker].tally(2), await self.ledgers[worker].history(0)

    async def _pages(self, worker: str, state: JobState) -> list[Any]:
        """All jobs in this state, two at a time."""
        seen: list[Any] = []
        listing = Listing(state=state, limit=2)
        while True:
            page = await self.ledgers[worker].listed(listing)
            seen += [(mark, facts(record)) for mark, record in page.jobs]
            if page.after is None:
                return seen
            listing = attrs.evolve(listing, after=page.after)


def facts(record: JobRecord) -> tuple[Any, ...]:
    return tuple(
        getattr(record, name)
        for name in (
            *("id", "task", "state", "seq", "sort_key", "created_at", "ready_at", "expires_at"),
            *("started_at", "ended_at"),
            *("failures", "throttles", "recoveries", "cancel_requested", "error", "result", "attempt"),
        )
    )


def make_rules(queue: JobQueue, pacing: Any, concurrency: int) -> Rules:
    return Rules(queue, pacing, ExponentialBackoff(2, after=2), MovingAverage(), concurrency, max_recoveries=1)


CASES: dict[str, st.SearchStrategy[Any]] = {
    "queue": st.sampled_from(
        [
            BoundedQueue(5),
            BoundedQueue(50),
            BoundedQueue(3, "drop-oldest"),
            BoundedQueue(50, order=Priority(ageing=2)),
            BoundedQueue(4, "drop-oldest", order=Priority(ageing=2)),
            BoundedQueue(50, order=Fifo()),
            BoundedQueue(50, order=Lifo()),
            BoundedQueue(50, order=EarliestDeadline()),
            BoundedQueue(50, order=ShortestFirst(ageing=0.1)),
            BoundedQueue(50, order=FairShare({"k": 2})),
            BoundedQueue(4, "drop-oldest", order=FairShare(keys=1)),
            MaxWait(100.0),
            MaxWait(150.0, capacity=5, order=Priority(ageing=2)),
            MaxWait(0.5, order=Lifo()),
            MaxWait(100.0, order=FairShare()),
        ]
    ),
    "pacing": st.sampled_from([Unpaced(), FixedPause(2), TokenBucket(1, per=3, burst=2)]),
    "concurrency": st.sampled_from([1, 3, 100]),
    "operations": st.lists(OPERATIONS, max_size=60),
}
"""What a store is compared with the memory store in: the parts of a queue, and what is done to it."""


RERUNS: Sequence[tuple[Any, ...]] = (
    ("add", "a", [{"id": "j0", "unique": "u", "batch_id": "x"}, {"id": "j1", "batch_id": "x"}, {"id": "j2"}]),
    ("add", "b", [{"id": "j3", "delay": 5.0}, {"id": "j4", "expires": 4.0, "key": "k"}, {"id": "j5"}]),
    ("cancel", "a", "j2"),
    ("claim", "b", 2),
    ("settle", 0, OUTCOMES[1], None, False),
    ("settle", 0, OUTCOMES[1], RETRIES[1], False),
    ("rerun", "a", 0, 3),
    ("wait", 5.0),
    ("expire", "b"),
    ("add", "b", [{"id": "j6", "unique": "u"}]),
    ("rerun", "b", 0, 3),
    ("cancel", "b", "j0"),
    ("cancel", "a", "j3"),
    ("add", "a", [{"id": "j7", "unique": "u"}]),
    ("rerun", "b", 0, 2),
    ("claim", "a", 3),
    ("settle", 0, OUTCOMES[0], None, False),
    ("settle", 0, OUTCOMES[1], None, False),
    ("rerun", "b", 1, 3),
    ("reopen", "a"),
    ("rerun", "a", 0, 3),
)
"""Jobs that end in several ways and come back; random operations seldom get so far."""


async def check_like_memory(
    make_store: Callable[[ManualClock], Store],
    queue: JobQueue,
    pacing: Any,
    concurrency: int,
    operations: Sequence[Sequence[Any]],
    name: str = "default",
) -> None:
    """Do the same to a queue of this store as to one in memory, and see the same."""
    async with AsyncExitStack() as stack:
        benches: list[Bench] = []
        for make in (lambda clock: MemoryStore(clock=clock, lease=30), make_store):
            clock = ManualClock()
            bench = Bench(clock, make(clock), lambda: make_rules(queue, pacing, concurrency), name)
            benches.append(bench)
            stack.push_async_callback(bench.close)
            for worker in WORKERS:
                await bench.open(worker)
        await compare(*benches, operations)


async def compare(memory: Bench, other: Bench, operations: Sequence[Sequence[Any]]) -> None:
    for number, operation in enumerate(operations):
        expected, found = await memory.do(operation), await other.do(operation)
        assert found == expected, operation
        worker = WORKERS[number % 2]
        assert await other.seen(worker) == await memory.seen(worker), operation
        if number % 8 == 7:
            assert await other.lists(worker) == await memory.lists(worker), operation
    assert await other.lists("a") == await memory.lists("a")
