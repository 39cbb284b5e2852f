"""What is kept between transactions, processes and versions: time, learned state, retries, finished jobs."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from pacer._errors import NotEncodableError
from pacer._job import JobState, Outcome, OutcomeKind, Retry
from pacer._snapshot import QueueState
from pacer.backoff import ConstantBackoff, NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause, TokenBucket, Unpaced

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED, result="1")
FAILED = Outcome(OutcomeKind.FAILED, error="ValueError: no")


def sql(path, statement: str, *parameters: Any) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(statement, parameters).fetchall()
        connection.commit()
        return rows


async def run_one(ledger, outcome=SUCCEEDED):
    (job,) = (await ledger.claim(TASKS, 1)).jobs
    return await ledger.settle(job, outcome, None)


# -- time ------------------------------------------------------------------------------------------------------------


async def test_a_pause_stays_a_pause_when_the_wall_clock_is_set_back(file, rules, make_job):
    file.rules = rules(pacing=FixedPause(10), concurrency=1)
    async with file.open() as ledger:
        await ledger.add([make_job("j1"), make_job("j2")])
        await run_one(ledger)
        ended = ledger.now()
        file.clock.now -= 3600
        assert ledger.now() == ended
        claimed = await ledger.claim(TASKS, 1)
        assert claimed.next.at - claimed.now == 10
        file.clock.advance(9.9)
        assert (await ledger.claim(TASKS, 1)).jobs == []
        file.clock.advance(0.2)
        assert len((await ledger.claim(TASKS, 1)).jobs) == 1


async def test_the_time_goes_on_from_where_it_was_in_the_next_process_too(file, rules, make_job):
    file.rules = rules(pacing=FixedPause(10), concurrency=1)
    async with file.open() as ledger:
        await ledger.add([make_job("j1"), make_job("j2")])
        await run_one(ledger)
        ended = ledger.now()
    file.clock.now -= 86400
    async with file.open("w2") as ledger:
        assert ledger.now() == ended
        claimed = await ledger.claim(TASKS, 1)
        assert claimed.next.at == ended + 10
        file.clock.advance(10)
        assert len((await ledger.claim(TASKS, 1)).jobs) == 1


async def test_all_workers_notice_that_the_clock_was_set_back(file, make_job):
    async with file.open("a") as a, file.open("b") as b:
        await a.add([make_job("j1")])
        file.clock.now -= 3600
        await a.add([make_job("j2")])
        file.clock.advance(5)
        await b.add([make_job("j3")])
        times = [(await b.job(job_id)).created_at for job_id in ("j1", "j2", "j3")]
        assert times == [times[0], times[0], times[0] + 5]
        assert a.now() <= b.now() == times[2]


async def test_utc_is_the_wall_clocks_time(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        assert ledger.utc(ledger.now()) == datetime.fromtimestamp(file.clock.now, UTC)
        file.clock.now -= 3600
        await ledger.add([make_job("j2")])
        assert ledger.utc(ledger.now()) == datetime.fromtimestamp(file.clock.now, UTC)


async def test_without_a_clock_it_is_the_wall_clock(file, make_job):
    async with file.open(clock=None) as ledger:
        before = datetime.now(UTC).timestamp()
        await ledger.add([make_job("j1")])
        assert before <= (await ledger.job("j1")).created_at <= datetime.now(UTC).timestamp()


# -- learned state ---------------------------------------------------------------------------------------------------


async def learned(file, rules, make_job, **parts) -> QueueState:
    """A queue that has learned from a success and a failure."""
    file.rules = rules(**parts)
    async with file.open() as ledger:
        await ledger.add([make_job("j1"), make_job("j2")])
        (job,) = (await ledger.claim(TASKS, 1)).jobs
        file.clock.advance(5)
        await ledger.settle(job, SUCCEEDED, None)
        file.clock.advance(5)
        await run_one(ledger, FAILED)
        return (await ledger.snapshot()).queue


async def reopened(file, rules, **parts) -> tuple[QueueState, list[str]]:
    opened = rules(**parts)
    async with file.open("w2", rules=opened) as ledger:
        return (await ledger.snapshot()).queue, [fault.problem for fault in opened.guard.take_faults()]


async def test_what_was_learned_survives_a_restart(file, rules, make_job):
    state = await learned(file, rules, make_job, pacing=TokenBucket(100), backoff=ConstantBackoff(3))
    assert await reopened(file, rules, pacing=TokenBucket(50), backoff=NoBackoff()) == (state, [])


async def test_another_strategy_begins_anew_and_the_other_ones_go_on(file, rules, make_job):
    state = await learned(file, rules, make_job, pacing=TokenBucket(100))
    found, problems = await reopened(file, rules, pacing=FixedPause(3))
    assert found == attrs.evolve(state, pacing=None)
    assert problems == [], "choosing another strategy is no fault"
    # It is the new one's state now: the old one does not get it back.
    found, _ = await reopened(file, rules, pacing=TokenBucket(100))
    assert found.pacing is None


@attrs.frozen
class Both:
    """A policy made of others, as combinations are."""

    parts: tuple[Any, ...]

    def initial_state(self) -> list[Any]:
        return [part.initial_state() for part in self.parts]

    def earliest(self, state, now, job, running):
        return max(
            (part.earliest(one, now, job, running) for part, one in zip(self.parts, state, strict=True)),
            key=lambda when: when.at,
        )

    def started(self, state, now, job, running):
        return [part.started(one, now, job, running) for part, one in zip(self.parts, state, strict=True)]

    def ended(self, state, now, job, outcome, running):
        return [part.ended(one, now, job, outcome, running) for part, one in zip(self.parts, state, strict=True)]


async def test_a_combination_of_other_strategies_begins_anew(file, rules, make_job):
    state = await learned(file, rules, make_job, pacing=Both((FixedPause(1), Unpaced())))
    assert state.pacing[0] is not None
    assert (await reopened(file, rules, pacing=Both((FixedPause(2), Unpaced()))))[0] == state
    found, _ = await reopened(file, rules, pacing=Both((TokenBucket(5), Unpaced())))
    assert found.pacing == [None, None]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '"x"', "[" * 5000, "\x00"])
async def test_an_unreadable_state_does_not_stop_the_store(file, rules, make_job, text):
    await learned(file, rules, make_job)
    sql(file.path, "UPDATE pacer_queues SET state = ?", text)
    found, problems = await reopened(file, rules)
    assert found == rules().initial()
    assert problems == ["the stored state cannot be read; the queue learns anew"]
    async with file.open("w3") as ledger:
        await ledger.add([make_job("j3")])
        await run_one(ledger)
    assert (await reopened(file, rules))[0].succeeded == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("failures", -1),
        ("failures", "3"),
        ("failures", True),
        ("succeeded", 1.5),
        ("hold_until", "soon"),
        ("hold_until", math.inf),
        ("hold_until", None),
        ("last_failed_at", math.nan),
        ("low_scale", 1000.0),
        ("high_scale", math.nan),
        ("paused", 1),
        ("hold_reason", None),
        ("hold_until", 10**400),
        ("numbers", {"pacing.seconds": 10**400}),
        ("ticks", {"every:sweep": math.inf}),
        ("minute", [math.nan, *[0] * 7]),
        ("minute", [1.5, *[0] * 7]),
        ("minute", [1, *[0] * 6, 10**400]),
        ("past", [[math.inf, *[0] * 7]]),
        ("past", [[]]),
        ("estimator", {"mean": 3}),
        ("estimator", {"mean": "3", "variance": 0.0, "count": 1}),
        ("estimator", {"mean": math.nan, "variance": 0.0, "count": 1}),
        ("estimator", []),
    ],
)
async def test_what_cannot_be_used_begins_anew_and_the_rest_is_kept(file, rules, make_job, name, value):
    state = await learned(file, rules, make_job)
    sql(file.path, "UPDATE pacer_queues SET state = ?", json.dumps({**state.to_json(), name: value}))
    found, problems = await reopened(file, rules)
    assert found == attrs.evolve(state, **{name: getattr(rules().initial(), name)})
    assert problems == [f"stored {name} cannot be used; learnt anew"]


async def test_a_state_of_another_version_is_read_as_far_as_it_goes(file, rules, make_job):
    state = await learned(file, rules, make_job)
    data = {**state.to_json(), "from_the_future": 1}
    del data["throttled"]
    sql(file.path, "UPDATE pacer_queues SET state = ?", json.dumps(data))
    assert await reopened(file, rules) == (attrs.evolve(state, throttled=0), [])


async def test_wrong_counts_are_put_right_when_the_store_is_opened(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1"), make_job("j2", delay=60.0)])
    sql(file.path, "UPDATE pacer_queues SET ready = 40, delayed = -3")
    async with file.open() as ledger:
        assert (await ledger.snapshot()).waiting == 2


async def test_what_another_process_learns_is_seen_at_once(file, rules, make_job):
    file.rules = rules(backoff=ConstantBackoff(30), estimator=MovingAverage(initial=10), concurrency=1)
    async with file.open("a") as a, file.open("b") as b:
        await a.add([make_job("j1"), make_job("j2")])
        await run_one(a, FAILED)
        claimed = await b.claim(TASKS, 1)
        assert claimed.next.at - claimed.now == 30
        assert (await b.snapshot()).queue == (await a.snapshot()).queue


# -- odd values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields", [{"key": "\ud800"}, {"unique": "\udfff"}, {"payload": object()}, {"cost": {"requests": math.nan}}]
)
async def test_what_cannot_be_written_is_refused_before_anything_is(file, make_job, fields):
    async with file.open() as ledger:
        with pytest.raises(NotEncodableError):
            await ledger.add([make_job("fine"), make_job("j1", **fields)])
        assert (await ledger.snapshot()).waiting == 0


async def test_errors_and_messages_of_jobs_may_hold_anything(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        (job,) = (await ledger.claim(TASKS, 1)).jobs
        job.progress, job.message = 0.5, "half \udc80 way"
        await ledger.beat([job])
        assert (await ledger.job("j1")).message == "half \\udc80 way"
        await ledger.settle(job, Outcome(OutcomeKind.FAILED, error="ä \ud800\x00 %s 'x"), None)
        found = await ledger.job("j1")
        assert (found.error, found.progress) == ("ä \\ud800\x00 %s 'x", 0.5)


async def test_a_result_that_sqlite_cannot_hold_is_dropped_and_the_job_has_succeeded(file, rules, make_job):
    """A codec of somebody else's: a settlement must not fail for ever because of it."""
    file.rules = rules()
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        settled = await run_one(ledger, Outcome(OutcomeKind.SUCCEEDED, result={"not": "text"}))
        assert (settled.record.state, settled.record.result) == (JobState.SUCCEEDED, None)
        assert ["must give str or bytes" in fault.problem for fault in file.rules.guard.take_faults()] == [True]


async def test_arguments_and_results_may_be_bytes(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1", payload=b"\x00\xff")])
        (job,) = (await ledger.claim(TASKS, 1)).jobs
        assert job.payload == b"\x00\xff"
        await ledger.settle(job, Outcome(OutcomeKind.SUCCEEDED, result=b"\xfe"), None)
        assert (await ledger.job("j1")).result == b"\xfe"


async def test_a_job_named_twice_in_one_call_is_one_job(file, make_job):
    async with file.open() as ledger:
        addition = await ledger.add(
            [make_job("j1"), make_job("j1"), make_job("j2", unique="u"), make_job("j3", unique="u")]
        )
        assert [(one.record.id, one.position, one.created) for one in addition.jobs] == [
            ("j1", 1, True),
            ("j1", 1, False),
            ("j2", 2, True),
            ("j2", 2, False),
        ]
        assert addition.snapshot.waiting == 2


# -- heartbeat and retention -----------------------------------------------------------------------------------------


async def test_a_heartbeat_writes_only_when_there_is_something_to_write(file, make_job):
    async with file.open(lease=30) as ledger:
        await ledger.recover(TASKS)
        await ledger.add([make_job("j1")])
        (job,) = (await ledger.claim(TASKS, 1)).jobs
        await ledger.beat([job])

        async def written() -> bool:
            connection = ledger._group.thread._connection
            before = connection.total_changes
            await ledger.beat([job])
            return connection.total_changes > before

        assert not await written()
        file.clock.advance(9)
        assert not await written(), "more than two thirds of the lease are left"
        job.progress = 0.25
        assert await written(), "progress is written at once"
        assert (await ledger.job("j1")).progress == 0.25
        assert not await written()
        file.clock.advance(11)
        assert await written(), "less than two thirds of the lease are left"
        assert job.lease_until == ledger.now() + 30
        assert not await written()


async def test_a_heartbeat_comes_at_least_every_second(file):
    async with file.open(lease=30) as ledger:
        assert ledger.heartbeat == 1
    async with file.open(lease=0.6, poll=0.1) as ledger:
        assert ledger.heartbeat == pytest.approx(0.2)
        assert ledger.poll == 0.1


async def test_finished_jobs_are_removed_after_a_time_in_small_batches(file, rules, make_job):
    file.rules = rules(concurrency=5000)
    async with file.open(keep_finished_for=100) as ledger:
        await ledger.add([make_job(f"j{number}") for number in range(1200)])
        for job in (await ledger.claim(TASKS, 1200)).jobs:
            await ledger.settle(job, SUCCEEDED, None)
        await ledger.add([make_job("waits")])
        file.clock.advance(90)
        await ledger.beat([])
        assert count(file) == 1201
        file.clock.advance(60)
        left = []
        for _ in range(4):
            await ledger.beat([])
            left.append(count(file))
        assert left == [701, 201, 1, 1]
        assert await ledger.job("j0") is None
        assert (await ledger.snapshot()).queue.succeeded == 1200, "totals are kept"
        await ledger.add([make_job("j0")])
        assert (await ledger.job("j0")).seq > 1200, "numbers are not given out again"


def count(file) -> int:
    return sql(file.path, "SELECT count(*) FROM pacer_jobs")[0][0]


async def test_a_worker_that_closes_leaves_no_row(file):
    async with file.open("w1"), file.open("w2"):
        assert len(sql(file.path, "SELECT worker FROM pacer_workers")) == 2
    assert sql(file.path, "SELECT worker FROM pacer_workers") == []


async def test_the_rows_of_workers_that_vanished_are_removed(file, make_job):
    async with file.open("w1"):
        sql(file.path, "INSERT INTO pacer_workers SELECT queue, 'gone', alive_until, tasks FROM pacer_workers")
        file.clock.advance(31)
        async with file.open("w2") as ledger:
            await ledger.recover(TASKS)
            assert sql(file.path, "SELECT worker FROM pacer_workers") == [("w2",)]


# -- speed without a stopwatch ---------------------------------------------------------------------------------------


async def test_no_question_looks_at_finished_or_waiting_jobs_one_by_one(file, make_job):
    """Each statement of the usual traffic finds what it needs in an index."""
    statements: list[str] = []
    async with file.open() as ledger:
        await ledger.recover(TASKS)
        await ledger._group.thread._connection.set_trace_callback(statements.append)
        await ledger.add([make_job("j1", batch_id="x"), make_job("j2", delay=1.0, unique="u")])
        await ledger.add([make_job("j3")])
        jobs = (await ledger.claim(TASKS, 2)).jobs
        await ledger.beat(jobs)
        await ledger.settle(jobs[0], FAILED, Retry(2, ConstantBackoff(1)))
        await ledger.release(jobs[1:])
        file.clock.advance(2)
        await ledger.claim(TASKS, 2)
        for job_id in ("j1", "j2", "j3"):
            await ledger.position(job_id)
        await ledger.snapshot()
        await ledger.batch("x")
        await ledger.cancel("j3")
        await ledger.recover(TASKS)
        async with file.open("w2") as other:
            await other.snapshot()
        await ledger.snapshot()
    kinds = ("SELECT", "UPDATE", "DELETE")
    asked = {text for text in statements if text.lstrip().startswith(kinds) and "pacer_jobs" in text}
    assert len(asked) > 15
    with contextlib.closing(sqlite3.connect(file.path)) as connection:
        for text in asked:
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {text.replace('-Inf', '-9e999')}")]
            assert not [step for step in plan if step.startswith("SCAN pacer_jobs")], (text, plan)
