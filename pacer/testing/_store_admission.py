"""The store's contract: how jobs come in, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from pacer._errors import QueueFullError
from pacer._job import JobState
from pacer.protocols import Addition, Ledger
from pacer.queues import FairShare, Priority
from pacer.queues._bounded import BoundedQueue
from pacer.testing._clock import ManualClock
from pacer.testing._expect import expect, expect_equal
from pacer.testing._store_desk import (
    LEASE,
    SUCCEEDED,
    TASKS,
    Desk,
    StoreCheck,
    StoreFactory,
    admitted,
    ids,
    make_rules,
    set_up,
)


async def check_positions(factory: StoreFactory) -> None:
    """Jobs get 1-based positions in order of arrival; these fall as jobs start, and running jobs have none."""
    async with set_up(factory) as desk:
        for number in (1, 2, 3):
            addition = await desk.a.add([desk.job(f"j{number}")])
            added = addition.jobs[0]
            expect_equal((added.position, added.created), (number, True), "add answers with the job's position")
            expect_equal(addition.snapshot.waiting, number, "add answers with the queue just after it")
            expect_equal(addition.snapshot.now, desk.clock.now, "the snapshot says of which moment it is")
            expect_equal(added.record.state, JobState.QUEUED, "a new job is queued")
            expect_equal(added.record.created_at, desk.clock.now, "a new job is created now, on the store's clock")
        first = await desk.a.claim(frozenset({"work"}), 1)
        expect_equal(ids(first), ["j1"], "first come, first served")
        found = [await desk.b.position(job_id) for job_id in ("j1", "j2", "j3", "unknown")]
        expect_equal(found, [None, 1, 2, None], "positions count waiting jobs only, and are the same for all workers")


async def check_all_or_nothing(factory: StoreFactory) -> None:
    """A batch is admitted whole or not at all: a refusal leaves no trace of it and says when to come back."""
    async with set_up(factory, queue=BoundedQueue(3)) as desk:
        await desk.add("j1", "j2")
        try:
            await desk.a.add([desk.job("j3", batch_id="x"), desk.job("j4", batch_id="x")])
        except QueueFullError as error:
            expect_equal(error.capacity, 3, "QueueFullError names the capacity")
            expect(error.retry_after > 0, "QueueFullError says when to come back, never 0")
        else:
            message = "two jobs do not enter a queue that has room for one"
            raise AssertionError(message)
        expect_equal((await desk.b.snapshot()).waiting, 2, "a refused batch leaves the queue as it was")
        found = [await desk.b.job(job_id) for job_id in ("j3", "j4")]
        expect_equal(found, [None, None], "refused jobs are unknown")
        expect_equal(await desk.b.batch("x"), None, "a refused batch is unknown")
        await desk.a.add([desk.job("j3")])


async def check_capacity_is_shared(factory: StoreFactory) -> None:
    """However many callers add at once, through whichever worker, no more than `capacity` jobs wait."""
    async with set_up(factory, queue=BoundedQueue(10)) as desk:
        accepted: list[int] = []

        async def add(ledger: Ledger, number: int) -> None:
            try:
                await ledger.add([desk.job(f"j{number}")])
            except QueueFullError:
                return
            accepted.append(number)

        async with anyio.create_task_group() as group:
            for number in range(30):
                group.start_soon(add, (desk.a, desk.b)[number % 2], number)
        expect_equal(len(accepted), 10, "a queue of 10 takes 10 of 30 jobs that come at once")
        expect_equal((await desk.a.snapshot()).waiting, 10, "and these 10 wait")


async def check_capacity_counts_waiting_jobs(factory: StoreFactory) -> None:
    """Running jobs take no slot; delayed ones do."""
    async with set_up(factory, queue=BoundedQueue(1)) as desk:
        await desk.add("j1")
        await desk.start(desk.b, "j1")
        await admitted(desk.a, desk.job("j2", delay=60.0), "running jobs take no slot")
        await _expect_full(desk, "j3")


async def _expect_full(desk: Desk, job_id: str) -> None:
    try:
        await desk.a.add([desk.job(job_id)])
    except QueueFullError:
        return
    message = "a job that waits for the end of its delay takes a slot"
    raise AssertionError(message)


async def check_same_id_is_one_job(factory: StoreFactory) -> None:
    """A job whose id exists already, finished or not, is answered with that one; also when the queue is full."""
    known = "a job that exists already takes no slot"
    async with set_up(factory, queue=BoundedQueue(2)) as desk:
        await desk.add("j1", "j2")
        _expect_existing(await admitted(desk.b, desk.job("j2"), known), "j2", 2)
        await desk.run(desk.a, "j1")
        _expect_existing(await admitted(desk.b, desk.job("j1"), known), "j1", None)
        expect_equal((await desk.a.snapshot()).waiting, 1, "an existing job is not added again")


async def check_unique_key_is_one_job(factory: StoreFactory) -> None:
    """While a job with a unique key is unfinished, another one with that key is answered with it; then it may enter."""
    known = "a job whose unique key is taken takes no slot"
    async with set_up(factory, queue=BoundedQueue(1)) as desk:
        await desk.add("j1", unique="report")
        _expect_existing(await admitted(desk.b, desk.job("j2", unique="report"), known), "j1", 1)
        jobs = await desk.start(desk.a, "j1")
        _expect_existing(await admitted(desk.b, desk.job("j2", unique="report"), known), "j1", None)
        await desk.a.settle(jobs[0], SUCCEEDED, None)
        addition = await desk.b.add([desk.job("j2", unique="report")])
        expect(addition.jobs[0].created, "when the first is finished, its unique key is free again")


def _expect_existing(addition: Addition, job_id: str, position: int | None) -> None:
    added = addition.jobs[0]
    expect_equal((added.record.id, added.created), (job_id, False), "the answer is the job that exists already")
    expect_equal(added.position, position, "and its position")


async def check_order(factory: StoreFactory) -> None:
    """The queue's order decides which job is next, and positions follow it; equal jobs in order of arrival."""
    async with set_up(factory, queue=BoundedQueue(9, order=Priority(ageing=100))) as desk:
        for job_id, priority in (("low", 0), ("high", 5), ("middle", 2), ("high-too", 5)):
            await desk.add(job_id, priority=priority)
        order = ["high", "high-too", "middle", "low"]
        positions = [await desk.b.position(job_id) for job_id in order]
        expect_equal(positions, [1, 2, 3, 4], "positions follow the order")
        desk.clock.advance(600)
        addition = await desk.a.add([desk.job("late", priority=5)])
        expect_equal(addition.jobs[0].position, 5, "a sort key is computed once, at admission")
        await desk.start(desk.b, *order, "late")


async def check_order_has_one_state(factory: StoreFactory) -> None:
    """What an order learns of jobs that come in and start is the same for all workers, and survives a restart."""
    clock = ManualClock()
    store, parts = factory(clock, LEASE), {"queue": BoundedQueue(9, order=FairShare({"b": 2}))}
    async with (
        store.open("default", make_rules(**parts), "a") as a,
        store.open("default", make_rules(**parts), "b") as b,
    ):
        await a.recover(TASKS)
        await b.recover(TASKS)
        desk = Desk(store, clock, parts, a, b)
        for ledger, job_id in ((a, "a1"), (b, "a2"), (a, "a3")):
            await ledger.add([desk.job(job_id, key="a")])
        for job_id in ("a1", "a2"):
            await desk.run(b, job_id)
        await b.add([desk.job("b1", key="b")])
        before = (await a.snapshot()).queue.order
        expect_equal(before, {"virtual": 1.0, "finish": {":a": 3.0, ":b": 1.5}}, "all workers share the order's state")
    async with store.open("default", make_rules(**parts), "c") as c:
        await c.recover(TASKS)
        expect_equal((await c.snapshot()).queue.order, before, "the order's state survives a restart")
        desk = Desk(store, clock, parts, c, c)
        for job_id in ("a4", "b2", "b3"):
            await desk.add(job_id, key=job_id[0])
        await desk.start(c, "b1", "b2", "a3", "b3", "a4")


async def check_delay(factory: StoreFactory) -> None:
    """A delayed job starts at the end of its delay, not before, exactly when `claim` said; others pass it."""
    async with set_up(factory) as desk:
        due = desk.clock.now + 10
        addition = await desk.a.add([desk.job("slow", delay=10.0)])
        expect_equal(addition.jobs[0].record.ready_at, due, "a delay counts from admission")
        await desk.add("quick")
        positions = [await desk.b.position(job_id) for job_id in ("quick", "slow")]
        expect_equal(positions, [1, 2], "a delayed job stands behind the ready ones")
        await desk.start(desk.b, "quick")
        claimed = await desk.b.claim(frozenset({"work"}), 1)
        expect_equal((ids(claimed), claimed.next.at), ([], due), "claim says when the delay ends")
        desk.clock.now = due
        await desk.start(desk.b, "slow")


async def check_drop_oldest(factory: StoreFactory) -> None:
    """With "drop-oldest" a full queue lets the newest in and the oldest go; the dropped job is reported and final."""
    async with set_up(factory, queue=BoundedQueue(2, "drop-oldest")) as desk:
        await desk.add("j1", "j2")
        desk.clock.advance(1)
        addition = await desk.a.add([desk.job("j3")])
        expect_equal(ids(addition.dropped), ["j1"], "the job that waited longest is dropped")
        expect_equal(addition.jobs[0].position, 2, "the new job stands behind those that stay")
        expect_equal(await desk.state("j1"), JobState.DROPPED, "a dropped job says so")
        await desk.start(desk.b, "j2", "j3")


async def check_jobs_are_kept_as_given(factory: StoreFactory) -> None:
    """What a job was given (task, arguments, key, priority, cost, time-out, batch) is what a worker gets."""
    async with set_up(factory) as desk:
        given = {
            "key": "tenant 'a\"; --",
            "priority": -3,
            "cost": {"requests": 1.0, "tokens": 1800.5},
            "timeout": 12.5,
            "unique": "ä",
            "batch_id": "b1",
        }
        await desk.add("j1", task="other", **given)
        (job,) = await desk.start(desk.b, "j1")
        found = {name: getattr(job, name) for name in given}
        expect_equal(found, given, "a claimed job has the fields it was enqueued with")
        expect_equal(job.task, "other", "a claimed job has its task")
        args, kwargs = desk.store.codec.decode_call(job.payload)
        expect_equal((list(args), dict(kwargs)), (["j1"], {}), "a claimed job has its arguments")


async def check_queues_are_separate(factory: StoreFactory) -> None:
    """Queues of different names in one store know nothing of each other: jobs, totals, pauses."""
    async with set_up(factory) as desk, desk.open("c", "elsewhere") as elsewhere:
        await desk.add("j1")
        await desk.a.set_paused(True)
        await elsewhere.add([desk.job("k1")])
        expect_equal((await elsewhere.snapshot()).waiting, 1, "a queue counts its own jobs")
        expect_equal(await elsewhere.job("j1"), None, "a queue does not know another one's jobs")
        await desk.start(elsewhere, "k1")


ADMISSION_CHECKS: Sequence[StoreCheck] = (
    check_positions,
    check_all_or_nothing,
    check_capacity_is_shared,
    check_capacity_counts_waiting_jobs,
    check_same_id_is_one_job,
    check_unique_key_is_one_job,
    check_order,
    check_order_has_one_state,
    check_delay,
    check_drop_oldest,
    check_jobs_are_kept_as_given,
    check_queues_are_separate,
)
