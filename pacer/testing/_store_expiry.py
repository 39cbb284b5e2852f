"""The store's contract: jobs that have to start by a time, or not at all."""

from __future__ import annotations

from collections.abc import Sequence

import anyio

from pacer._job import JobState, Outcome, OutcomeKind, Retry
from pacer.backoff import ConstantBackoff, NoBackoff
from pacer.pacing import FixedPause
from pacer.protocols import Claimed
from pacer.queues._bounded import BoundedQueue
from pacer.testing._clock import ManualClock
from pacer.testing._expect import expect, expect_equal
from pacer.testing._store_desk import (
    FAILED,
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
from pacer.testing._store_running import assert_record

_THROTTLED = Outcome(OutcomeKind.THROTTLED, error="429", retry_after=1.0)


async def _told(desk: Desk) -> list[str]:
    """The jobs that both workers tell of together, now."""
    jobs = [*(await desk.a.expire()).jobs, *(await desk.b.expire()).jobs]
    for job in jobs:
        expect_equal(job.state, JobState.EXPIRED, "a job that `expire` tells of has expired")
    return sorted(ids(jobs))


async def check_expired_jobs_never_start(factory: StoreFactory) -> None:
    """A job starts before its time is over or not at all; then it is final, with the time and a reason."""
    async with set_up(factory) as desk:
        due = desk.clock.now + 10
        await desk.add("j1", "j2", expires=10.0)
        record = await desk.b.job("j1")
        expect_equal(record and record.expires_at, due, "the time counts from admission")
        desk.clock.now = due - 0.001
        claimed = await desk.b.claim(TASKS, 1)
        expect_equal(ids(claimed), ["j1"], "a job may start until its time is over")
        desk.clock.now = due
        await desk.start(desk.a)
        assert_record(await desk.a.job("j2"), JobState.EXPIRED, ended_at=due, started_at=None)
        record = await desk.b.job("j2")
        expect(bool(record and record.error), "an expired job says why it ended")
        expect_equal(await desk.state("j1"), JobState.RUNNING, "a job that has started in time goes on")
        desk.clock.advance(3600)
        await desk.start(desk.b)


async def check_expired_jobs_do_not_wait(factory: StoreFactory) -> None:
    """From its time on nobody finds an expired job in the queue, whoever asks what."""
    async with set_up(factory) as desk:
        await desk.add("j1", expires=10.0, batch_id="x", unique="report")
        await desk.add("j2", batch_id="x")
        desk.clock.advance(10)
        expect_equal(await desk.b.position("j2"), 1, "those behind an expired job move up")
        expect_equal(await desk.a.position("j1"), None, "an expired job has no position")
        snapshot = await desk.b.snapshot()
        found = (snapshot.waiting, [job.id for job in snapshot.ahead])
        expect_equal(found, (1, ["j2"]), "an expired job does not wait")
        batch = await desk.a.batch("x")
        expect_equal(batch and dict(batch.counts), {JobState.EXPIRED: 1, JobState.QUEUED: 1}, "a batch counts it")
        expect_equal(await desk.b.cancel("j1"), JobState.EXPIRED, "an expired job cannot be cancelled any more")
        addition = await desk.b.add([desk.job("j3", unique="report")])
        expect(addition.jobs[0].created, "its unique key is free again")


async def check_expired_jobs_make_room(factory: StoreFactory) -> None:
    """Expired jobs take no slot, and nobody is dropped for one of theirs."""
    async with set_up(factory, queue=BoundedQueue(2)) as desk:
        await desk.add("j1", expires=10.0)
        await desk.add("j2")
        desk.clock.advance(10)
        await admitted(desk.b, desk.job("j3"), "an expired job takes no slot")
    async with set_up(factory, queue=BoundedQueue(3, "drop-oldest")) as desk:
        await desk.add("j1", expires=10.0)
        await desk.add("j2", "j3")
        desk.clock.advance(10)
        addition = await desk.a.add([desk.job("j4"), desk.job("j5")])
        expect_equal(ids(addition.dropped), ["j2"], "only as many are dropped as are too many without the expired ones")
        expect_equal((await desk.b.snapshot()).waiting, 3, "no more jobs wait than may")
        expect_equal(await desk.state("j1"), JobState.EXPIRED, "an expired job is not dropped")


async def check_expiry_is_told_once(factory: StoreFactory) -> None:
    """`expire` tells of each expired job once, whichever worker is asked, and says when the next one is due."""
    async with set_up(factory) as desk:
        expect_equal((await desk.a.expire()).next, None, "without jobs that expire there is no next time")
        began = desk.clock.now
        await desk.add("forever")
        await desk.add("late", expires=30.0)
        await desk.add("soon", expires=10.0)
        await desk.add("too", expires=10.0)
        for ledger in (desk.a, desk.b):
            expired = await ledger.expire()
            expect_equal((ids(expired.jobs), expired.next), ([], began + 10), "nobody has expired yet")
        desk.clock.now = began + 10
        await desk.b.snapshot()
        await desk.b.position("soon")
        expect_equal(await _told(desk), ["soon", "too"], "each expired job is told of once")
        expect_equal(await _told(desk), [], "each expired job is told of once")
        expect_equal((await desk.a.expire()).next, began + 30, "the next one is due at its time")
        (first, *_) = await desk.start(desk.b, "forever", "late")
        expect_equal((await desk.b.expire()).next, None, "a running job does not expire")
        await desk.b.settle(first, SUCCEEDED, None)
        desk.clock.now = began + 40
        expect_equal(await _told(desk), [], "a running job does not expire")


async def check_delayed_jobs_expire(factory: StoreFactory) -> None:
    """A job may expire before its delay is over; one whose delay is over in time starts."""
    async with set_up(factory) as desk:
        await desk.add("never", delay=30.0, expires=10.0)
        await desk.add("in-time", delay=5.0, expires=10.0)
        desk.clock.advance(5)
        await desk.start(desk.b, "in-time")
        desk.clock.advance(5)
        expect_equal(await _told(desk), ["never"], "a delayed job expires")
        expect_equal((await desk.b.snapshot()).waiting, 0, "an expired job does not wait for its delay")
        desk.clock.advance(30)
        await desk.start(desk.a)


async def check_requeued_jobs_expire(factory: StoreFactory) -> None:
    """A job that comes back (throttled, to be retried, given back, recovered) expires at its time, or at once."""
    async with set_up(factory) as desk:
        began = desk.clock.now
        await desk.add("throttled", "retried", "released", "crashed", expires=100.0)
        throttled, retried, released, _ = await desk.start(desk.a, "throttled", "retried", "released", "crashed")
        await desk.a.settle(throttled, _THROTTLED, None)
        await desk.a.settle(retried, FAILED, Retry(9, ConstantBackoff(500)))
        expect_equal((await desk.a.expire()).next, began + 100, "a job that is back in the queue expires at its time")
        desk.clock.now = began + 100
        expect_equal(await _told(desk), ["retried", "throttled"], "jobs that came back expire")
        assert_record(await desk.b.job("retried"), JobState.EXPIRED, failures=1, ended_at=began + 100)
        await desk.a.release([released])
        expect_equal(await _told(desk), ["released"], "a job that comes back too late expires at once")
        desk.clock.advance(LEASE + 1)
        expect_equal(ids(await desk.b.recover(TASKS)), ["crashed"], "its worker is gone")
        expect_equal(await _told(desk), ["crashed"], "a job that comes back too late expires at once")
        await desk.start(desk.b)


async def check_jobs_that_come_back_too_late_never_start(factory: StoreFactory) -> None:
    """A job that is put back when its time is over is not started, even by a claim made at the same moment."""
    async with set_up(factory) as desk:
        await desk.add("late", expires=10.0)
        (late,) = await desk.start(desk.a, "late")
        desk.clock.advance(10)
        claimed: list[Claimed] = []

        async def claim() -> None:
            claimed.append(await desk.a.claim(TASKS, 1))

        async with anyio.create_task_group() as together:
            together.start_soon(desk.a.settle, late, FAILED, Retry(9, NoBackoff()))
            together.start_soon(claim)
        expect_equal(ids(claimed[0]), [], "a job whose time is over does not start")
        expect_equal(await desk.state("late"), JobState.EXPIRED, "a job that comes back too late expires at once")


async def check_expiry_of_a_paused_queue(factory: StoreFactory) -> None:
    """Jobs expire while nothing starts, because the queue is paused or held."""
    async with set_up(factory, pacing=FixedPause(60), concurrency=1) as desk:
        await desk.add("first")
        await desk.add("held", expires=30.0)
        await desk.add("paused", expires=90.0)
        await desk.run(desk.a, "first")
        desk.clock.advance(30)
        await desk.start(desk.b)
        expect_equal(await _told(desk), ["held"], "jobs expire during a pause")
        await desk.a.set_paused(True)
        desk.clock.advance(60)
        expect_equal(await _told(desk), ["paused"], "jobs of a paused queue expire")


async def check_expiry_across_a_restart(factory: StoreFactory) -> None:
    """The time goes on while no worker is there, and a job that has time left keeps it."""
    clock = ManualClock()
    store = factory(clock, LEASE)
    async with store.open("default", make_rules(), "a") as ledger:
        await ledger.recover(TASKS)
        desk = Desk(store, clock, {}, ledger, ledger)
        await desk.add("short", expires=10.0)
        await desk.add("long", expires=30.0)
    began = clock.now
    clock.advance(20)
    async with store.open("default", make_rules(), "b") as ledger:
        await ledger.recover(TASKS)
        expired = await ledger.expire()
        expect_equal((ids(expired.jobs), expired.next), (["short"], began + 30), "the time goes on while all is closed")
        desk = Desk(store, clock, {}, ledger, ledger)
        await desk.start(ledger, "long")


EXPIRY_CHECKS: Sequence[StoreCheck] = (
    check_expired_jobs_never_start,
    check_expired_jobs_do_not_wait,
    check_expired_jobs_make_room,
    check_expiry_is_told_once,
    check_delayed_jobs_expire,
    check_requeued_jobs_expire,
    check_jobs_that_come_back_too_late_never_start,
    check_expiry_of_a_paused_queue,
    check_expiry_across_a_restart,
)
