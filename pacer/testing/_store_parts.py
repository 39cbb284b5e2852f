"""The store's contract: workers with other strategies or settings than those who have the queue open."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence
from typing import Any

from pacer._errors import PartsDifferError, TakenOverError
from pacer._job import JobState
from pacer.backoff import ConstantBackoff
from pacer.estimators import MovingAverage, StreamingQuantile
from pacer.pacing import FixedPause, Unpaced
from pacer.queues._bounded import BoundedQueue
from pacer.testing._expect import expect, expect_equal
from pacer.testing._store_desk import FAILED, LEASE, SUCCEEDED, TASKS, StoreCheck, StoreFactory, ids, make_rules, set_up
from pacer.testing._store_running import OneOfEachKey, assert_record


async def _expect_taken_over(call: Awaitable[Any], promise: str) -> None:
    try:
        await call
    except TakenOverError as error:
        expect_equal(error.queue, "default", "the error names the queue")
        expect("pacing" in error.differences, "the error says what differs")
        return
    expect(False, promise)


async def check_equal_parts_share(factory: StoreFactory) -> None:
    """Workers with equal strategies and settings share a queue, though these are not the same objects."""
    try:
        async with (
            set_up(factory, pacing=FixedPause(5) & Unpaced()) as desk,
            desk.open("c", pacing=FixedPause(5.0) & Unpaced()) as ledger,
        ):
            await ledger.recover(TASKS)
            await ledger.add([desk.job("j1")])
            await desk.start(desk.a, "j1")
    except (PartsDifferError, TakenOverError) as error:
        msg = f"workers with equal strategies and settings share a queue, but: {error}"
        raise AssertionError(msg) from error


async def check_other_parts_are_refused(factory: StoreFactory) -> None:
    """While workers are alive, one that brings other strategies or settings is refused, and nothing changes.

    When all of them are gone, by leaving or because their lease is over, it is not.
    """
    async with set_up(factory) as desk:
        await desk.add("j1")
        for name, part in {
            "queue": BoundedQueue(101),
            "pacing": FixedPause(5),
            "backoff": ConstantBackoff(1),
            "estimator": MovingAverage(initial=61, weight=0.2),
            "concurrency": 99,
            "on_crash": "stale",
        }.items():
            try:
                async with desk.store.open("default", make_rules(**{name: part}), "c"):
                    pass
            except PartsDifferError as error:
                expect_equal((error.queue, [*error.differences]), ("default", [name]), "the error says what differs")
                expect(
                    0 < error.gone_in <= LEASE, f"the lease of the others ends in {LEASE:g} s, not {error.gone_in:g}"
                )
            else:
                expect(False, f"a worker with another {name} is refused while others are alive")
        await desk.start(desk.b, "j1")
        desk.clock.advance(LEASE + 1)
        async with desk.open("c", pacing=FixedPause(5)) as ledger:
            expect_equal(ids(await ledger.recover(TASKS)), ["j1"], "who comes when the others are gone takes over")
        async with desk.open("d", pacing=FixedPause(6)) as ledger:
            expect_equal(await ledger.position("j1"), 1, "who comes when the others have left finds their jobs")


async def check_takeover(factory: StoreFactory) -> None:
    """A worker may take the queue over. Those before it take no more jobs, and bring what they run to its end."""
    async with set_up(factory) as desk:
        await desk.add("ended", "retried", "released", "cancelled", "lost", "waits")
        ended, retried, released, cancelled, _ = (await desk.a.claim(TASKS, 5)).jobs
        async with desk.open("c", takeover=True, pacing=FixedPause(0), concurrency=200) as c:
            await c.recover(TASKS)
            for ledger in (desk.a, desk.b):
                await _expect_taken_over(ledger.claim(TASKS, 1), "who was taken over from claims no more")
                await _expect_taken_over(ledger.add([desk.job("new")]), "who was taken over from adds no more")
                await _expect_taken_over(ledger.set_rate(1.0), "who was taken over from steers no more")
            desk.clock.advance(LEASE * 0.75)
            await c.cancel("cancelled")
            await c.beat([])
            beat = await desk.a.beat([ended, retried, released, cancelled])
            expect_equal((beat.lost, beat.cancel), (frozenset(), frozenset({"cancelled"})), "it keeps what it runs")
            desk.clock.advance(LEASE * 0.5)
            await c.beat([])
            expect_equal(ids(await desk.a.recover(TASKS)), [], "it recovers nothing from others")
            expect_equal(ids(await c.recover(TASKS)), ["lost"], "what it keeps is not recovered, what it does not is")
            await desk.a.settle(ended, SUCCEEDED, None)
            settled = await desk.a.settle(retried, FAILED, None)
            expect_equal(settled.record.state, JobState.FAILED, "a run that failed has failed")
            await desk.a.release([released, cancelled])
            assert_record(await c.job("ended"), JobState.SUCCEEDED)
            assert_record(await c.job("cancelled"), JobState.CANCELLED)
            await desk.start(c, "released", "lost", "waits")
            queue = (await c.snapshot()).queue
            expect_equal((queue.succeeded, queue.failed), (1, 1), "and all of it is counted")


async def check_takeover_and_learned_state(factory: StoreFactory) -> None:
    """After a takeover, strategies of another class begin anew and learn nothing from runs of the workers before."""
    parts = {"pacing": OneOfEachKey(), "estimator": MovingAverage(initial=60, weight=0.5)}
    async with set_up(factory, **parts) as desk:
        await desk.add("j1", "j2", key="k")
        (job,) = (await desk.a.claim(TASKS, 1)).jobs
        async with desk.open("c", takeover=True, estimator=StreamingQuantile(), max_throttles=7) as c:
            await c.recover(TASKS)
            anew = (await c.snapshot()).queue.estimator
            claimed = await c.claim(TASKS, 1)
            expect_equal((ids(claimed), claimed.next.at), ([], math.inf), "a policy of the same class knows what runs")
            desk.clock.advance(10)
            await desk.a.settle(job, SUCCEEDED, None)
            after = (await c.snapshot()).queue
            expect_equal(after.estimator, anew, "an estimator of another class learns nothing from it")
            await desk.run(c, "j2", seconds=10)
            mean = StreamingQuantile().predict((await c.snapshot()).queue.estimator, desk.job("j3")).mean
            expect(mean < 60, f"it learns from the runs of its own workers: 60 s and a run of 10 s make {mean:g} s")


async def check_takeover_of_jobs_at_home(factory: StoreFactory) -> None:
    """A worker that was taken over counts as gone as soon as it looks, but for what it runs.

    A waiting job that only it could run is then stale, and others may come in with what parts they like.
    """
    async with set_up(factory) as desk:
        local = {"task": "local", "payload": None, "home": "a"}
        await desk.a.add([desk.job("waits", **local), desk.job("other")])
        async with desk.open("c", takeover=True, pacing=FixedPause(0)) as c:
            await c.recover(TASKS)
            changed = await desk.a.recover(TASKS)
            expect_equal(ids(changed), ["waits"], "recover returns the jobs that only this worker could run")
            assert_record(await c.job("waits"), JobState.STALE)
            await desk.start(c, "other")
            await desk.b.recover(TASKS)
        try:
            async with desk.open("d") as d:
                await d.recover(TASKS)
        except PartsDifferError as error:
            msg = f"who was taken over keeps nobody from coming in, but: {error}"
            raise AssertionError(msg) from error


PARTS_CHECKS: Sequence[StoreCheck] = (
    check_equal_parts_share,
    check_other_parts_are_refused,
    check_takeover,
    check_takeover_and_learned_state,
    check_takeover_of_jobs_at_home,
)
