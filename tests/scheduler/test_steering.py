"""What a person changes while a queue runs, on every store: jobs that run again, numbers of the parts, as a guest."""

from __future__ import annotations

import anyio
import pytest
from every_store import MakeStore, on_every_store

from pacer import (
    BoundedQueue,
    JobFailedError,
    JobState,
    NotRetryableError,
    QueueFullError,
    Scheduler,
    TakenOverError,
    Throttled,
    UnknownJobError,
    UnknownQueueError,
    call,
    events,
)
from pacer.backoff import ConstantBackoff, ExponentialBackoff
from pacer.pacing import FixedPause, MinInterval, PerKey, TokenBucket
from pacer.stores import MemoryStore
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


class Upstream:
    """Jobs that fail as long as it is broken, and when each of them ran."""

    def __init__(self) -> None:
        self.broken, self.starts, self.began = True, list[tuple[int, float]](), anyio.current_time()

    async def work(self, number: int) -> int:
        self.starts.append((number, anyio.current_time() - self.began))
        await anyio.sleep(1)
        if self.broken:
            msg = "broken"
            raise ValueError(msg)
        return number


def make_scheduler(make: MakeStore, upstream: Upstream, **settings: object) -> Scheduler:
    scheduler = Scheduler(store=make(), **{"observers": (), **settings})  # type: ignore[arg-type]
    scheduler.task(name="work")(upstream.work)
    return scheduler


# -- run again -------------------------------------------------------------------------------------------------------


@on_every_store
async def test_a_job_that_failed_is_run_again_with_new_attempts_and_who_waits_for_it_gets_the_result(
    make: MakeStore,
) -> None:
    upstream = Upstream()
    async with make_scheduler(make, upstream) as scheduler:
        await scheduler.options(job_id="job").enqueue(upstream.work, 7)
        await scheduler.drain()
        assert (await scheduler.job("job")).state is JobState.FAILED
        upstream.broken = False
        await scheduler.retry("job")
        assert await scheduler.wait("job") == 7
        assert (await scheduler.job("job")).attempt == 1
        assert await scheduler.tally() == {JobState.SUCCEEDED: 1}


async def test_who_listens_is_told_of_jobs_that_run_again(recorder: Recorder) -> None:
    upstream = Upstream()
    async with make_scheduler(MemoryStore, upstream, observers=[recorder]) as scheduler:
        await scheduler.options(job_id="job").enqueue(upstream.work, 1)
        await scheduler.drain()
        await scheduler.retry("job")
        await scheduler.drain()
    assert [event.job_id for event in recorder.events if isinstance(event, events.JobRetried)] == ["job"]
    assert sum(isinstance(event, events.JobFailed) for event in recorder.events) == 2


@on_every_store
async def test_what_cannot_be_run_again_says_why(make: MakeStore) -> None:
    upstream = Upstream()
    upstream.broken = False

    async def local() -> None:
        raise ValueError

    async with make_scheduler(make, upstream, pacing=FixedPause(1)) as scheduler:
        good = await scheduler.enqueue(upstream.work, 1)
        bad = await scheduler.enqueue(local)
        await scheduler.drain()
        waits = await scheduler.options(delay=60).enqueue(upstream.work, 2)
        for receipt, why in ((good, "succeeded"), (bad, "not registered"), (waits, "waits")):
            with pytest.raises(NotRetryableError, match=why):
                await scheduler.retry(receipt.job_id)
        with pytest.raises(UnknownJobError):
            await scheduler.retry("unknown")


@on_every_store
async def test_all_that_failed_run_again_at_their_old_places_as_long_as_there_is_room(make: MakeStore) -> None:
    upstream = Upstream()
    async with make_scheduler(make, upstream, queue=BoundedQueue(250), concurrency=250) as scheduler:
        await scheduler.enqueue_many([call(upstream.work, number) for number in range(250)])
        await scheduler.drain()
        await scheduler.pause()
        for number in range(100, 110):
            await scheduler.enqueue(upstream.work, number)
        found = await scheduler.retry_all(JobState.FAILED)
        assert (found.count, found.refused) == (240, {})
        assert isinstance(found.full, QueueFullError)
        upstream.broken, upstream.starts = False, []
        await scheduler.resume()
        await scheduler.drain()
        again = await scheduler.retry_all("failed")
        assert (again.count, again.full) == (10, None)
        await scheduler.drain()
        assert await scheduler.tally() == {JobState.SUCCEEDED: 260}
    # The last ones that failed came back first; among those that wait, each stood where it had stood.
    assert [number for number, _ in upstream.starts[:3]] == [10, 11, 12]


@on_every_store
async def test_jobs_that_come_back_and_are_dropped_again_are_not_counted(make: MakeStore) -> None:
    upstream = Upstream()
    async with make_scheduler(make, upstream, queue=BoundedQueue(3, "drop-oldest")) as scheduler:
        for number in range(5):
            await scheduler.enqueue(upstream.work, number)
            await scheduler.drain()
        await scheduler.pause()
        found = await scheduler.retry_all("failed")
        assert (found.count, found.refused, found.full) == (3, {}, None)
        assert (await scheduler.status()).pending == 3
        assert await scheduler.tally() == {JobState.DROPPED: 2}


@pytest.mark.parametrize("state", ["succeeded", "queued", "running", "lost"])
async def test_only_ends_without_success_can_be_run_again(state: str) -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(ValueError, match=state):
            await scheduler.retry_all(state)


# -- numbers ---------------------------------------------------------------------------------------------------------


@on_every_store
async def test_numbers_change_the_pace_of_what_waits_and_survive_a_restart(make: MakeStore) -> None:
    upstream = Upstream()
    upstream.broken = False
    async with make_scheduler(make, upstream, pacing=FixedPause(100)) as scheduler:
        await scheduler.enqueue_many([call(upstream.work, number) for number in range(4)])
        await anyio.sleep(5)
        await scheduler.set_numbers({"pacing.seconds": 9})
        assert (await scheduler.status()).numbers_by_hand == {"pacing.seconds": 9}
        await anyio.sleep(10)  # to 15: the second one ran from 10 to 11
    async with make_scheduler(make, upstream, pacing=FixedPause(100)) as scheduler:
        await anyio.sleep(10)  # to 25: the third one from 20 to 21
        await scheduler.set_numbers({"pacing.seconds": None})
        await scheduler.drain()
    assert [start for _, start in upstream.starts] == pytest.approx([0, 10, 20, 121], abs=0.1)


@on_every_store
async def test_numbers_of_parts_inside_of_others_are_found_by_their_last_names(make: MakeStore) -> None:
    parts = {"pacing": FixedPause(1) & TokenBucket(10, per=60), "backoff": ExponentialBackoff(15)}
    async with Scheduler(store=make(), **parts) as scheduler:  # type: ignore[arg-type]
        await scheduler.set_numbers({"pacing.rate": 20, "backoff.initial": 5})
        found = {one.path: (one.value, one.recipe, one.by_hand) for one in await scheduler.numbers()}
    assert found["pacing.policies.1.rate"] == (20, 10, True)
    assert found["backoff.initial"] == (5, 15, True)
    assert found["queue.capacity"] == (50, 50, False)


@pytest.mark.parametrize(
    ("number", "value", "problem"),
    [
        ("pacing.secnds", 1, "there is no number 'pacing.secnds'; did you mean pacing.seconds?"),
        ("seconds", 1, "there is no number 'seconds'; did you mean pacing.seconds?"),
        ("queue", 1, "there is no number 'queue'"),
        ("", 1, "there is no number ''. Numbers that can be set: "),
        ("pacing.seconds", -1, "pacing.seconds cannot be -1"),
        ("pacing.seconds", float("nan"), "give a finite number"),
        ("pacing.seconds", True, "give a finite number"),
        ("pacing.seconds", "5", "give a finite number"),
        ("queue.capacity", 2.5, "queue.capacity cannot be 2.5"),
        ("queue.capacity", 0, "queue.capacity cannot be 0"),
    ],
)
async def test_a_number_that_cannot_be_is_refused_and_nothing_is_changed(
    number: str, value: float, problem: str
) -> None:
    async with Scheduler(pacing=FixedPause(1), backoff=ConstantBackoff(1)) as scheduler:
        with pytest.raises(ValueError, match=problem):
            await scheduler.set_numbers({"queue.capacity": 7, number: value})
        assert (await scheduler.status()).numbers_by_hand == {}


async def test_a_name_that_may_be_one_of_two_is_refused_with_both() -> None:
    async with Scheduler(pacing=TokenBucket(1) & TokenBucket(100, per=60)) as scheduler:
        with pytest.raises(ValueError, match=r"pacing.policies.0.rate or pacing.policies.1.rate"):
            await scheduler.set_numbers({"pacing.rate": 5})


@on_every_store
async def test_a_part_of_another_class_begins_with_its_own_numbers(make: MakeStore) -> None:
    async with Scheduler(store=make(), pacing=FixedPause(10)) as scheduler:
        await scheduler.set_numbers({"pacing.seconds": 5, "queue.capacity": 7})
    async with Scheduler(store=make(), pacing=MinInterval(10)) as scheduler:
        status = await scheduler.status()
        assert (status.numbers_by_hand, status.capacity) == ({"queue.capacity": 7}, 7)
        found = {one.path: one.value for one in await scheduler.numbers()}
    assert found["pacing.seconds"] == 10


async def test_who_listens_is_told_of_numbers(recorder: Recorder) -> None:
    async with Scheduler(pacing=FixedPause(1), observers=[recorder]) as scheduler:
        await scheduler.set_numbers({"pacing.seconds": 5})
    assert [event.numbers for event in recorder.events if isinstance(event, events.NumbersSet)] == [
        {"pacing.seconds": 5}
    ]


@on_every_store
async def test_a_batch_may_be_as_large_as_the_capacity_that_was_set(make: MakeStore) -> None:
    upstream = Upstream()
    upstream.broken = False
    async with make_scheduler(make, upstream, queue=BoundedQueue(2), concurrency=9) as scheduler:
        await scheduler.set_numbers({"queue.capacity": 9})
        receipt = await scheduler.enqueue_many([call(upstream.work, number) for number in range(9)])
        assert len(receipt.receipts) == 9
        await scheduler.set_numbers({"queue.capacity": 1})
        with pytest.raises(ValueError, match="1 to 1 jobs"):
            await scheduler.enqueue_many([call(upstream.work, number) for number in range(2)])


# -- as a guest ------------------------------------------------------------------------------------------------------


@on_every_store
async def test_a_guest_steers_a_queue_that_others_work_on(make: MakeStore) -> None:
    upstream = Upstream()
    upstream.broken = False
    async with make_scheduler(make, upstream, pacing=FixedPause(10)) as scheduler:
        await scheduler.enqueue(upstream.work, 1)
        async with make_scheduler(make, upstream, pacing=FixedPause(10), guest=True) as guest:
            assert [one.name for one in await guest.workers()] == [one.name for one in await scheduler.workers()]
            await guest.pause()
            await guest.options(job_id="job").enqueue(upstream.work, 2)
            await anyio.sleep(60)
            assert (await guest.status()).waiting_for == "paused by hand"
            await guest.resume()
            await guest.set_numbers({"pacing.seconds": 1})
            assert await guest.wait("job") == 2
            assert not (await guest.status()).working
        assert (await scheduler.status()).numbers_by_hand == {"pacing.seconds": 1}
    assert len(upstream.starts) == 2


@on_every_store
async def test_a_guest_with_other_parts_looks_and_pauses_and_decides_nothing(make: MakeStore) -> None:
    upstream = Upstream()
    async with make_scheduler(make, upstream, pacing=FixedPause(10)) as scheduler:
        async with make_scheduler(make, upstream, guest=True) as guest:
            await guest.pause()
            with pytest.raises(TakenOverError, match=r"pacing is FixedPause\(seconds=10\) there, Unpaced\(\) here"):
                await guest.enqueue(upstream.work, 1)
            with pytest.raises(TakenOverError):
                await guest.set_numbers({"queue.capacity": 1})
        assert (await scheduler.status()).paused


async def test_a_guest_makes_no_queue() -> None:
    with pytest.raises(UnknownQueueError, match="holds no queue 'default'; it holds none"):
        async with Scheduler(guest=True):
            pass


@on_every_store
async def test_who_waits_for_room_gets_it_when_the_queue_is_made_larger(make: MakeStore) -> None:
    upstream = Upstream()
    began = anyio.current_time()
    async with make_scheduler(make, upstream, queue=BoundedQueue(1, "wait")) as scheduler:
        await scheduler.pause()
        await scheduler.enqueue(upstream.work, 1)
        async with anyio.create_task_group() as task_group:
            task_group.start_soon(scheduler.enqueue, upstream.work, 2)
            await anyio.sleep(1)
            assert (await scheduler.status()).pending == 1
            await scheduler.set_numbers({"queue.capacity": 2})
            with anyio.fail_after(60):
                while (await scheduler.status()).pending < 2:
                    await anyio.sleep(0.1)
            task_group.cancel_scope.cancel()
    assert anyio.current_time() - began < 20


@on_every_store
async def test_a_job_that_waits_again_and_is_dropped_for_the_next_is_told_of_in_that_order(make: MakeStore) -> None:
    recorder, upstream = Recorder(), Upstream()
    queue = BoundedQueue(2, "drop-oldest")
    async with make_scheduler(make, upstream, queue=queue, observers=[recorder]) as scheduler:
        await scheduler.pause()
        for number in range(5):
            await scheduler.options(job_id=str(number)).enqueue(upstream.work, number)
        before = len(recorder.events)
        await scheduler.retry_all(JobState.DROPPED)
        told = [(type(one).__name__, one.job_id) for one in recorder.events[before:] if hasattr(one, "job_id")]
    assert told.index(("JobRetried", "2")) < told.index(("JobDropped", "2"))


# -- holds -----------------------------------------------------------------------------------------------------------


@on_every_store
async def test_a_hold_that_a_person_ends_is_over_for_all_workers_and_what_waits_starts(make: MakeStore) -> None:
    upstream, recorder = Upstream(), Recorder()
    pacing = PerKey(FixedPause(10)) & MinInterval(1)
    settings = {"pacing": pacing, "backoff": ExponentialBackoff(300), "observers": (recorder,)}
    async with make_scheduler(make, upstream, **settings) as scheduler:
        assert not await scheduler.end_hold()
        failed = await scheduler.enqueue(upstream.work, 1)
        await scheduler.enqueue(upstream.work, 2)
        with pytest.raises(JobFailedError):
            await scheduler.wait(failed)
        await anyio.sleep(8)
        assert (await scheduler.status()).hold_seconds > 200
        upstream.broken = False
        async with make_scheduler(make, upstream, guest=True, **settings) as guest:
            assert await guest.end_hold()
        assert await scheduler.drain(timeout=60)
    assert [number for number, _ in upstream.starts] == [1, 2]
    assert upstream.starts[1][1] < 60
    assert len(recorder.of(events.HoldEnded)) == 1


@on_every_store
async def test_a_hold_that_the_upstream_asked_for_can_be_ended_too(make: MakeStore) -> None:
    scheduler, runs = Scheduler(store=make(), observers=()), list[float]()

    @scheduler.task(name="ask")
    async def ask() -> None:
        runs.append(anyio.current_time())
        if len(runs) == 1:
            raise Throttled(retry_after=1000)

    began = anyio.current_time()
    async with scheduler:
        receipt = await scheduler.enqueue(ask)
        with anyio.move_on_after(5):
            await scheduler.wait(receipt)
        assert await scheduler.end_hold()
        await scheduler.wait(receipt)
    assert len(runs) == 2
    assert runs[1] - began < 100


@on_every_store
async def test_a_worker_without_slots_is_seen_as_one_that_runs_nothing(make: MakeStore) -> None:
    upstream = Upstream()
    async with make_scheduler(make, upstream, worker_concurrency=0) as scheduler:
        receipt = await scheduler.enqueue(upstream.work, 1)
        assert [(one.slots, set(one.tasks)) for one in await scheduler.workers()] == [(0, {"work"})]
        assert (await scheduler.explain(receipt.job_id)).reason == "no worker is there that can run work"
    async with make_scheduler(make, upstream, concurrency=5, worker_concurrency=3) as scheduler:
        assert [one.slots for one in await scheduler.workers() if one.alive_seconds > 0] == [3]


@on_every_store
async def test_a_guest_with_another_pace_ends_a_hold_and_leaves_what_the_pace_has_learned(make: MakeStore) -> None:
    upstream = Upstream()
    settings = {"pacing": TokenBucket(1, per=600), "backoff": ConstantBackoff(300)}
    async with make_scheduler(make, upstream, **settings) as scheduler:
        with pytest.raises(JobFailedError):
            await scheduler.wait(await scheduler.enqueue(upstream.work, 1))
        upstream.broken = False
        async with make_scheduler(make, upstream, pacing=FixedPause(10), guest=True) as guest:
            assert await guest.end_hold()
            assert not (await guest.status()).hold_seconds
        await scheduler.wait(await scheduler.enqueue(upstream.work, 2))
    (_, first), (_, second) = upstream.starts
    assert second - first >= 600
