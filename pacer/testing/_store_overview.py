"""The store's contract: what people see of many jobs, and what they change while the queue runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pacer._errors import QueueFullError, TakenOverError, UnknownQueueError
from pacer._job import JobRecord, JobState, Outcome, OutcomeKind
from pacer._minutes import number_of
from pacer._overview import Listing, Mark
from pacer.pacing import FixedPause, MinInterval
from pacer.protocols import Ledger
from pacer.queues._bounded import BoundedQueue
from pacer.queues._priority import Priority
from pacer.testing._expect import expect, expect_equal
from pacer.testing._store_desk import FAILED, SUCCEEDED, TASKS, Desk, StoreCheck, StoreFactory, ids, make_rules, set_up
from pacer.testing._store_running import assert_record

_THROTTLED = Outcome(OutcomeKind.THROTTLED, retry_after=1.0)


async def pages(ledger: Ledger, state: JobState, limit: int = 100, **filters: str) -> list[str]:
    """The ids of all jobs in a state, page by page."""
    found, after = list[str](), None
    for _ in range(1000):
        listed = await ledger.listed(Listing(state=state, limit=limit, after=after, **filters))
        expect(len(listed.jobs) <= limit, "a page has no more jobs than were asked for")
        for mark, record in listed.jobs:
            expect_equal(record.state, state, "listed lists jobs of the state that was asked for")
            expect_equal((record.payload, record.result), (None, None), "listed jobs lack their data")
            expect_equal(Mark.parse(str(mark)), mark, "a mark can be written down")
        found += [record.id for _, record in listed.jobs]
        after = listed.after
        if after is None:
            return found
    msg = "the list of jobs does not end"
    raise AssertionError(msg)


async def check_waiting_jobs_are_listed(factory: StoreFactory) -> None:
    """Waiting jobs are listed in the order in which they start, delayed ones last; page by page, or by task and key."""
    async with set_up(factory, queue=BoundedQueue(100, order=Priority()), concurrency=1) as desk:
        await desk.add("low-1", "low-2", "low-3")
        await desk.add("high-1", "high-2", priority=5, key="k")
        await desk.add("later", delay=60.0, key="k")
        await desk.add("soon", delay=5.0)
        await desk.add("other", task="other")
        expected = ["high-1", "high-2", "low-1", "low-2", "low-3", "other", "soon", "later"]
        for limit in (100, 1, 3, len(expected)):
            expect_equal(await pages(desk.b, JobState.QUEUED, limit), expected, f"in pages of {limit}")
        expect_equal(await pages(desk.b, JobState.QUEUED, 1, task="other"), ["other"], "of one task")
        expect_equal(await pages(desk.b, JobState.QUEUED, 1, key="k"), ["high-1", "high-2", "later"], "of one key")
        expect_equal(await pages(desk.b, JobState.QUEUED, task="work", key="none"), [], "of no job")
        desk.clock.advance(5)
        expected = [*expected[:4], "low-3", "soon", "other", "later"]  # by their numbers, delayed or not
        expect_equal(await pages(desk.b, JobState.QUEUED, 2), expected, "a delayed job that is due is a ready one")
        (job,) = await desk.start(desk.a, "high-1")
        expect_equal((await pages(desk.b, JobState.QUEUED))[0], "high-2", "a running job does not wait")
        expect_equal(await pages(desk.b, JobState.RUNNING), [job.id], "running jobs are listed")


async def check_ended_jobs_are_listed(factory: StoreFactory) -> None:
    """Jobs that have ended are listed by state, the last first, and counted up to a number."""
    async with set_up(factory) as desk:
        names = [f"j{number}" for number in range(9)]
        await desk.add(*names)
        running = await desk.start(desk.a, *names)
        expect_equal(await pages(desk.b, JobState.RUNNING, 2), names, "running jobs are listed by start")
        for number, job in enumerate(running):
            desk.clock.advance(0.0 if number % 2 else 1.0)  # some end at the same time
            await desk.a.settle(job, (SUCCEEDED, FAILED, FAILED)[number % 3], None)
        failed = [name for number, name in enumerate(names) if number % 3][::-1]
        for limit in (100, 1, 2, 3, len(failed)):
            expect_equal(await pages(desk.b, JobState.FAILED, limit), failed, f"in pages of {limit}")
        expect_equal(await pages(desk.b, JobState.SUCCEEDED, 2), names[::3][::-1], "those that succeeded")
        for state in (JobState.STALE, JobState.DEAD, JobState.QUEUED, JobState.RUNNING, JobState.CANCELLED):
            expect_equal(await pages(desk.b, state), [], "of a state that no job is in")
        expect_equal(dict(await desk.b.tally(100)), {JobState.SUCCEEDED: 3, JobState.FAILED: 6}, "tally counts them")
        expect_equal(dict(await desk.b.tally(2)), {JobState.SUCCEEDED: 2, JobState.FAILED: 2}, "up to a number")


async def check_rerun(factory: StoreFactory) -> None:
    """A job that ended without success can be enqueued again: as new, with its arguments, at its old place."""
    async with set_up(factory, queue=BoundedQueue(100)) as desk:
        await desk.add("a", unique="u", expires=100.0, cost={"requests": 2.0}, key="k")
        (job,) = await desk.start(desk.a, "a")
        desk.clock.advance(5)
        await desk.a.settle(job, _THROTTLED, None)
        desk.clock.advance(5)
        (job,) = await desk.start(desk.a, "a")
        job.progress, job.message = 0.5, "half"
        desk.clock.advance(5)
        await desk.a.settle(job, FAILED, None)
        await desk.add("b")
        desk.clock.advance(5)
        rerun = await desk.b.rerun(["a"])
        expect_equal((ids(rerun.jobs), dict(rerun.refused), rerun.full), (["a"], {}, None), "rerun names the job")
        now = desk.clock.now
        record = await desk.a.job("a")
        assert_record(record, JobState.QUEUED, failures=0, throttles=0, recoveries=0, attempt=1, created_at=now)
        assert_record(record, JobState.QUEUED, ready_at=now, expires_at=now + 100, ended_at=None, started_at=None)
        assert_record(record, JobState.QUEUED, cost={"requests": 2.0}, key="k", error="ValueError: no", progress=None)
        expect_equal(await pages(desk.a, JobState.FAILED), [], "it has not failed any more")
        expect_equal(dict(await desk.a.tally(9)), {}, "and is not counted as such")
        expect_equal(await pages(desk.a, JobState.QUEUED), ["a", "b"], "it takes its old place")
        again = desk.job("a-again", unique="u")
        expect_equal((await desk.b.add([again])).jobs[0].record.id, "a", "its unique key is its own again")
        first, second = await desk.start(desk.b, "a", "b")
        args, _ = desk.store.codec.decode_call(first.payload)
        expect_equal(list(args), ["a"], "it runs with its arguments")
        await desk.b.settle(first, SUCCEEDED, None)
        await desk.b.settle(second, SUCCEEDED, None)
        expect_equal(await desk.state("a"), JobState.SUCCEEDED, "and may succeed")


async def check_rerun_of_every_end(factory: StoreFactory) -> None:
    """Cancelled, dropped, expired, stale and dead jobs can be run again too."""
    async with set_up(factory, queue=BoundedQueue(2, "drop-oldest"), on_crash="stale") as desk:
        await desk.add("stale")
        await desk.start(desk.a, "stale")
        desk.clock.advance(31)
        await desk.b.recover(TASKS)
        await desk.add("cancelled")
        await desk.a.cancel("cancelled")
        await desk.add("expired", expires=1.0)
        desk.clock.advance(2)
        await desk.add("dropped", "x", "y")
        ends = {"stale": JobState.STALE, "cancelled": JobState.CANCELLED}
        ends |= {"expired": JobState.EXPIRED, "dropped": JobState.DROPPED}
        expect_equal({name: await desk.state(name) for name in ends}, ends, "these are the states")
        await desk.start(desk.b, "x", "y")
        for name in ends:
            expect_equal(ids((await desk.a.rerun([name])).jobs), [name], f"{name}: it waits again")
            desk.clock.advance(0.5)
            await desk.run(desk.b, name)


async def check_rerun_refused(factory: StoreFactory) -> None:
    """What waits, runs, has succeeded, is unknown or whose unique key is taken is refused, and nothing is changed."""
    async with set_up(factory) as desk:
        await desk.add("succeeded")
        await desk.run(desk.a, "succeeded")
        await desk.add("taken", unique="u")
        await desk.run(desk.a, "taken", FAILED)
        await desk.add("running")
        await desk.start(desk.a, "running")
        await desk.add("waits", unique="u")
        asked = ["succeeded", "taken", "running", "waits", "unknown"]
        rerun = await desk.b.rerun(asked)
        expect_equal((ids(rerun.jobs), set(rerun.refused)), ([], set(asked)), "each is refused")
        expect(all(rerun.refused.values()), "and each refusal says why")
        states = [await desk.state(name) for name in asked[:-1]]
        expected = [JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING, JobState.QUEUED]
        expect_equal(states, expected, "nothing is changed")
        expect_equal((await desk.a.snapshot()).waiting, 1, "nothing is changed")


async def check_rerun_of_many(factory: StoreFactory) -> None:
    """Of several jobs as many are enqueued again as there is room for; those behind the first refused are left."""
    async with set_up(factory, queue=BoundedQueue(5)) as desk:
        names = [f"j{number}" for number in range(5)]
        await desk.add(*names)
        for job in await desk.start(desk.a, *names):
            await desk.a.settle(job, FAILED, None)
        await desk.add("x", "y", "z")
        rerun = await desk.b.rerun(["j1", "j3", "j0", "j4"])
        expect_equal(ids(rerun.jobs), ["j1", "j3"], "as many as there is room for")
        expect(isinstance(rerun.full, QueueFullError), "it says that the queue is full")
        expect_equal(await pages(desk.a, JobState.QUEUED), ["j1", "j3", "x", "y", "z"], "these wait")
        expect_equal(await pages(desk.a, JobState.FAILED), ["j4", "j2", "j0"], "the others are left")


async def check_numbers(factory: StoreFactory) -> None:
    """Numbers that a person sets hold for all workers at once, survive a restart, and can be taken back."""
    clock_parts: dict[str, Any] = {"pacing": FixedPause(60), "queue": BoundedQueue(2), "concurrency": 1}
    async with set_up(factory, **clock_parts) as desk:
        await desk.add("j1", "j2")
        await desk.run(desk.a, "j1")
        await desk.b.set_numbers({"pacing.seconds": 10, "queue.capacity": 3})
        await desk.add("j3", "j4")
        expect_equal((await desk.b.claim(TASKS, 9)).next.at, desk.clock.now + 10, "the pause is the one set by hand")
        expect_equal((await desk.a.claim(TASKS, 9)).next.at, desk.clock.now + 10, "for all workers")
        expect_equal((desk.a.rules.pacing, desk.b.rules.pacing), (FixedPause(10), FixedPause(10)), "rules say so")
        try:
            await desk.a.set_numbers({"pacing.seconds": 5, "queue.capacity": -1})
        except ValueError:
            pass
        else:
            msg = "a number that the part does not take raises ValueError"
            raise AssertionError(msg)
        numbers = (await desk.b.snapshot()).queue.numbers
        expect_equal(dict(numbers), {"pacing.seconds": 10, "queue.capacity": 3}, "and then nothing is changed")
        async with desk.open("c") as later:
            expect_equal((await later.claim(TASKS, 9)).next.at, desk.clock.now + 10, "whoever comes later knows it")
        await desk.b.set_numbers({"pacing.seconds": None})
        expect_equal((await desk.a.claim(TASKS, 9)).next.at, desk.clock.now + 60, "None is the recipe's")
        desk.clock.advance(60)
        await desk.start(desk.a, "j2")


async def check_minutes(factory: StoreFactory) -> None:
    """What happened is counted by the minute, for all workers together, and kept."""
    async with set_up(factory) as desk:
        desk.clock.advance(60 - desk.clock.now % 60)
        first = number_of(desk.clock.now)
        await desk.add("a", "b", "c")
        desk.clock.advance(10)
        a, b, c = await desk.start(desk.a, "a", "b", "c")
        await desk.a.settle(a, SUCCEEDED, None)
        await desk.a.settle(b, FAILED, None)
        desk.clock.advance(120)
        await desk.a.settle(c, _THROTTLED, None)
        desk.clock.advance(2)
        (c,) = await desk.start(desk.b, "c")
        await desk.b.settle(c, SUCCEEDED, None)
        expected = [[first, 3, 30, 10, 1, 1, 0, 0], [first + 2, 1, 132, 132, 1, 0, 0, 1]]
        found = [[*minute] for minute in await desk.a.history(first)]
        expect_equal(found, expected, "minute, runs, waited in all and at most, succeeded, failed, retried, throttled")
        expect_equal([[*one] for one in await desk.b.history(first + 1)], expected[1:], "from a minute on")
        async with desk.open("c") as later:
            expect_equal([[*one] for one in await later.history(first)], expected, "whoever comes later knows it")


async def check_tick(factory: StoreFactory) -> None:
    """A time of a periodic schedule is taken by one worker only, together with its jobs, or by none."""
    async with set_up(factory, queue=BoundedQueue(2)) as desk:
        added = await desk.a.tick("sweep", None, 100.0, [desk.job("tick-100")])
        expect(added is not None and added.jobs[0].created, "the first who comes adds the job")
        expect_equal(await desk.b.tick("sweep", None, 100.0, [desk.job("tick-100-b")]), None, "the second does not")
        expect_equal(await desk.state("tick-100"), JobState.QUEUED, "the job waits")
        expect_equal(await desk.b.job("tick-100-b"), None, "and the other one does not exist")
        expect_equal(await desk.b.tick("sweep", 90.0, 200.0, []), None, "who is behind does nothing")
        expect(await desk.b.tick("sweep", 100.0, 200.0, []) is not None, "a time can be passed over")
        await desk.add("j1")
        try:
            await desk.a.tick("sweep", 200.0, 300.0, [desk.job("tick-300")])
        except QueueFullError:
            pass
        else:
            msg = "a full queue refuses it"
            raise AssertionError(msg)
        expect_equal(dict((await desk.b.snapshot()).queue.ticks), {"sweep": 200.0}, "and then the time is not taken")


async def check_workers_are_seen(factory: StoreFactory) -> None:
    """Who has the queue open is told, with what each can run, how much, and how long it is taken to be alive."""
    async with set_up(factory) as desk:
        seen = {one.name: one for one in await desk.a.workers()}
        expect_equal(set(seen), {"a", "b"}, "each worker is named")
        expect_equal(seen["b"].tasks, TASKS, "with what it can run")
        expect(seen["b"].alive_seconds > 0, "and is alive")
        await desk.b.recover(TASKS, 0)
        await desk.a.beat([])
        slots = {one.name: one.slots for one in await desk.a.workers()}
        expect_equal(slots, {"a": 1, "b": 0}, "with how many jobs it runs at once")
        expect_equal({one.tasks for one in await desk.b.workers()}, {TASKS}, "also one that runs none knows functions")
        desk.clock.advance(31)
        await desk.a.recover(TASKS)
        gone = [one.name for one in await desk.a.workers() if one.alive_seconds <= 0]
        expect(gone in ([], ["b"]), "one that has not been heard of is not taken to be alive")


async def check_guests(factory: StoreFactory) -> None:
    """A guest sees and steers the queue, is not one of its workers, and leaves its parts alone."""
    async with set_up(factory, pacing=FixedPause(60)) as desk:
        await _check_unknown_queue(desk)
        await desk.add("j1", "j2")
        async with desk.open("guest", guest=True) as guest:
            expect_equal({one.name for one in await guest.workers()}, {"a", "b"}, "a guest is not one of the workers")
            expect_equal(await pages(guest, JobState.QUEUED), ["j1", "j2"], "it sees what waits")
            await guest.set_paused(True)
            expect_equal(ids(await desk.a.claim(TASKS, 9)), [], "it can pause the queue")
            await guest.set_paused(False)
            expect_equal(await guest.cancel("j2"), JobState.QUEUED, "it can cancel jobs")
            expect_equal(ids((await guest.rerun(["j2"])).jobs), ["j2"], "and have them run again")
            expect((await guest.add([desk.job("j3")])).jobs[0].created, "and add some, with the parts of the queue")
        await desk.run(desk.a, "j1")
        state = (await desk.a.snapshot()).queue.pacing
        async with desk.open("stranger", guest=True, pacing=MinInterval(1)) as guest:
            await guest.set_paused(True)
            await _expect_no_say(guest, desk.job("j4"))
        after = (await desk.b.snapshot()).queue
        expect_equal((after.pacing, after.paused), (state, True), "what was learned is left as it is")
        await desk.a.set_paused(False)
        desk.clock.advance(60)
        await desk.run(desk.b, "j2")


async def _check_unknown_queue(desk: Desk) -> None:
    infos = {one.name: one for one in await desk.store.queues()}
    expect("default" in infos, "the store names its queues")
    expect_equal(infos["default"].terms.get("pacing"), "FixedPause(seconds=60)", "and with which parts they are run")
    try:
        async with desk.open("guest", "nowhere", guest=True):
            pass
    except UnknownQueueError as error:
        expect("default" in str(error), "the error names the queues that there are")
    else:
        msg = "a guest makes no queue: one that is not there raises UnknownQueueError"
        raise AssertionError(msg)
    expect_equal([one.name for one in await desk.store.queues()], ["default"], "and it is not made")


async def _expect_no_say(guest: Ledger, job: JobRecord) -> None:
    """One with other parts may not decide."""
    for action in (guest.add([job]), guest.rerun(["j1"]), guest.set_numbers({}), guest.tick("t", None, 1.0, [])):
        try:
            await action
        except TakenOverError:
            continue
        msg = "a guest with other parts adds no jobs and sets no numbers: it raises TakenOverError"
        raise AssertionError(msg)


async def check_headers(factory: StoreFactory) -> None:
    """What observers gave with a job comes back with it, also when it is run again, and is listed."""
    headers = {"traceparent": "00-ä-01", "empty": ""}
    async with set_up(factory) as desk:
        await desk.add("j1", headers=headers)
        await desk.add("j2")
        first, second = await desk.start(desk.b, "j1", "j2")
        expect_equal((first.headers, second.headers), (headers, None), "a job has what it was given")
        await desk.b.settle(first, FAILED, None)
        async with desk.store.open("default", make_rules(), "c") as later:
            await later.rerun(["j1"])
            await later.recover(TASKS)
            (again,) = await desk.start(later, "j1")
            expect_equal(again.headers, headers, "also when it is run again")


OVERVIEW_CHECKS: Sequence[StoreCheck] = (
    check_waiting_jobs_are_listed,
    check_ended_jobs_are_listed,
    check_rerun,
    check_rerun_of_every_end,
    check_rerun_refused,
    check_rerun_of_many,
    check_numbers,
    check_minutes,
    check_tick,
    check_workers_are_seen,
    check_guests,
    check_headers,
)
