"""What others do between two looks at a server, and what arrives late: nothing is lost, counted wrongly, or raised."""

from __future__ import annotations

from contextlib import asynccontextmanager

import attrs
import pytest
from memory_server import MemoryBackend, MemoryServerStore, fail

from pacer._errors import StoreUnavailableError
from pacer._job import JobRecord, JobState, Outcome, OutcomeKind
from pacer.estimators import MovingAverage
from pacer.stores._server import _thread
from pacer.testing import ManualClock
from pacer.testing._store_desk import make_rules

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED, result="1")


def job(job_id, **fields):
    return JobRecord(job_id, "work", "[[],{}]", **fields)


async def until_quiet(ledger):
    for _ in range(5):  # until it takes itself to be alone
        await ledger.job("nobody")


@asynccontextmanager
async def two_workers(**parts):
    """Two workers on one queue, the server, and its clock."""
    clock = ManualClock()
    store = MemoryServerStore(clock)
    async with (
        store.open("default", make_rules(**parts), "a") as a,
        store.open("default", make_rules(**parts), "b") as b,
    ):
        await a.recover(TASKS)
        await b.recover(TASKS)
        yield a, b, store.server(), clock


def once(what):
    """A function that does it when it is called first."""
    calls = [what]

    def call():
        if calls:
            calls.pop()()

    return call


async def test_a_job_can_be_cancelled_that_another_has_just_started():
    async with two_workers() as (a, b, _, _):
        await a.add([job("j1")])
        await until_quiet(a)
        (held,) = (await b.claim(TASKS, 1)).jobs
        assert await a.cancel("j1") is JobState.RUNNING
        assert (await b.beat([held])).cancel == {"j1"}


async def test_a_job_that_becomes_ready_while_others_are_made_ready_is_counted_as_what_it_is():
    async with two_workers() as (a, b, server, clock):
        await a.add([job("soon", delay=10.0), job("later", delay=11.0)])
        await until_quiet(a)
        clock.advance(10.5)
        server.before_load = once(lambda: clock.advance(1))  # between making ready and looking again
        assert await a.cancel("later") is JobState.QUEUED
        assert (server.head.ready, server.head.delayed) == (1, 0)
        assert [one.id for one in (await b.claim(TASKS, 5)).jobs] == ["soon"]


@attrs.frozen
class Other(MovingAverage):
    """An estimator of another class, whose state looks the same."""


async def test_who_takes_over_feeds_no_state_of_one_class_to_another_in_any_worker():
    async with two_workers(estimator=MovingAverage(initial=7)) as (a, _, server, _):
        store = MemoryServerStore(server.clock, servers={"default": server})
        rules = make_rules(estimator=Other(initial=9))
        assert (await a.snapshot()).queue.estimator["mean"] == 7
        async with (
            store.open("default", rules, "c", takeover=True) as c,
            store.open("default", rules, "d") as d,
        ):
            assert (await c.snapshot()).queue.estimator["mean"] == 9
            assert (await d.snapshot()).queue.estimator["mean"] == 9


async def lose_a_claim(ledger, server, monkeypatch):
    """A claim whose commit is on its way when the connection breaks. Returns what lets it arrive."""
    write, lost = MemoryBackend.write, []

    def on_its_way(self, writing):
        lost.append((self, writing))
        server.before_load = fail
        fail()

    with monkeypatch.context() as patch:
        patch.setattr(_thread, "_PATIENCE", 0.0)
        patch.setattr(MemoryBackend, "write", on_its_way)
        with pytest.raises(StoreUnavailableError, match="not known whether"):
            await ledger.claim(TASKS, 1)
    server.before_load = lambda: None
    return lambda: write(*lost[0])


async def test_jobs_of_a_claim_that_arrives_after_others_have_looked_go_back(monkeypatch):
    async with two_workers() as (a, b, server, _):
        await a.add([job("j1")])
        arrive = await lose_a_claim(a, server, monkeypatch)
        await a.job("j1")
        assert arrive()
        await a.job("j1")
        assert not (await b.snapshot()).running
        assert [one.id for one in (await b.claim(TASKS, 1)).jobs] == ["j1"]


async def test_a_claim_that_arrives_after_another_commit_is_too_late(monkeypatch):
    async with two_workers() as (a, b, server, _):
        await a.add([job("j1")])
        arrive = await lose_a_claim(a, server, monkeypatch)
        await b.add([job("j2")])
        await a.job("j1")
        assert not arrive()
        assert (await b.snapshot()).waiting == 2


async def test_a_job_that_nobody_knows_to_hold_comes_back_when_its_lease_is_over_even_if_its_worker_is_alone():
    store = MemoryServerStore(clock := ManualClock())
    async with store.open("default", make_rules(), "a") as a:
        await a.recover(TASKS)
        await a.add([job("lost"), job("held")])
        _, held = (await a.claim(TASKS, 2)).jobs
        for _ in range(3):
            clock.advance(11)
            await a.beat([held])
            await a.recover(TASKS)
        assert (await a.job("lost")).state is JobState.QUEUED
        assert (await a.settle(held, SUCCEEDED, None)).record.state is JobState.SUCCEEDED


@pytest.mark.parametrize("moment", ["before_write", "after_write"])
async def test_what_expires_in_a_commit_without_an_answer_is_told_once(moment):
    async with two_workers() as (a, _, server, clock):
        await a.add([job("j1", expires=5.0)])
        clock.advance(6)
        setattr(server, moment, once(fail))
        await a.add([job("j2")])
        assert [one.id for one in (await a.expire()).jobs] == ["j1"]
        assert not (await a.expire()).jobs


async def test_leases_are_extended_when_they_are_short_and_not_with_every_heartbeat():
    async with two_workers() as (a, b, server, clock):
        await a.add([job("j1")])
        (held,) = (await a.claim(TASKS, 1)).jobs
        await b.add([job("j2")])  # so that a has read it all anew
        before = server.writes
        for _ in range(60):
            clock.advance(1)
            await a.beat([held])
        assert server.writes - before <= 7, "the lease is 30 s, of which 10 may be used up"


async def test_who_did_not_hear_that_it_had_come_in_is_in_all_the_same():
    """Later it can be taken over like anybody else."""
    clock = ManualClock()
    store = MemoryServerStore(clock)
    store.server().after_write = once(fail)
    async with (
        store.open("default", make_rules(), "a") as a,
        store.open("default", make_rules(concurrency=7), "b", takeover=True) as b,
    ):
        assert (await a.snapshot()).waiting == 0
        assert (await b.snapshot()).waiting == 0


async def test_after_the_server_was_away_workers_get_time_to_say_that_they_are_still_there():
    async with two_workers() as (a, b, server, clock):
        await b.recover(frozenset({"work", "only b"}))
        await b.add([job("j1"), JobRecord("j2", "only b", "[[],{}]")])
        (held,) = (await b.claim(TASKS, 1)).jobs
        server.before_load = server.before_write = fail
        for _ in range(40):
            clock.advance(1)
            with pytest.raises(StoreUnavailableError):
                await a.beat([])
        server.before_load = server.before_write = lambda: None
        await a.beat([])
        assert not await a.recover(TASKS), "b has had no chance yet"
        clock.advance(1)
        assert not (await b.beat([held])).lost
        await b.recover(frozenset({"work", "only b"}))
        clock.advance(11)
        await a.beat([])
        assert not await a.recover(TASKS)
        assert (await b.settle(held, SUCCEEDED, None)).record.state is JobState.SUCCEEDED
        assert (await a.job("j2")).state is JobState.QUEUED


async def test_after_the_server_was_away_who_does_not_come_back_is_gone():
    async with two_workers() as (a, b, server, clock):
        await b.add([job("j1")])
        await b.claim(TASKS, 1)
        server.before_load = server.before_write = fail
        with pytest.raises(StoreUnavailableError):
            await a.beat([])
        clock.advance(40)
        server.before_load = server.before_write = lambda: None
        assert not await a.recover(TASKS)
        for _ in range(9):
            clock.advance(1)
            assert not await a.recover(TASKS)
        clock.advance(2)
        assert [one.id for one in await a.recover(TASKS)] == ["j1"]


async def test_a_short_interruption_gives_nobody_more_time():
    async with two_workers() as (a, b, server, clock):
        await b.add([job("j1")])
        await b.claim(TASKS, 1)
        server.before_load = once(fail)
        clock.advance(30)
        with pytest.raises(StoreUnavailableError):
            await a.job("j1")
        clock.advance(1)
        assert [one.id for one in await a.recover(TASKS)] == ["j1"]
