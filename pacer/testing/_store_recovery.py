"""The store's contract: leases, crashes, shutdowns and restarts."""

from __future__ import annotations

from collections.abc import Sequence

from pacer._job import JobState, Outcome, OutcomeKind
from pacer.pacing import FixedPause
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
    ids,
    make_rules,
    set_up,
)
from pacer.testing._store_running import OneOfEachKey, assert_record, expect_lease_lost


async def _crash(desk: Desk, *expected: str, tasks: frozenset[str] = TASKS) -> None:
    """Worker a vanishes; b notices, and the jobs that it takes over have to be these."""
    desk.clock.advance(LEASE + 1)
    expect_equal(ids(await desk.b.recover(tasks)), list(expected), "recover returns the jobs that it changed")


async def check_lease_is_kept(factory: StoreFactory) -> None:
    """A worker that beats keeps its jobs, however long they run; nobody recovers them."""
    async with set_up(factory) as desk:
        heartbeat = desk.a.heartbeat
        expect(heartbeat is not None and 0 < heartbeat < LEASE / 2, "a lease has room for a lost heartbeat")
        await desk.add("j1")
        (job,) = await desk.start(desk.a, "j1")
        for _ in range(4):
            desk.clock.advance(LEASE * 0.75)
            beat = await desk.a.beat([job])
            expect_equal((beat.lost, beat.cancel), (frozenset(), frozenset()), "a worker that beats loses nothing")
            expect_equal(ids(await desk.b.recover(TASKS)), [], "a live worker's jobs are not recovered")
        settled = await desk.a.settle(job, SUCCEEDED, None)
        expect_equal(settled.record.state, JobState.SUCCEEDED, "and it settles them")


async def check_crash_is_rerun(factory: StoreFactory) -> None:
    """When a worker is gone, its jobs are run again, at no cost of attempts; the pacing policy is told of the end."""
    async with set_up(factory, pacing=OneOfEachKey()) as desk:
        await desk.add("j1", "j2")
        await desk.start(desk.a, "j1")
        await _crash(desk, "j1")
        record = await desk.b.job("j1")
        assert_record(record, JobState.QUEUED, recoveries=1, failures=0, throttles=0, attempt=1)
        expect_equal(await desk.b.position("j1"), 1, "a recovered job is back at its place")
        await desk.run(desk.b, "j1")
        expect_equal(await desk.state("j1"), JobState.SUCCEEDED, "and it is run to its end")


async def check_fencing(factory: StoreFactory) -> None:
    """A worker whose lease ran out and whose job was taken over can no longer settle it, and is told so."""
    async with set_up(factory) as desk:
        await desk.add("j1")
        (lost,) = await desk.start(desk.a, "j1")
        await _crash(desk, "j1")
        expect_equal((await desk.a.beat([lost])).lost, frozenset({"j1"}), "beat names the jobs that were lost")
        await expect_lease_lost(desk.a, lost, "a lost job that waits again is not settled by its former worker")
        (job,) = await desk.start(desk.b, "j1")
        await expect_lease_lost(desk.a, lost, "a job that another worker runs is not settled by its former worker")
        expect_equal((await desk.a.beat([lost])).lost, frozenset({"j1"}), "beat does not extend another one's lease")
        await desk.a.release([lost])
        expect_equal(await desk.state("j1"), JobState.RUNNING, "a worker releases only what it holds")
        await desk.b.settle(job, SUCCEEDED, None)
        queue = (await desk.a.snapshot()).queue
        expect_equal((queue.succeeded, queue.failed), (1, 0), "the run of the holder counts, and no other")


async def check_crash_loop_ends(factory: StoreFactory) -> None:
    """A job that was running in more crashes than `max_recoveries` is dead, and says so."""
    async with set_up(factory, max_recoveries=2) as desk:
        await desk.add("poison")
        for recoveries in (1, 2):
            await desk.start(desk.a, "poison")
            await _crash(desk, "poison")
            assert_record(await desk.b.job("poison"), JobState.QUEUED, recoveries=recoveries)
        await desk.start(desk.a, "poison")
        await _crash(desk, "poison")
        record = await desk.b.job("poison")
        assert_record(record, JobState.DEAD, recoveries=3)
        expect(record is not None and "crash" in record.error, "a dead job says why")
        await desk.start(desk.b)


async def check_crash_is_stale(factory: StoreFactory) -> None:
    """With `on_crash="stale"` a job that a crash interrupted is not run again; one that only waited is."""
    async with set_up(factory, on_crash="stale") as desk:
        await desk.add("j1", "j2", unique=None)
        claimed = await desk.a.claim(TASKS, 1)
        expect_equal(ids(claimed), ["j1"], "first come, first served")
        await _crash(desk, "j1")
        assert_record(await desk.b.job("j1"), JobState.STALE, recoveries=1)
        await desk.start(desk.b, "j2")


async def check_unknown_functions_are_stale(factory: StoreFactory) -> None:
    """A job becomes stale when no live worker knows its function, running or waiting; not before."""
    async with set_up(factory) as desk:
        await desk.add("ran", "waits")
        await desk.add("known", task="other")
        claimed = await desk.a.claim(TASKS, 1)
        expect_equal(ids(claimed), ["ran"], "first come, first served")
        changed = await desk.b.recover(frozenset({"other"}))
        expect_equal(ids(changed), [], "a job that another live worker knows is left alone")
        desk.clock.advance(LEASE + 1)
        changed = await desk.b.recover(frozenset({"other"}))
        expect_equal(sorted(ids(changed)), ["ran", "waits"], "jobs that nobody alive can run are recovered")
        states = [await desk.state(job_id) for job_id in ("ran", "waits", "known")]
        expect_equal(states, [JobState.STALE, JobState.STALE, JobState.QUEUED], "they become stale")


async def check_homeless_jobs_are_stale(factory: StoreFactory) -> None:
    """A job that only one worker could run becomes stale when that worker is gone, by crash or by leaving."""
    async with set_up(factory) as desk:
        local = {"task": "local", "payload": None}
        async with desk.open("c") as c:
            await c.recover(TASKS)
            await c.add([desk.job("left", home="c", **local)])
            await desk.a.add([desk.job("waits", home="a", unique="u", **local), desk.job("ran", home="a", **local)])
            expect_equal(ids(await desk.b.recover(TASKS)), [], "while its worker lives, a job is left alone")
        expect_equal(ids(await desk.b.recover(TASKS)), ["left"], "a worker that left takes its jobs with it")
        claimed = await desk.a.claim(TASKS, 1)
        expect_equal(ids(claimed), ["waits"], "a job runs at home")
        desk.clock.advance(LEASE + 1)
        changed = await desk.b.recover(TASKS)
        expect_equal(sorted(ids(changed)), ["ran", "waits"], "a crashed worker takes its jobs with it")
        states = [await desk.state(job_id) for job_id in ("left", "ran", "waits")]
        expect_equal(states, [JobState.STALE] * 3, "jobs without a home become stale")
        addition = await desk.b.add([desk.job("again", unique="u")])
        expect(addition.jobs[0].created, "a stale job's unique key is free again")


async def check_release(factory: StoreFactory) -> None:
    """A job that is given back unfinished is where it was, at no cost, for whoever is next; at once."""
    async with set_up(factory, pacing=OneOfEachKey()) as desk:
        await desk.add("j1", key="k1")
        await desk.add("j2", key="k2")
        jobs = await desk.start(desk.a, "j1", "j2")
        await desk.a.release(jobs[:1])
        record = await desk.b.job("j1")
        assert_record(record, JobState.QUEUED, failures=0, throttles=0, recoveries=0, attempt=1)
        expect_equal(await desk.b.position("j1"), 1, "a released job is back at its place")
        queue = (await desk.b.snapshot()).queue
        expect_equal((queue.succeeded, queue.failed, queue.failures), (0, 0, 0), "a release teaches nothing")
        await expect_lease_lost(desk.a, jobs[0], "a released job is no longer held")
        await desk.run(desk.b, "j1")


async def check_release_of_a_cancelled_job(factory: StoreFactory) -> None:
    """A running job that is to be cancelled does not come back when it is released."""
    async with set_up(factory) as desk:
        await desk.add("j1")
        (job,) = await desk.start(desk.a, "j1")
        await desk.b.cancel("j1")
        await desk.a.beat([job])
        await desk.a.release([job])
        expect_equal(await desk.state("j1"), JobState.CANCELLED, "it is cancelled instead")


async def check_restart(factory: StoreFactory) -> None:
    """Jobs, results, totals, the pause, the streak and what was learned survive closing and opening again."""
    clock = ManualClock()
    store, parts = factory(clock, LEASE), {"pacing": FixedPause(60), "concurrency": 1}
    async with store.open("default", make_rules(**parts), "a") as ledger:
        await ledger.recover(TASKS)
        desk = Desk(store, clock, parts, ledger, ledger)
        await desk.add("done", "failed", "waits")
        result = store.codec.encode_result("work", [1, "a"])
        await desk.run(ledger, "done", Outcome(OutcomeKind.SUCCEEDED, result=result), seconds=10)
        clock.advance(60)
        await desk.run(ledger, "failed", FAILED, seconds=5)
        await ledger.set_paused(True)
        before = await ledger.snapshot()
    ended = clock.now
    clock.advance(20)
    async with store.open("default", make_rules(**parts), "b") as ledger:
        expect_equal(ids(await ledger.recover(TASKS)), [], "a clean stop leaves nothing to recover")
        after = await ledger.snapshot()
        expect_equal(after.queue, before.queue, "what the queue has learned survives a restart")
        expect_equal((after.waiting, after.running), (1, ()), "waiting jobs survive a restart")
        record = await ledger.job("done")
        assert_record(record, JobState.SUCCEEDED, ended_at=ended - 65)
        kept = store.codec.decode_result(record.result if record else None)
        expect_equal(kept, [1, "a"], "results survive a restart")
        await ledger.set_paused(False)
        claimed = await ledger.claim(TASKS, 1)
        expect_equal((ids(claimed), claimed.next.at), ([], ended + 60), "a pause goes on across a restart")
        clock.now = ended + 60
        await Desk(store, clock, parts, ledger, ledger).run(ledger, "waits")


async def check_clock_goes_back(factory: StoreFactory) -> None:
    """A clock that is set back neither loses jobs nor teaches nonsense."""
    async with set_up(factory, concurrency=1) as desk:
        await desk.add("j1", "j2")
        (job,) = await desk.start(desk.a, "j1")
        desk.clock.now -= 3600
        await desk.add("j3")
        await desk.a.settle(job, SUCCEEDED, None)
        mean = (await desk.b.snapshot()).queue.estimator["mean"]
        expect(0 < mean <= 60, f"a run takes no negative time: 60 s and a run of 0 s do not average to {mean:g} s")
        await desk.run(desk.b, "j2", seconds=1)
        desk.clock.advance(3600)
        await desk.run(desk.a, "j3", seconds=1)


RECOVERY_CHECKS: Sequence[StoreCheck] = (
    check_lease_is_kept,
    check_crash_is_rerun,
    check_fencing,
    check_crash_loop_ends,
    check_crash_is_stale,
    check_unknown_functions_are_stale,
    check_homeless_jobs_are_stale,
    check_release,
    check_release_of_a_cancelled_job,
    check_restart,
    check_clock_goes_back,
)
