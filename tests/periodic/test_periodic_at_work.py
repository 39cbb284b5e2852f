"""Schedules of schedulers that run: one job for each time, also when nobody ran, when it was full, when it changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio
import pytest
from every_store import MakeStore, on_every_store

from pacer import (
    AlreadyRunningError,
    BoundedQueue,
    ImpossibleJobError,
    JobState,
    NotEncodableError,
    Scheduler,
    TaskError,
    events,
)
from pacer.pacing import Budget, FixedPause
from pacer.protocols import Store
from pacer.stores import MemoryStore
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


def shared(store: Store) -> Store:
    """One that several schedulers can have open at once."""
    return MemoryStore(lease=30) if isinstance(store, MemoryStore) else store


def enqueued(recorder: Recorder) -> Any:
    """When jobs were enqueued, from the first on."""
    at = [event.at for event in recorder.of(events.JobEnqueued)]
    return pytest.approx([one - at[0] for one in at], abs=0.2)


def times(recorder: Recorder, schedule: str) -> list[datetime]:
    """For which times jobs were enqueued, as their ids say."""
    prefix = f"every:{schedule}:"
    ids = [event.job_id for event in recorder.of(events.JobEnqueued)]
    return [datetime.fromisoformat(one.removeprefix(prefix)) for one in ids if one.startswith(prefix)]


def since_first(found: list[datetime]) -> list[float]:
    return [round((one - found[0]).total_seconds(), 3) for one in found]


@on_every_store
async def test_one_job_comes_at_each_time_and_the_first_one_interval_after_the_start(make: MakeStore) -> None:
    runs, recorder = list[float](), Recorder()
    scheduler = Scheduler(store=make(), observers=[recorder])

    @scheduler.every(60)
    async def sweep() -> None:
        runs.append(anyio.current_time() - began)

    async with scheduler:
        began = anyio.current_time()
        await anyio.sleep(310)
    assert runs == pytest.approx([60, 120, 180, 240, 300], abs=0.1)
    assert since_first(times(recorder, sweep.__module__ + "." + sweep.__qualname__)) == [0, 60, 120, 180, 240]


@on_every_store
async def test_a_task_with_arguments_and_options_comes_by_the_clock_too(make: MakeStore) -> None:
    ran = list[tuple[str, int]]()
    scheduler = Scheduler(store=make())

    @scheduler.task(name="sweep")
    async def sweep(folder: str, *, days: int) -> None:
        ran.append((folder, days))

    scheduler.every(timedelta(minutes=1), name="a", priority=3).call(sweep, "a", days=1)
    scheduler.every(90, name="b", key="tenant").call(sweep, "b", days=2)
    async with scheduler:
        await anyio.sleep(200)
        jobs = (await scheduler.jobs(JobState.SUCCEEDED)).jobs
    assert ran == [("a", 1), ("b", 2), ("a", 1), ("b", 2), ("a", 1)] or sorted(ran) == [("a", 1)] * 3 + [("b", 2)] * 2
    assert {(job.id.split(":")[1], job.task, job.priority, job.key) for job in jobs} == {
        ("a", "sweep", 3, None),
        ("b", "sweep", 0, "tenant"),
    }


@on_every_store
async def test_a_restart_goes_on_where_it_was(make: MakeStore) -> None:
    recorder = Recorder()
    for seconds in (150, 100, 100):
        scheduler = Scheduler(store=make(), observers=[recorder])
        scheduler.task(nothing, name="nothing")
        scheduler.every(60).call(nothing)
        async with scheduler:
            await anyio.sleep(seconds)
    assert enqueued(recorder) == [0, 60, 120, 180, 240]


async def nothing() -> None:
    pass


@on_every_store
async def test_of_several_schedulers_one_enqueues_each(make: MakeStore) -> None:
    store, recorder, ran = shared(make()), Recorder(), list[float]()

    async def sweep() -> None:
        ran.append(anyio.current_time())

    def one(workers: int) -> Scheduler:
        found = Scheduler(store=store, observers=[recorder], concurrency=4, worker_concurrency=workers)
        found.task(sweep, name="sweep")
        found.every(10).call(sweep)
        return found

    async with one(1), one(2), one(0), one(0):
        await anyio.sleep(205)
    assert enqueued(recorder) == [10.0 * n for n in range(20)]
    assert len(ran) == 20


# -- times that were missed ------------------------------------------------------------------------------------------


def scheduler_of(store: Store, recorder: Recorder, missed: Any, **settings: Any) -> Scheduler:
    found = Scheduler(store=store, observers=[recorder], **settings)
    found.task(nothing, name="nothing")
    found.every(100, missed=missed).call(nothing)
    return found


async def with_nobody_there(store: Store, missed: Any, gap: float) -> Recorder:
    """250 s with a scheduler, then nobody, then 150 s with one."""
    recorder = Recorder()
    async with scheduler_of(store, recorder, missed):
        await anyio.sleep(250)
    await anyio.sleep(gap)
    async with scheduler_of(store, recorder, missed):
        await anyio.sleep(150)
    return recorder


@on_every_store
async def test_times_that_nobody_saw_are_made_up_for_once(make: MakeStore) -> None:
    """The first time was 100. The times 300, 400, 500 were missed; at 590 one job is enqueued for all of them."""
    recorder = await with_nobody_there(shared(make()), "once", 340)
    assert enqueued(recorder) == [0, 100, 490, 500, 600]
    (missed,) = recorder.of(events.TicksMissed)
    assert missed.until - missed.since == pytest.approx(100)


@on_every_store
async def test_times_that_nobody_saw_are_skipped(make: MakeStore) -> None:
    recorder = await with_nobody_there(shared(make()), "skip", 340)
    assert enqueued(recorder) == [0, 100, 500, 600]
    (missed,) = recorder.of(events.TicksMissed)
    assert missed.until - missed.since == pytest.approx(200)


@on_every_store
async def test_a_time_that_is_hardly_over_is_not_skipped(make: MakeStore) -> None:
    recorder = await with_nobody_there(shared(make()), "skip", 270)  # at 520
    assert enqueued(recorder) == [0, 100, 420, 500]


@on_every_store
async def test_times_that_nobody_saw_are_made_up_for_one_by_one(make: MakeStore) -> None:
    recorder = await with_nobody_there(shared(make()), "all", 340)
    assert enqueued(recorder) == [0, 100, 490, 490, 490, 500, 600]
    assert recorder.of(events.TicksMissed) == []


@on_every_store
async def test_of_a_hundred_thousand_times_the_last_thousand_are_made_up_for(make: MakeStore) -> None:
    recorder = await with_nobody_there_for_long(shared(make()))
    _, *made_up = times(recorder, "nothing")
    assert len(made_up) >= 1000
    assert [round((later - one).total_seconds(), 3) for one, later in pairwise(made_up)] == [0.01] * (len(made_up) - 1)
    (missed,) = recorder.of(events.TicksMissed)
    assert missed.until - missed.since == pytest.approx(1000 - 10, abs=0.1)
    assert len({event.job_id for event in recorder.of(events.JobEnqueued)}) == 1 + len(made_up)


async def with_nobody_there_for_long(store: Store) -> Recorder:
    recorder = Recorder()

    def one() -> Scheduler:
        found = Scheduler(store=store, observers=[recorder], queue=BoundedQueue(2000), worker_concurrency=0)
        found.task(nothing, name="nothing")
        found.every(0.01, missed="all").call(nothing)
        return found

    async with one():
        await anyio.sleep(0.015)
    await anyio.sleep(1000)
    async with one() as scheduler:
        while not (await scheduler.status()).pending >= 1001:
            await anyio.sleep(0.0001)
    return recorder


# -- a queue that is full --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("missed", "expected"),
    [("once", [0, 100, 200, 600, 700]), ("skip", [0, 100, 200, 700]), ("all", [0, 100, 200, 300, 400, 500, 600, 700])],
)
async def test_while_the_queue_is_full_a_time_waits_for_room(missed: str, expected: list[float]) -> None:
    """The first time was 100. It is full from 350 to 770; the last time that came by then was 700."""
    recorder = Recorder()
    scheduler = scheduler_of(MemoryStore(), recorder, missed, queue=BoundedQueue(1))
    async with scheduler:
        await anyio.sleep(350)
        await scheduler.pause()
        await scheduler.enqueue(nothing)
        await anyio.sleep(420)
        await scheduler.resume()
        await anyio.sleep(40)
    assert since_first(times(recorder, "nothing")) == expected
    refused = len(recorder.of(events.QueueRefused))
    # With "all" only the first of them was tried before there was room; the others may find room at once.
    assert 1 <= refused <= 4 if missed == "all" else refused == 4, "each time is told once"


# -- schedules that change -------------------------------------------------------------------------------------------


@on_every_store
async def test_a_schedule_that_is_changed_goes_on_from_the_last_time(make: MakeStore) -> None:
    store, recorder = shared(make()), Recorder()
    for seconds, runs in ((100, 250), (30, 95)):
        scheduler = Scheduler(store=store, observers=[recorder])
        scheduler.task(nothing, name="nothing")
        scheduler.every(seconds).call(nothing)
        async with scheduler:
            await anyio.sleep(runs)
    assert enqueued(recorder) == [0, 100, 150, 160, 190, 220]


@on_every_store
async def test_a_schedule_that_is_gone_harms_nobody_and_one_that_is_renamed_begins_anew(make: MakeStore) -> None:
    store, recorder = shared(make()), Recorder()
    for name in ("old", None, "new"):
        scheduler = Scheduler(store=store, observers=[recorder])
        scheduler.task(nothing, name="nothing")
        if name is not None:
            scheduler.every(100, name=name).call(nothing)
        async with scheduler:
            await anyio.sleep(250)
    assert enqueued(recorder) == [0, 100, 500, 600]


async def test_while_the_job_before_waits_or_runs_unique_keeps_the_next_one_out() -> None:
    runs, recorder = list[float](), Recorder()
    scheduler = Scheduler(observers=[recorder])

    @scheduler.every(10, unique="slow")
    async def slow() -> None:
        runs.append(anyio.current_time() - began)
        await anyio.sleep(25)

    async with scheduler:
        began = anyio.current_time()
        await anyio.sleep(100)
    assert runs == pytest.approx([10, 40, 70, 100][: len(runs)], abs=0.01)
    assert len(runs) >= 3


async def test_a_cron_schedule_runs_at_its_times() -> None:
    recorder = Recorder()
    scheduler = Scheduler(observers=[recorder])

    @scheduler.every(cron="30 */6 * * *", tz="Europe/Berlin", name="quarterly")
    async def quarterly() -> None:
        pass

    async with scheduler:
        now = scheduler.utc(anyio.current_time())
        await anyio.sleep(86_400)
    found = times(recorder, "quarterly")
    assert len(found) == 4
    assert [one.minute for one in found] == [30] * 4
    assert all(now < one <= now + timedelta(days=1) for one in found)
    assert recorder.of(events.JobEnqueued)[0].job_id.endswith(":30:00Z")


async def test_periodic_jobs_can_be_looked_at() -> None:
    scheduler = Scheduler()

    @scheduler.every(60, name="sweep", missed="skip")
    async def sweep() -> None:
        pass

    @scheduler.every(cron="0 7 * * mon-fri", tz="Europe/Berlin", name="report")
    async def report() -> None:
        pass

    async with scheduler:
        await anyio.sleep(130)
        one, other = await scheduler.periodic()
        now = scheduler.utc(anyio.current_time())
    assert (one.name, one.task, one.when, one.missed) == ("sweep", one.task, "every 60 s", "skip")
    assert one.last is not None
    assert (now - one.last).total_seconds() == pytest.approx(10, abs=0.1)
    assert (one.next - one.last).total_seconds() == pytest.approx(60)
    assert other.when == "0 7 * * mon-fri (Europe/Berlin)"
    assert other.next > now


# -- what goes wrong -------------------------------------------------------------------------------------------------


async def test_what_could_never_be_enqueued_keeps_the_scheduler_from_starting() -> None:
    async def sweep(what: Any = None) -> None: ...

    impossible = Scheduler(pacing=Budget(100, per=60, burst=100))
    impossible.task(sweep)
    impossible.every(60, cost={"tokens": 1e6}).call(sweep)
    with pytest.raises(ImpossibleJobError):
        await impossible.__aenter__()


@on_every_store
async def test_arguments_that_cannot_be_stored_are_named_at_the_start(make: MakeStore) -> None:
    store = make()
    if isinstance(store, MemoryStore):
        return  # it stores anything

    async def sweep(what: Any = None) -> None: ...

    scheduler = Scheduler(store=store)
    scheduler.task(sweep)
    scheduler.every(60).call(sweep, {1, 2})
    with pytest.raises(NotEncodableError):
        await scheduler.__aenter__()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda s: s.every(), ValueError, "pass either seconds or cron"),
        (lambda s: s.every(60, cron="* * * * *"), ValueError, "pass either seconds or cron"),
        (lambda s: s.every(60, tz="UTC"), ValueError, "tz goes with cron"),
        (lambda s: s.every(60, missed="never"), ValueError, "missed must be one of 'skip', 'once', 'all'"),
        (lambda s: s.every(60, job_id="one"), ValueError, "job_id would be the same for all"),
        (lambda s: s.every(60, priority="high"), TypeError, "priority"),
        (lambda s: s.every(60).call(nothing), TaskError, "nothing is not registered"),
        (lambda s: s.every(60, name="x" * 161)(nothing), ValueError, "name must have 1 to 160 characters"),
        (
            lambda s: s.every(60)(one_argument),
            TaskError,
            "missing a required argument: 'folder'; pass its arguments by",
        ),
    ],
)
def test_mistakes_are_told_at_once(make: Callable[[Scheduler], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(Scheduler())


async def one_argument(folder: str) -> None: ...


def test_two_schedules_of_one_task_need_names() -> None:
    scheduler = Scheduler()
    scheduler.every(60)(nothing)
    with pytest.raises(TaskError, match="pass name= to tell them apart"):
        scheduler.every(90)(nothing)
    scheduler.every(90, name="other")(nothing)


async def test_a_schedule_cannot_be_added_while_the_scheduler_runs() -> None:
    async with Scheduler() as scheduler:
        with pytest.raises(AlreadyRunningError, match="say it before it starts"):
            scheduler.every(60)


async def test_a_pace_holds_for_periodic_jobs_as_for_others() -> None:
    runs = list[float]()
    scheduler = Scheduler(pacing=FixedPause(25))

    @scheduler.every(10)
    async def often() -> None:
        runs.append(anyio.current_time() - began)

    async with scheduler:
        began = anyio.current_time()
        await anyio.sleep(100)
    assert runs == pytest.approx([10, 35, 60, 85], abs=0.01)


@on_every_store
async def test_who_took_the_queue_over_enqueues_from_then_on(make: MakeStore) -> None:
    store, before, after = shared(make()), Recorder(), Recorder()

    def one(recorder: Recorder, **settings: Any) -> Scheduler:
        found = Scheduler(store=store, observers=[recorder], **settings)
        found.task(nothing, name="nothing")
        found.every(100).call(nothing)
        return found

    async with one(before):
        await anyio.sleep(250)
        async with one(after, pacing=FixedPause(1), takeover=True):
            await anyio.sleep(300)
            assert len(enqueued_events(before)) == 2
        assert enqueued(after) == [0, 100, 200]


def enqueued_events(recorder: Recorder) -> list[events.JobEnqueued]:
    return recorder.of(events.JobEnqueued)


async def test_a_guest_enqueues_nothing() -> None:
    store, recorder = MemoryStore(lease=30), Recorder()
    async with Scheduler(store=store):
        guest = Scheduler(store=store, guest=True, observers=[recorder])
        guest.every(10)(nothing)
        async with guest:
            await anyio.sleep(100)
    assert enqueued_events(recorder) == []


async def test_a_job_that_became_impossible_is_passed_over_and_keeps_no_other_schedule_from_its_times() -> None:
    recorder = Recorder()
    scheduler = Scheduler(pacing=Budget(1000, per=60, burst=1000), observers=[recorder])
    scheduler.task(nothing, name="nothing")
    scheduler.every(100, name="dear", cost={"tokens": 500}).call(nothing)
    scheduler.every(100, name="cheap").call(nothing)
    async with scheduler:
        await anyio.sleep(150)
        await scheduler.set_numbers({"pacing.burst": 100})
        await anyio.sleep(200)
        await scheduler.set_numbers({"pacing.burst": None})
        await anyio.sleep(100)
    assert since_first(times(recorder, "cheap")) == [0, 100, 200, 300]
    assert since_first(times(recorder, "dear")) == [0, 300]
    problems = [event for event in recorder.of(events.PartMisbehaved) if event.question == "enqueue"]
    assert [event.part for event in problems] == ["schedule dear"] * 2
    assert "the job can never start" in problems[0].problem
    assert [event.schedule for event in recorder.of(events.TicksMissed)] == ["dear"] * 2
