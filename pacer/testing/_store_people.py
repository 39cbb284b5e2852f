"""The store's contract: what people ask of it and tell it. And the whole suite."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta

from pacer._job import JobState, Outcome, OutcomeKind
from pacer.backoff import ExponentialBackoff
from pacer.pacing import ManualPace
from pacer.testing._expect import expect, expect_equal
from pacer.testing._store_admission import ADMISSION_CHECKS
from pacer.testing._store_desk import FAILED, SUCCEEDED, TASKS, StoreCheck, StoreFactory, ids, set_up
from pacer.testing._store_expiry import EXPIRY_CHECKS
from pacer.testing._store_overview import OVERVIEW_CHECKS
from pacer.testing._store_parts import PARTS_CHECKS
from pacer.testing._store_recovery import RECOVERY_CHECKS
from pacer.testing._store_running import RUNNING_CHECKS, assert_record


async def check_clock(factory: StoreFactory) -> None:
    """The ledger's time is the store's clock, and `utc` turns it into aware datetimes at the same pace."""
    async with set_up(factory) as desk:
        desk.clock.advance(0.5)
        expect_equal((desk.a.now(), desk.b.now()), (desk.clock.now, desk.clock.now), "all ledgers show one time")
        now, later = desk.a.utc(desk.clock.now), desk.a.utc(desk.clock.now + 90)
        expect_equal(now.utcoffset(), timedelta(0), "utc is aware, and UTC")
        expect(abs(later - now - timedelta(seconds=90)) < timedelta(milliseconds=1), "utc runs with the clock")


async def check_cancel_waiting(factory: StoreFactory) -> None:
    """A waiting job, delayed or not, is cancelled at once and never runs; those behind it move up."""
    async with set_up(factory) as desk:
        await desk.add("j1", "j2")
        await desk.add("delayed", delay=60.0)
        expect_equal(await desk.b.cancel("j1"), JobState.QUEUED, "cancel answers with the state it found")
        expect_equal(await desk.b.cancel("delayed"), JobState.QUEUED, "cancel answers with the state it found")
        states = [await desk.state(job_id) for job_id in ("j1", "delayed")]
        expect_equal(states, [JobState.CANCELLED] * 2, "a waiting job is cancelled at once")
        expect_equal(await desk.a.position("j2"), 1, "those behind move up")
        expect_equal((await desk.a.snapshot()).waiting, 1, "cancelled jobs do not wait")
        desk.clock.advance(60)
        await desk.start(desk.a, "j2")


async def check_cancel_running(factory: StoreFactory) -> None:
    """The worker of a running job is asked to cancel it, and settles it as cancelled."""
    async with set_up(factory) as desk:
        await desk.add("j1", "j2")
        job, other = await desk.start(desk.a, "j1", "j2")
        expect_equal(await desk.b.cancel("j1"), JobState.RUNNING, "cancel answers with the state it found")
        expect_equal(await desk.state("j1"), JobState.RUNNING, "a running job is cancelled by its worker only")
        beat = await desk.a.beat([job, other])
        expect_equal((beat.cancel, beat.lost), (frozenset({"j1"}), frozenset()), "beat names the jobs to cancel")
        job.cancel_requested = True
        settled = await desk.a.settle(job, Outcome(OutcomeKind.IGNORED, error="cancelled"), None)
        expect_equal(settled.record.state, JobState.CANCELLED, "a run that was cancelled is no failure")
        queue = (await desk.b.snapshot()).queue
        expect_equal((queue.succeeded, queue.failed, queue.failures), (0, 0, 0), "a cancelled run teaches nothing")


async def check_cancel_too_late(factory: StoreFactory) -> None:
    """Cancelling a finished job changes nothing; an unknown one is None."""
    async with set_up(factory) as desk:
        await desk.add("j1")
        await desk.run(desk.a, "j1")
        expect_equal(await desk.b.cancel("j1"), JobState.SUCCEEDED, "cancel answers with the state it found")
        expect_equal(await desk.state("j1"), JobState.SUCCEEDED, "final states have no way out")
        expect_equal(await desk.b.cancel("unknown"), None, "an unknown job is None")


async def check_pause(factory: StoreFactory) -> None:
    """A paused queue takes jobs and starts none, on any worker, until it is resumed; running jobs end as usual."""
    async with set_up(factory) as desk:
        await desk.add("j1")
        (job,) = await desk.start(desk.a, "j1")
        await desk.b.set_paused(True)
        await desk.add("j2")
        await desk.a.settle(job, SUCCEEDED, None)
        claimed = await desk.a.claim(TASKS, 1)
        expect_equal((ids(claimed), claimed.next.at), ([], math.inf), "a paused queue starts nothing, at no known time")
        expect(claimed.next.on_event and "paused" in claimed.next.reason, "claim says that the queue is paused")
        await desk.a.set_paused(False)
        await desk.start(desk.b, "j2")


async def check_hold_ends(factory: StoreFactory) -> None:
    """A hold is ended by hand, for all workers at once; failures in a row stay, and the next one holds again."""
    async with set_up(factory, backoff=ExponentialBackoff(10, maximum=300)) as desk:
        await desk.add("j1", "j2", "j3")
        expect_equal(await desk.b.end_hold(), False, "there is none to end")
        await desk.run(desk.a, "j1", FAILED)
        expect_equal((await desk.a.claim(TASKS, 1)).next.at, desk.clock.now + 10, "failures hold the queue")
        desk.clock.advance(1)
        expect_equal(await desk.b.end_hold(), True, "and it tells that there was one")
        queue = (await desk.a.snapshot()).queue
        expect_equal(
            (queue.hold_until, queue.failures), (desk.clock.now, 1), "it is over, and nothing else is forgotten"
        )
        await desk.run(desk.a, "j2", FAILED)
        expect_equal(
            (await desk.b.claim(TASKS, 1)).next.at, desk.clock.now + 20, "the next failure holds it for longer"
        )


async def check_rate(factory: StoreFactory) -> None:
    """A rate that is set holds for all workers, those that come later too; one that cannot be is refused."""
    async with set_up(factory, pacing=ManualPace(1)) as desk:
        await desk.add("j1", "j2", "j3")
        await desk.start(desk.a, "j1")
        began = desk.clock.now
        await desk.b.set_rate(0.1)
        claimed = await desk.a.claim(TASKS, 1)
        expect_equal((ids(claimed), claimed.next.at), ([], began + 10), "the rate is that which was set")
        async with desk.open("c") as ledger:
            when = (await ledger.claim(frozenset(), 1)).next
            expect(when.at >= began + 10, "those who come later keep to it, too")
            try:
                await ledger.set_rate(-1.0)
            except ValueError:
                pass
            else:
                expect(False, "a rate that cannot be is refused")
        await desk.a.set_rate(None)
        desk.clock.advance(1)
        await desk.start(desk.b, "j2")


async def check_batches(factory: StoreFactory) -> None:
    """A batch is counted by the states of its jobs, until the last one is finished; an unknown one is None."""
    async with set_up(factory) as desk:
        await desk.a.add([desk.job(f"j{number}", batch_id="x") for number in range(4)])
        await desk.add("alone")
        await desk.run(desk.a, "j0")
        await desk.run(desk.a, "j1", FAILED)
        await desk.a.claim(TASKS, 1)
        found = await desk.b.batch("x")
        expect(found is not None, "a batch can be asked about")
        if found is not None:
            states = (JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING, JobState.QUEUED)
            expect_equal(dict(found.counts), dict.fromkeys(states, 1), "a batch counts its jobs by state")
            expect_equal((found.total, found.finished), (4, 2), "a batch knows how many there are")
        expect_equal(await desk.b.batch("unknown"), None, "an unknown batch is None")


async def check_progress(factory: StoreFactory) -> None:
    """What a job reports of its progress can be read by all after the next heartbeat; a new run starts without."""
    async with set_up(factory) as desk:
        await desk.add("j1")
        (job,) = await desk.start(desk.a, "j1")
        job.progress, job.message = 0.25, "page 1 of 4"
        await desk.a.beat([job])
        assert_record(await desk.b.job("j1"), JobState.RUNNING, progress=0.25, message="page 1 of 4")
        await desk.a.release([job])
        await desk.start(desk.b, "j1")
        assert_record(await desk.b.job("j1"), JobState.RUNNING, progress=None, message="")


STORE_CHECKS: Sequence[StoreCheck] = (
    check_clock,
    *ADMISSION_CHECKS,
    *RUNNING_CHECKS,
    *RECOVERY_CHECKS,
    *EXPIRY_CHECKS,
    *PARTS_CHECKS,
    *OVERVIEW_CHECKS,
    check_cancel_waiting,
    check_cancel_running,
    check_cancel_too_late,
    check_pause,
    check_hold_ends,
    check_rate,
    check_batches,
    check_progress,
)
"""The promises of a store, one async function each: `await check(factory)` with a `StoreFactory`."""


async def check_store(factory: StoreFactory) -> None:
    """Run all of STORE_CHECKS on the stores that a factory makes.

    Args:
        factory: Called with a manual clock and a lease in seconds; gives a new store without jobs each time.

    Raises:
        AssertionError: A store breaks a promise; the message says which, and a note in which check.
    """
    for check in STORE_CHECKS:
        try:
            await check(factory)
        except BaseException as error:
            error.add_note(f"in {check.__name__}: {check.__doc__}")
            raise
