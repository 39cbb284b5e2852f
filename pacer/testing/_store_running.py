"""The store's contract: which jobs start, and what the end of a run changes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import anyio
import attrs

from pacer._errors import LeaseLostError
from pacer._job import JobRecord, JobState, Outcome, OutcomeKind, Retry
from pacer.backoff import ConstantBackoff
from pacer.pacing import FixedPause, TokenBucket
from pacer.protocols import NOW, JobFacts, Ledger, When
from pacer.testing._expect import expect, expect_equal
from pacer.testing._store_desk import FAILED, SUCCEEDED, TASKS, StoreCheck, StoreFactory, ids, set_up


async def check_claims_only_what_it_can_run(factory: StoreFactory) -> None:
    """A worker gets jobs of tasks it names and those bound to it (`home`), and passes all others by."""
    async with set_up(factory) as desk:
        await desk.add("unknown", task="nobody knows")
        await desk.a.add([desk.job("at-home", home="a", task="local", payload=None)])
        await desk.add("mine")
        claimed = await desk.b.claim(frozenset({"work"}), 10)
        expect_equal(ids(claimed), ["mine"], "a worker claims what it knows, past what it does not")
        claimed = await desk.b.claim(frozenset({"local"}), 10)
        expect_equal(ids(claimed), [], "a job with a home is not run elsewhere, even where its task is known")
        await desk.start(desk.a, "at-home")


async def check_concurrency_is_shared(factory: StoreFactory) -> None:
    """`concurrency` counts the running jobs of all workers; the next start waits for an end, at no known time."""
    async with set_up(factory, concurrency=2) as desk:
        await desk.add("j1", "j2", "j3")
        jobs = await desk.start(desk.a, "j1", "j2")
        claimed = await desk.b.claim(TASKS, 10)
        expect_equal((ids(claimed), claimed.next.at), ([], math.inf), "no more jobs run than concurrency allows")
        expect(claimed.next.on_event, "claim says that the end of a job can change the answer")
        await desk.a.settle(jobs[0], SUCCEEDED, None)
        await desk.start(desk.b, "j3")


async def check_limit_of_a_claim(factory: StoreFactory) -> None:
    """A claim takes no more jobs than it was asked for."""
    async with set_up(factory) as desk:
        await desk.add("j1", "j2", "j3")
        claimed = await desk.a.claim(TASKS, 2)
        expect_equal(ids(claimed), ["j1", "j2"], "claim takes at most `limit` jobs")
        await desk.start(desk.b, "j3")


async def check_one_pace(factory: StoreFactory) -> None:
    """All workers of a queue share one pace, and may start exactly when `claim` said."""
    async with set_up(factory, pacing=TokenBucket(1, per=10, burst=2)) as desk:
        await desk.add("j1", "j2", "j3", "j4")
        await desk.start(desk.a, "j1", "j2")
        began = desk.clock.now
        for ledger, job_id, at in ((desk.b, "j3", began + 10), (desk.a, "j4", began + 20)):
            claimed = await ledger.claim(TASKS, 10)
            expect_equal((ids(claimed), claimed.next.at), ([], at), "the other worker's starts count")
            desk.clock.now = at - 0.5
            await desk.start(ledger)
            desk.clock.now = at
            await desk.start(ledger, job_id)


async def check_one_pause(factory: StoreFactory) -> None:
    """A pause after a job holds every worker, whoever ran the job."""
    async with set_up(factory, pacing=FixedPause(10), concurrency=1) as desk:
        await desk.add("j1", "j2")
        await desk.run(desk.a, "j1", seconds=3)
        claimed = await desk.b.claim(TASKS, 10)
        expect_equal((ids(claimed), claimed.next.at), ([], desk.clock.now + 10), "the pause counts from the end")
        desk.clock.advance(10)
        await desk.start(desk.b, "j2")


@attrs.frozen
class OneOfEachKey:
    """At most one running job of each key: a policy that notices every end that it is not told of."""

    def initial_state(self) -> list[str]:
        """No key is busy."""
        return []

    def earliest(self, state: list[str], now: float, job: JobFacts, running: int) -> When:
        """When the key is free."""
        return When(math.inf, on_event=True, reason="its key is busy", lane=True) if str(job.key) in state else NOW

    def started(self, state: list[str], now: float, job: JobFacts, running: int) -> list[str]:
        """The key is busy."""
        return [*state, str(job.key)]

    def ended(self, state: list[str], now: float, job: JobFacts, outcome: Outcome, running: int) -> list[str]:
        """The key is free."""
        return [key for key in state if key != str(job.key)]


async def check_blocked_keys_block_nobody_else(factory: StoreFactory) -> None:
    """A job that has to wait because of its key (`When.lane`) is passed by jobs of other keys."""
    async with set_up(factory, pacing=OneOfEachKey()) as desk:
        for job_id, key in (("a1", "a"), ("a2", "a"), ("b1", "b"), ("none", None), ("b2", "b")):
            await desk.add(job_id, key=key)
        jobs = await desk.start(desk.a, "a1", "b1", "none")
        await desk.a.settle(jobs[1], SUCCEEDED, None)
        await desk.start(desk.b, "b2")


async def check_each_job_is_claimed_once(factory: StoreFactory) -> None:
    """However many workers claim at once, each job goes to one of them."""
    async with set_up(factory) as desk:
        await desk.a.add([desk.job(f"j{number}") for number in range(40)])
        taken: list[str] = []

        async def claim(ledger: Ledger) -> None:
            for _ in range(10):
                taken.extend(ids(await ledger.claim(TASKS, 3)))

        async with anyio.create_task_group() as group:
            for ledger in (desk.a, desk.b) * 3:
                group.start_soon(claim, ledger)
        expect_equal(max(Counter(taken).values()), 1, "a job is claimed once")
        expect_equal(len(taken), 40, "every job is claimed")


async def check_success(factory: StoreFactory) -> None:
    """A success is final, with its result and times; the estimator learns of it and the totals count it."""
    async with set_up(factory) as desk:
        await desk.add("j1")
        began = desk.clock.now
        (job,) = await desk.start(desk.a, "j1")
        expect_equal((job.state, job.started_at), (JobState.RUNNING, began), "a claimed job runs from now")
        desk.clock.advance(10)
        result = desk.store.codec.encode_result("work", {"pages": 7})
        settled = await desk.a.settle(job, Outcome(OutcomeKind.SUCCEEDED, result=result), None)
        expect_equal((settled.record.state, settled.hold), (JobState.SUCCEEDED, 0.0), "a success holds nothing")
        found = await desk.b.job("j1")
        expect(found is not None, "a finished job can be asked about")
        assert_record(found, JobState.SUCCEEDED, ended_at=began + 10, started_at=began, failures=0)
        kept = desk.store.codec.decode_result(found.result if found else None)
        expect_equal(kept, {"pages": 7}, "the result is kept")
        queue = (await desk.b.snapshot()).queue
        expect_equal((queue.succeeded, queue.failed), (1, 0), "the totals count it, for all workers")
        expect_equal(queue.estimator["mean"], 0.8 * 60 + 0.2 * 10, "the estimator has learned of it, for all workers")
        desk.clock.advance(3600)
        await desk.start(desk.b)


def assert_record(record: JobRecord | None, state: JobState, **fields: object) -> None:
    """Expect a job in this state, with these fields."""
    found = {name: getattr(record, name) for name in ("state", *fields)}
    expect_equal(found, {"state": state, **fields}, "the job is as its last run left it")


async def check_settled_once(factory: StoreFactory) -> None:
    """A run is settled once: a second time, or by a worker that does not hold the job, LeaseLostError is raised."""
    async with set_up(factory) as desk:
        await desk.add("j1")
        (job,) = await desk.start(desk.a, "j1")
        await expect_lease_lost(desk.b, job, "a worker settles only jobs that it holds itself")
        await desk.a.settle(job, SUCCEEDED, None)
        await expect_lease_lost(desk.a, job, "a settled run is not settled again")
        queue = (await desk.b.snapshot()).queue
        expect_equal((queue.succeeded, queue.failed), (1, 0), "refused outcomes change nothing")
        expect_equal(await desk.state("j1"), JobState.SUCCEEDED, "refused outcomes change nothing")


async def expect_lease_lost(ledger: Ledger, job: JobRecord, promise: str) -> None:
    """Try to settle a job as failed; it must be refused."""
    try:
        await ledger.settle(attrs.evolve(job), FAILED, None)
    except LeaseLostError:
        return
    raise AssertionError(promise)


async def check_failure(factory: StoreFactory) -> None:
    """A failure without attempts left is final and says why; failures in a row hold the queue for all workers."""
    async with set_up(factory, backoff=ConstantBackoff(30)) as desk:
        await desk.add("j1", "j2")
        claimed = await desk.a.claim(TASKS, 1)
        settled = await desk.a.settle(claimed.jobs[0], FAILED, None)
        expect_equal((settled.record.state, settled.hold), (JobState.FAILED, 30.0), "settle says how long it holds")
        assert_record(await desk.b.job("j1"), JobState.FAILED, error="ValueError: no", failures=1)
        queue = (await desk.b.snapshot()).queue
        expect_equal((queue.failures, queue.failed), (1, 1), "the streak and the totals are shared")
        claimed = await desk.b.claim(TASKS, 1)
        expect_equal((ids(claimed), claimed.next.at), ([], desk.clock.now + 30), "no worker starts during a hold")
        desk.clock.advance(30)
        await desk.run(desk.b, "j2")
        expect_equal((await desk.a.snapshot()).queue.failures, 0, "a success ends the streak, whoever ran it")


async def check_retry(factory: StoreFactory) -> None:
    """A failed job with attempts left waits for its own delay while others pass it; then its attempts are used up."""
    retry = Retry(2, ConstantBackoff(7))
    async with set_up(factory, concurrency=1) as desk:
        await desk.add("j1", "j2")
        claimed = await desk.a.claim(TASKS, 1)
        settled = await desk.a.settle(claimed.jobs[0], FAILED, retry)
        due = desk.clock.now + 7
        assert_record(settled.record, JobState.QUEUED, ready_at=due, failures=1, attempt=2)
        await desk.run(desk.b, "j2")
        claimed = await desk.b.claim(TASKS, 1)
        expect_equal((ids(claimed), claimed.next.at), ([], due), "claim says when the retry is due")
        desk.clock.now = due
        (job,) = await desk.start(desk.b, "j1")
        expect_equal(job.attempt, 2, "only failures count as attempts")
        settled = await desk.b.settle(job, FAILED, retry)
        assert_record(settled.record, JobState.FAILED, failures=2)


async def check_throttle(factory: StoreFactory) -> None:
    """A throttle holds the queue as long as the upstream asked, costs no attempt, and puts the job back in front."""
    throttled = Outcome(OutcomeKind.THROTTLED, error="429", retry_after=20.0)
    async with set_up(factory, concurrency=1) as desk:
        await desk.add("j1", "j2")
        (job,) = await desk.start(desk.a, "j1")
        desk.clock.advance(1)
        settled = await desk.a.settle(job, throttled, Retry(1, ConstantBackoff(1)))
        assert_record(settled.record, JobState.QUEUED, throttles=1, failures=0, attempt=1, error="429")
        expect_equal(await desk.b.position("j1"), 1, "a throttled job is back at the front")
        queue = (await desk.b.snapshot()).queue
        expect_equal((queue.throttled, queue.failed, queue.failures), (1, 0, 0), "a throttle is nobody's failure")
        claimed = await desk.b.claim(TASKS, 1)
        expect_equal((ids(claimed), claimed.next.at), ([], desk.clock.now + 20), "the hold is what the upstream asked")
        desk.clock.advance(20)
        await desk.start(desk.b, "j1")


async def check_snapshot(factory: StoreFactory) -> None:
    """The snapshot has the number of waiting jobs, the running ones with their starts, and the age of the oldest."""
    async with set_up(factory) as desk:
        began = desk.clock.now
        await desk.add("j1")
        await desk.start(desk.a, "j1")
        desk.clock.advance(5)
        await desk.add("j2")
        desk.clock.advance(5)
        await desk.add("j3")
        found = await desk.b.snapshot()
        expect_equal((found.now, found.waiting), (began + 10, 2), "the snapshot counts what waits now")
        running = [(run.job.id, run.started_at) for run in found.running]
        expect_equal(running, [("j1", began)], "the snapshot lists what runs, on all workers, since when")
        expect_equal(found.oldest_at, began + 5, "the snapshot says since when the oldest waits")


RUNNING_CHECKS: Sequence[StoreCheck] = (
    check_claims_only_what_it_can_run,
    check_concurrency_is_shared,
    check_limit_of_a_claim,
    check_one_pace,
    check_one_pause,
    check_blocked_keys_block_nobody_else,
    check_each_job_is_claimed_once,
    check_success,
    check_settled_once,
    check_failure,
    check_retry,
    check_throttle,
    check_snapshot,
)
