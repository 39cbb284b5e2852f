"""Callers that come at the same time share a commit; each gets its own answer, error or cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import attrs
import pytest

from pacer._errors import (
    LeaseLostError,
    NotEncodableError,
    QueueFullError,
    StoreError,
    StoreUnavailableError,
)
from pacer._job import JobState, Outcome, OutcomeKind
from pacer.queues._bounded import BoundedQueue
from pacer.stores._queue import StoredQueue

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED, result='"done"')


def commits(ledger) -> int:
    return ledger._group.thread.transactions.commits


async def test_callers_at_the_same_time_share_commits(file, make_job):
    async with file.open() as ledger:
        before = commits(ledger)

        async def caller(number: int) -> None:
            for round_ in range(5):
                await ledger.add([make_job(f"{number}-{round_}")])

        await asyncio.gather(*(caller(number) for number in range(100)))
        assert commits(ledger) - before <= 10, "500 jobs of 100 callers take about 5 commits"
        assert (await ledger.snapshot()).waiting == 500


async def test_claims_and_settlements_share_commits(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job(f"j{number}") for number in range(100)])
        before = commits(ledger)

        async def worker() -> None:
            while jobs := (await ledger.claim(TASKS, 1)).jobs:
                await ledger.settle(jobs[0], SUCCEEDED, None)

        await asyncio.gather(*(worker() for _ in range(50)))
        assert (await ledger.snapshot()).queue.succeeded == 100
        assert commits(ledger) - before <= 12


async def test_each_caller_gets_its_own_answer(file, make_job):
    file.rules = attrs.evolve(file.rules, queue=BoundedQueue(3))
    async with file.open() as ledger:
        answers = await asyncio.gather(
            ledger.add([make_job("j1")]),
            ledger.add([make_job("big1"), make_job("big2"), make_job("big3")]),
            ledger.add([make_job("j1")]),
            ledger.add([make_job("j2", cost={"requests": float("nan")})]),
            ledger.settle(make_job("never claimed"), SUCCEEDED, None),
            ledger.claim(TASKS, 1),
            return_exceptions=True,
        )
        kinds = [type(answer).__name__ for answer in answers]
        assert kinds == ["Addition", "QueueFullError", "Addition", "NotEncodableError", "LeaseLostError", "Claimed"]
        assert [answers[index].jobs[0].created for index in (0, 2)] == [True, False]
        assert isinstance(answers[1], QueueFullError)
        assert isinstance(answers[3], NotEncodableError)
        assert isinstance(answers[4], LeaseLostError)
        assert [job.id for job in answers[5].jobs] == ["j1"]
        assert commits(ledger) == 2, "hello, and one for all of them"


async def test_an_error_of_the_database_reaches_only_the_guilty_caller(file, make_job):
    """The job's priority does not fit an INTEGER, which SQLite notices only when others have been written already."""
    async with file.open() as ledger:
        answers = await asyncio.gather(
            ledger.add([make_job("before")]),
            ledger.add([make_job("fine"), make_job("guilty", priority=2**70)]),
            ledger.add([make_job("after")]),
            return_exceptions=True,
        )
        assert [type(answer).__name__ for answer in answers] == ["Addition", "OverflowError", "Addition"]
        found = [await ledger.job(job_id) for job_id in ("before", "fine", "guilty", "after")]
        assert [job is not None for job in found] == [True, False, False, True], "whole or not at all"
        snapshot = await ledger.snapshot()
        assert snapshot.waiting == 2
        assert [await ledger.position(job_id) for job_id in ("before", "after")] == [1, 2]


async def test_claims_that_share_a_failed_transaction_are_made_again(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1"), make_job("j2")])
        first, failure, second = await asyncio.gather(
            ledger.claim(TASKS, 1),
            ledger.add([make_job("guilty", priority=2**70)]),
            ledger.claim(TASKS, 1),
            return_exceptions=True,
        )
        assert isinstance(failure, OverflowError)
        assert [job.id for job in (*first.jobs, *second.jobs)] == ["j1", "j2"]
        assert [job.fence for job in (*first.jobs, *second.jobs)] == [1, 1]
        for claimed in (first, second):
            await ledger.settle(claimed.jobs[0], SUCCEEDED, None)


async def test_what_a_rolled_back_recovery_has_seen_is_looked_at_again(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("lost", task="nobody knows")])
        recovered, failure = await asyncio.gather(
            ledger.recover(TASKS), ledger.add([make_job("guilty", priority=2**70)]), return_exceptions=True
        )
        assert isinstance(failure, OverflowError)
        assert [(job.id, job.state) for job in recovered] == [("lost", JobState.STALE)]
        assert (await ledger.job("lost")).state is JobState.STALE


async def test_while_somebody_else_holds_the_lock_callers_get_an_error_after_the_busy_timeout(file, make_job):
    async with file.open(busy_timeout=0.05) as ledger:
        with contextlib.closing(sqlite3.connect(file.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answers = await asyncio.gather(
                ledger.add([make_job("j1")]), ledger.add([make_job("j2")]), return_exceptions=True
            )
            assert [type(answer) for answer in answers] == [StoreUnavailableError] * 2
            assert "busy_timeout" in str(answers[0])
            assert (await ledger.snapshot()).waiting == 0, "reading needs no lock"
            other.execute("ROLLBACK")
        await ledger.add([make_job("j1")])
        assert (await ledger.snapshot()).waiting == 1


async def test_a_due_job_is_seen_as_ready_by_a_question_too(file, make_job):
    """A transaction that only reads is begun anew as one that writes."""
    async with file.open() as ledger:
        await ledger.add([make_job("delayed", delay=5.0)])
        await ledger.add([make_job("second")])
        positions = [await ledger.position(job_id) for job_id in ("delayed", "second")]
        assert positions == [2, 1]
        file.clock.advance(5)
        positions = [await ledger.position(job_id) for job_id in ("delayed", "second")]
        assert positions == [1, 2]


async def test_a_connection_that_was_closed_under_it_is_an_error_for_the_callers(file, make_job):
    async with file.open() as ledger:
        connection = ledger._group.thread._connection
        await connection.close()
        answers = await asyncio.gather(ledger.add([make_job("j1")]), ledger.snapshot(), return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreError] * 2
        assert "add failed: no active connection" in str(answers[0])


# -- a disk that is full ------------------------------------------------------------


@asynccontextmanager
async def full_disk(ledger):
    """SQLite's own limit on the size of the file: what it reports is what a full disk makes it report."""
    connection = ledger._group.thread._connection
    async with connection.execute("PRAGMA page_count") as cursor:
        (pages,) = await cursor.fetchone()
    async with connection.execute(f"PRAGMA max_page_count = {pages}"):
        pass
    yield
    async with connection.execute("PRAGMA max_page_count = 1000000"):
        pass


async def test_a_full_disk_is_an_error_for_the_caller_and_leaves_nothing_half_written(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("kept")])
        before = await ledger.snapshot()
        async with full_disk(ledger):
            with pytest.raises(StoreUnavailableError, match=r"disk is full.*free some space"):
                await ledger.add([make_job(f"j{number}", payload="x" * 1000) for number in range(500)])
            after = await ledger.snapshot()
            assert [job.id for job in after.ahead] == [job.id for job in before.ahead] == ["kept"]
            assert attrs.evolve(after, ahead=()) == attrs.evolve(before, ahead=())
            assert await ledger.job("j0") is None
        addition = await ledger.add([make_job("j0")])
        assert (addition.jobs[0].created, addition.jobs[0].position) == (True, 2)


async def test_on_a_full_disk_what_still_fits_is_done(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        (job,) = (await ledger.claim(TASKS, 1)).jobs
        async with full_disk(ledger):
            large, settled = await asyncio.gather(
                ledger.add([make_job("large", payload="x" * 10**6)]),
                ledger.settle(job, SUCCEEDED, None),
                return_exceptions=True,
            )
        assert isinstance(large, StoreUnavailableError)
        assert settled.record.state is JobState.SUCCEEDED
        assert (await ledger.job("j1")).state is JobState.SUCCEEDED


async def test_what_failed_on_a_full_disk_can_be_tried_again(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        (job,) = (await ledger.claim(TASKS, 1)).jobs
        outcome = Outcome(OutcomeKind.SUCCEEDED, result="x" * 10**6)
        async with full_disk(ledger):
            with pytest.raises(StoreUnavailableError):
                await ledger.settle(job, outcome, None)
            assert job.state is JobState.RUNNING, "what was handed in is as it was"
            assert (await ledger.beat([job])).lost == frozenset()
        settled = await ledger.settle(job, outcome, None)
        assert settled.record.state is JobState.SUCCEEDED
        assert (await ledger.snapshot()).queue.succeeded == 1, "it was counted once"


# -- cancellation ------------------------------------------------------------


@attrs.define(eq=False)
class Gate:
    """Stops the database's thread at a method of the queue until it is opened."""

    reached: threading.Event = attrs.field(factory=threading.Event)
    opened: threading.Event = attrs.field(factory=threading.Event)

    def hold(self, monkeypatch, method: str) -> None:
        run = getattr(StoredQueue, method)

        def held(queue, *args):
            self.reached.set()
            assert self.opened.wait(10)
            return run(queue, *args)

        monkeypatch.setattr(StoredQueue, method, held)


async def cancelled(task: asyncio.Task) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


Step = Callable[[], Awaitable[None]]


@pytest.fixture(params=["add", "claim", "settle"])
async def scene(request, file, make_job):
    """A call of each kind, and what the queue looks like if it has been made, and if not."""
    async with file.open() as ledger:
        await ledger.add([make_job("j1"), make_job("j2")])
        jobs = (await ledger.claim(TASKS, 1)).jobs
        call = {
            "add": lambda: ledger.add([make_job("j3")]),
            "claim": lambda: ledger.claim(TASKS, 1),
            "settle": lambda: ledger.settle(jobs[0], SUCCEEDED, None),
        }[request.param]
        yield request.param, ledger, call


async def summary(ledger) -> tuple[int, list[str], int]:
    snapshot = await ledger.snapshot()
    return snapshot.waiting, sorted(run.job.id for run in snapshot.running), snapshot.queue.succeeded


BEFORE = (1, ["j1"], 0)
# A claim that nobody will read is given back.
AFTER = {"add": (2, ["j1"], 0), "claim": BEFORE, "settle": (1, [], 1)}


async def test_cancelled_before_it_has_begun_it_is_not_done(scene):
    _, ledger, call = scene
    task = asyncio.ensure_future(call())
    await cancelled(task)  # before its first step
    assert await summary(ledger) == BEFORE
    task = asyncio.ensure_future(call())
    await asyncio.sleep(0)  # now it waits to be taken
    await cancelled(task)
    assert await summary(ledger) == BEFORE


async def test_cancelled_behind_others_it_is_not_done(scene, monkeypatch, make_job):
    """It has been handed to the database's thread, which is still busy with an operation of the same group."""
    _, ledger, call = scene
    gate = Gate()
    gate.hold(monkeypatch, "cancel")
    first = asyncio.ensure_future(ledger.cancel("unknown"))
    task = asyncio.ensure_future(call())
    await asyncio.to_thread(gate.reached.wait, 10)
    await cancelled(task)
    gate.opened.set()
    await first
    assert await summary(ledger) == BEFORE


async def test_cancelled_while_it_is_being_done_no_half_state_is_left(scene, monkeypatch):
    kind, ledger, call = scene
    gate = Gate()
    gate.hold(monkeypatch, kind)
    task = asyncio.ensure_future(call())
    await asyncio.to_thread(gate.reached.wait, 10)
    await cancelled(task)
    gate.opened.set()
    assert await summary(ledger) == AFTER[kind]


async def test_cancelled_when_the_answer_is_there_but_not_yet_read_no_half_state_is_left(scene):
    kind, ledger, call = scene
    task: asyncio.Task

    async def neighbour() -> None:
        await ledger.cancel("unknown")
        # Both have been answered in the same step of the loop, and this one goes first.
        task.cancel()

    first = asyncio.ensure_future(neighbour())
    task = asyncio.ensure_future(call())
    await first
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await summary(ledger) == AFTER[kind]


async def test_a_claim_given_back_costs_the_job_nothing(file, make_job, monkeypatch):
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        gate = Gate()
        gate.hold(monkeypatch, "claim")
        task = asyncio.ensure_future(ledger.claim(TASKS, 1))
        await asyncio.to_thread(gate.reached.wait, 10)
        await cancelled(task)
        gate.opened.set()
        (job,) = (await ledger.claim(TASKS, 1)).jobs
        assert (job.attempt, job.recoveries, job.throttles) == (1, 0, 0)


async def test_a_claim_cancelled_when_the_store_is_closed_is_given_back_first(file, make_job, monkeypatch):
    gate = Gate()
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        gate.hold(monkeypatch, "claim")
        task = asyncio.ensure_future(ledger.claim(TASKS, 1))
        await asyncio.to_thread(gate.reached.wait, 10)
        await cancelled(task)
        gate.opened.set()
    async with file.open("w2") as ledger:
        assert (await ledger.snapshot()).running == ()


async def test_cancelled_callers_do_not_see_errors_and_leave_none_behind(file, make_job, monkeypatch):
    async with file.open() as ledger:
        gate = Gate()
        gate.hold(monkeypatch, "add")
        task = asyncio.ensure_future(ledger.add([make_job("guilty", priority=2**70)]))
        await asyncio.to_thread(gate.reached.wait, 10)
        await cancelled(task)
        gate.opened.set()
        assert (await ledger.snapshot()).waiting == 0


# -- life ------------------------------------------------------------


async def test_opening_and_closing_leave_no_task_and_no_thread(file, make_job):
    tasks = asyncio.all_tasks()
    async with file.open() as ledger:
        assert asyncio.all_tasks() == tasks, "an idle store has no task"
        await ledger.add([make_job("j1")])
    assert asyncio.all_tasks() == tasks
    for thread in threading.enumerate():
        if "_connection_worker" in thread.name:  # it has done its last step, or is about to
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive()


async def test_a_closed_ledger_says_so(file, make_job):
    async with file.open() as ledger:
        pass
    with pytest.raises(StoreError, match="closed"):
        await ledger.add([make_job("j1")])


async def test_cancelled_while_opening_it_closes_again(file, monkeypatch):
    for steps in range(12):
        task = asyncio.ensure_future(_open_and_wait(file))
        for _ in range(steps):
            await asyncio.sleep(0)
        await cancelled(task)
    async with file.open() as ledger:
        assert await workers(ledger) == ["w1"]


async def _open_and_wait(file) -> None:
    async with file.open("other"):
        await asyncio.get_running_loop().create_future()


async def workers(ledger) -> list[str]:
    async with ledger._group.thread._connection.execute("SELECT worker FROM pacer_workers") as cursor:
        return [worker for (worker,) in await cursor.fetchall()]


async def test_cancelled_while_closing_it_closes_all_the_same(file):
    async def use() -> None:
        async with file.open("other"):
            pass

    for steps in range(25):
        task = asyncio.ensure_future(use())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with file.open() as ledger:
        assert await workers(ledger) == ["w1"]


def test_a_loop_that_cancels_all_its_tasks_still_gets_answers(file, make_job, monkeypatch):
    """As `asyncio.run` does at its end, with the tasks of a server that then gives back what it holds."""
    seen = []
    gate = Gate()

    async def serve(held: asyncio.Event) -> None:
        async with file.open() as ledger:
            await ledger.add([make_job("j1")])
            (job,) = (await ledger.claim(TASKS, 1)).jobs
            gate.hold(monkeypatch, "add")
            waiting = asyncio.ensure_future(ledger.add([make_job("j2")]))
            try:
                await asyncio.to_thread(gate.reached.wait, 10)
                held.set()
                await asyncio.get_running_loop().create_future()
            finally:
                gate.opened.set()
                await ledger.release([job])
                seen.append(job.state)
                await asyncio.gather(waiting, return_exceptions=True)

    async def main() -> asyncio.Task:
        held = asyncio.Event()
        server = asyncio.ensure_future(serve(held))
        await held.wait()
        assert any(task.get_name().startswith("pacer") for task in asyncio.all_tasks()), "it will be cancelled too"
        return server

    assert asyncio.run(main()).cancelled()
    assert seen == [JobState.QUEUED]


async def test_an_error_inside_the_block_comes_out_as_it_is(file):
    with pytest.raises(ZeroDivisionError):
        async with file.open():
            raise ZeroDivisionError
