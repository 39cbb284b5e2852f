"""A server that fails, is away, or is changed by others in mid-operation: nothing is lost, nothing is done twice."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import attrs
import pytest
from memory_server import MemoryBackend, MemoryServerStore, fail

from pacer._errors import LeaseLostError, StoreUnavailableError
from pacer._job import JobRecord, JobState, Outcome, OutcomeKind
from pacer.pacing import MinInterval
from pacer.stores._server import _thread
from pacer.testing import ManualClock
from pacer.testing._store_desk import make_rules

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED, result="1")


def job(job_id, **fields):
    return JobRecord(job_id, "work", "[[],{}]", **fields)


@asynccontextmanager
async def two_workers(clock=None, **parts):
    """Two workers on one queue, and the server."""
    store = MemoryServerStore(clock or ManualClock())
    async with (
        store.open("default", make_rules(**parts), "a") as a,
        store.open("default", make_rules(**parts), "b") as b,
    ):
        await a.recover(TASKS)
        await b.recover(TASKS)
        for _ in range(5):  # until a takes it to be alone
            await a.job("nobody")
        yield a, b, store.server()


def once(what):
    """A function that does it when it is called first."""
    calls = [what]

    def call():
        if calls:
            calls.pop()()

    return call


async def test_who_is_alone_commits_without_looking_first():
    async with two_workers() as (a, _, server):
        loads = server.loads
        await a.add([job("j1")])
        assert server.loads == loads


async def test_a_commit_of_somebody_else_in_between_is_seen_and_the_operation_is_done_again():
    async with two_workers() as (a, _, server):

        def commit():
            server.head = attrs.evolve(server.head, version=server.head.version + 1)

        server.before_write = once(commit)
        added = await a.add([job("j1")])
        assert [one.created for one in added.jobs] == [True]
        assert list(server.jobs) == ["j1"]


async def test_two_workers_never_hold_one_job():
    async with two_workers() as (a, b, _):
        await a.add([job("j1")])
        first, second = await b.claim(TASKS, 5), await a.claim(TASKS, 5)
        assert [one.id for one in first.jobs] == ["j1"]
        assert not second.jobs


@pytest.mark.parametrize("moment", ["before_write", "after_write"])
async def test_an_addition_without_an_answer_is_made_once(moment):
    async with two_workers() as (a, b, server):
        setattr(server, moment, once(fail))
        added = await a.add([job("j1")])
        assert [(one.record.id, one.position, one.created) for one in added.jobs] == [("j1", 1, True)]
        assert (await b.snapshot()).waiting == 1


@pytest.mark.parametrize("moment", ["before_write", "after_write"])
async def test_a_claim_without_an_answer_is_held_by_the_claimer(moment):
    async with two_workers() as (a, b, server):
        await a.add([job("j1"), job("j2")])
        setattr(server, moment, once(fail))
        claimed = await a.claim(TASKS, 1)
        assert [one.id for one in claimed.jobs] == ["j1"]
        assert [run.job.id for run in (await b.snapshot()).running] == ["j1"]
        settled = await a.settle(claimed.jobs[0], SUCCEEDED, None)
        assert settled.record.state is JobState.SUCCEEDED


@pytest.mark.parametrize("moment", ["before_write", "after_write"])
async def test_an_end_without_an_answer_is_counted_once(moment):
    async with two_workers() as (a, b, server):
        await a.add([job("j1")])
        (held,) = (await a.claim(TASKS, 1)).jobs
        setattr(server, moment, once(fail))
        settled = await a.settle(held, SUCCEEDED, None)
        assert (settled.record.state, settled.queue.succeeded) == (JobState.SUCCEEDED, 1)
        assert (await b.snapshot()).queue.succeeded == 1


async def test_a_commit_that_arrives_late_is_found_and_not_made_twice():
    """The connection is cut, the bytes are under way: they arrive when the worker has begun again."""
    async with two_workers() as (a, b, _):
        late = []
        write = MemoryBackend.write

        def lost(self, writing):
            if not late:
                late.append(writing)
                fail()
            if late[0] is not None:
                first, late[0] = late[0], None
                assert write(self, first)
            return write(self, writing)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MemoryBackend, "write", lost)
            added = await a.add([job("j1")])
        assert [one.created for one in added.jobs] == [True]
        assert (await b.snapshot()).waiting == 1
        assert (await a.add([job("j2")])).snapshot.waiting == 2


async def test_a_server_that_is_away_is_told_of_at_once_and_nothing_is_lost():
    async with two_workers() as (a, _, server):
        server.before_load = fail
        with pytest.raises(StoreUnavailableError):
            await a.job("j1")
        server.before_load = lambda: None
        await a.add([job("j1")])
        assert (await a.snapshot()).waiting == 1


async def test_whether_a_commit_was_made_is_not_known_if_the_server_stays_away(monkeypatch):
    monkeypatch.setattr(_thread, "_PATIENCE", 0.0)
    async with two_workers() as (a, b, server):

        def gone():
            server.before_load = fail
            fail()

        server.after_write = once(gone)
        with pytest.raises(StoreUnavailableError, match="not known whether"):
            await a.add([job("j1")])
        server.before_load = lambda: None
        again = await a.add([job("j1")])
        assert [one.created for one in again.jobs] == [False]
        assert (await b.snapshot()).waiting == 1


async def test_jobs_of_a_claim_that_was_given_up_but_made_go_back_at_the_next_chance(monkeypatch):
    monkeypatch.setattr(_thread, "_PATIENCE", 0.0)
    async with two_workers() as (a, b, server):
        await a.add([job("j1")])

        def gone():
            server.before_load = fail
            fail()

        server.after_write = once(gone)
        with pytest.raises(StoreUnavailableError, match="not known whether"):
            await a.claim(TASKS, 1)
        server.before_load = lambda: None
        assert [run.job.id for run in (await b.snapshot()).running] == ["j1"]
        await a.job("j1")
        assert not (await b.snapshot()).running
        assert [one.id for one in (await b.claim(TASKS, 1)).jobs] == ["j1"]


async def test_a_job_that_exists_is_found_although_nobody_has_asked_before():
    async with two_workers() as (a, b, server):
        await b.add([job("j1")])
        for _ in range(5):
            await a.job("nobody")
        again = await a.add([job("j1")])
        assert [one.created for one in again.jobs] == [False]
        assert len(server.jobs) == 1


async def test_a_worker_whose_idea_of_the_time_is_wrong_asks_for_it_before_it_writes():
    """As after the host has slept: its clocks have stood still."""
    ahead = [0.0]
    store = MemoryServerStore(lambda: time.monotonic() + ahead[0], given=False)
    async with store.open("default", make_rules(pacing=MinInterval(10)), "a") as a:
        await a.recover(TASKS)
        for _ in range(5):
            await a.job("nobody")
        ahead[0] = 3600.0
        added = await a.add([job("j1")])
        assert added.jobs[0].record.created_at >= time.monotonic() + 3599


async def test_the_time_does_not_go_back_when_the_servers_clock_does():
    ahead = [3600.0]
    store = MemoryServerStore(lambda: time.monotonic() + ahead[0], given=False)
    async with store.open("default", make_rules(), "a") as a:
        first = await a.add([job("j1")])
        ahead[0] = 0.0
        await a.job("j1")
        second = await a.add([job("j2")])
        early, late = first.jobs[0].record.created_at, second.jobs[0].record.created_at
        assert early <= late < early + 10
        assert abs(a.utc(a.now()).timestamp() - time.monotonic()) < 10


async def test_the_others_are_told_of_what_concerns_them_and_of_nothing_else():
    async with two_workers() as (a, b, server):
        server.notices.clear()
        await a.add([job("j1")])
        (held,) = (await a.claim(TASKS, 1)).jobs
        await a.beat([held])
        await a.settle(held, SUCCEEDED, None)
        assert server.notices == ["a\n+", "a\n-\nj1"]
        await b.set_paused(True)
        assert server.notices[2:] == ["b\n!"]


async def test_who_holds_no_job_any_more_is_refused():
    async with two_workers() as (a, b, server):
        await a.add([job("j1")])
        (held,) = (await a.claim(TASKS, 1)).jobs
        await a.release([held])
        await b.claim(TASKS, 1)
        with pytest.raises(LeaseLostError):
            await a.settle(held, SUCCEEDED, None)
        assert server.jobs["j1"].job.worker == "b"
