"""Rehearsals: what was enqueued, what comes of it, and that the scheduler is as it was before."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import anyio
import attrs
import pytest

from pacer import (
    AlreadyRunningError,
    BoundedQueue,
    JobFailedError,
    JobStaleError,
    JobState,
    NotEncodableError,
    NotRunningError,
    QueueFullError,
    Retry,
    Scheduler,
    StoreUnavailableError,
    Throttled,
    call,
)
from pacer.alerts import Alert, QueueFull
from pacer.backoff import ConstantBackoff, ExponentialBackoff
from pacer.pacing import FixedPause, OpeningHours
from pacer.stores import MemoryStore
from pacer.stores.postgres import PostgresStore
from pacer.stores.sqlite import SqliteStore
from pacer.testing import fast, rehearse

pytestmark = pytest.mark.anyio


async def analyse(text: str, *, pages: int = 1) -> str:
    await anyio.sleep(20)
    return text.upper()


async def analyse_all() -> None:
    pass


async def fails() -> None:
    msg = "no such model"
    raise LookupError(msg)


@pytest.fixture
def scheduler(tmp_path):
    """An application's: it keeps its jobs in a file, and with other parts than the default ones."""
    made = Scheduler(
        queue=BoundedQueue(3),
        pacing=FixedPause(10),
        backoff=ExponentialBackoff(15, maximum=300, after=2),
        store=SqliteStore(tmp_path / "the-applications-own.db"),
        observers=(),
    )
    made.task(analyse)
    made.task(fails, name="fails")
    return made


# -- the scheduler and its parts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [rehearse, fast])
async def test_the_applications_store_is_left_alone_and_the_scheduler_is_as_it_was(scheduler, tmp_path, how):
    before = attrs.asdict(scheduler, recurse=False)
    with how(scheduler) as rehearsal:
        async with scheduler:
            await scheduler.enqueue(analyse, "One")
            await rehearsal.drain()
    assert attrs.asdict(scheduler, recurse=False) == before
    assert list(tmp_path.iterdir()) == []


async def test_two_rehearsals_know_nothing_of_each_other(scheduler):
    for _ in range(2):
        with rehearse(scheduler, hold=True) as rehearsal:
            async with scheduler:
                await scheduler.enqueue(analyse, "One")
                assert (await scheduler.status()).pending == len(rehearsal.enqueued) == 1


async def test_a_scheduler_that_runs_is_not_rehearsed(scheduler):
    scheduler.store = MemoryStore()
    async with scheduler:
        with pytest.raises(AlreadyRunningError, match="rehearse it before it is started"), rehearse(scheduler):
            pass
    with pytest.raises(AlreadyRunningError, match="stop it before the rehearsal ends"), rehearse(scheduler):
        await scheduler.__aenter__()
    await scheduler.__aexit__(None, None, None)


async def test_alerts_tell_nobody_unless_the_test_gives_the_scheduler_one(scheduler):
    told, told_in_test = [], []

    async def tell(message):
        told.append(message)

    async def tell_test(message):
        told_in_test.append(message)

    scheduler.alerts = (Alert(QueueFull(), tell),)
    for alerts in ((), (Alert(QueueFull(), tell_test),)):
        with rehearse(scheduler, hold=True):
            if alerts:
                scheduler.alerts = alerts
            async with scheduler:
                for _ in range(3):
                    await scheduler.enqueue(analyse, "One")
                with pytest.raises(QueueFullError):
                    await scheduler.enqueue(analyse, "One")
                await anyio.sleep(1)
    assert (told, len(told_in_test)) == ([], 1)


async def test_a_job_that_is_run_again_by_hand_is_another_run_in_the_report(scheduler):
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            receipt = await scheduler.enqueue(fails)
            await rehearsal.drain(strict=False)
            await scheduler.retry(receipt.job_id)
            report = await rehearsal.drain(strict=False)
    assert (report.outcomes, report.starts) == (["failed", "failed"], [0, 10])
    assert "fails() is enqueued again by hand" in str(report)
    rehearsal.assert_enqueued(fails, times=1)


async def test_periodic_jobs_are_seen_and_run(scheduler):
    scheduler.every(60)(analyse_all)
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            await anyio.sleep(150)
    assert len(rehearsal.enqueued) == len(rehearsal.report.runs)
    rehearsal.assert_enqueued(analyse_all, times=2)


async def test_the_calendar_begins_where_the_test_says(scheduler):
    scheduler.pacing = OpeningHours("09:00", "17:00", timezone="UTC")
    for start, starts in (({}, [0]), ({"start": datetime(2024, 5, 1, 8, 30, tzinfo=UTC)}, [1800])):
        for _ in range(2):
            with rehearse(scheduler, **start) as rehearsal:
                async with scheduler:
                    receipt = await scheduler.enqueue(analyse, "One")
                    at = (await scheduler.job(receipt.job_id)).created_at
                    assert at == start.get("start", datetime(2024, 1, 1, 12, tzinfo=UTC))
                    assert (await rehearsal.drain()).starts == starts


# -- what was enqueued -----------------------------------------------------------------------------------------------


@pytest.fixture
def held(scheduler):
    with rehearse(scheduler, hold=True) as rehearsal:
        yield rehearsal


async def test_the_jobs_are_seen_with_all_that_was_said_of_them(scheduler, held):
    async with scheduler:
        await anyio.sleep(5)
        options = scheduler.options(key="tenant-1", priority=7, delay=60, unique="one", job_id="42")
        await options.enqueue(analyse, "One", pages=3)
    [job] = held.assert_enqueued(analyse, key="tenant-1", priority=7, delay=60, unique="one", job_id="42")
    assert (job.args, job.kwargs, job.at) == (["One"], {"pages": 3}, 5)
    assert str(job).endswith("analyse('One', pages=3) key='tenant-1' priority=7 unique='one' delay=60.0")


async def test_arguments_are_compared_as_the_function_would_get_them(scheduler, held):
    async with scheduler:
        await scheduler.enqueue(analyse, "One")
        await scheduler.enqueue(analyse, text="Two", pages=2)
    held.assert_enqueued(analyse, args=("One",), times=1)
    held.assert_enqueued(analyse, args=["One"], kwargs={"pages": 1}, times=1)
    held.assert_enqueued(analyse, kwargs={"text": "Two"}, times=1)
    held.assert_enqueued(analyse, args=("Two",), kwargs={"pages": 2}, times=1)
    held.assert_enqueued(analyse, kwargs={"pages": 2}, times=1)
    held.assert_enqueued(analyse, times=2)
    held.assert_not_enqueued(analyse, args=("Two",))
    held.assert_not_enqueued(fails)
    held.assert_not_enqueued("fails")


async def test_batches_functions_that_are_not_registered_and_ended_jobs_are_seen_too(scheduler):
    async def local(number):
        return number

    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            batch = await scheduler.enqueue_many([call(analyse, "One"), call(analyse, "Two")])
            await scheduler.enqueue(local, {1, 2})
            report = await rehearsal.drain()
            rehearsal.assert_enqueued(analyse, batch_id=batch.batch_id, times=2)
            rehearsal.assert_enqueued(local, args=({1, 2},))
            assert report.outcomes == ["succeeded"] * 3
            rehearsal.clear()
            rehearsal.assert_not_enqueued()
            await scheduler.enqueue(fails)
            rehearsal.assert_enqueued("fails", times=1)


async def test_what_stood_for_another_job_or_was_refused_was_not_enqueued(scheduler, held):
    async with scheduler:
        for _ in range(2):
            await scheduler.options(unique="one").enqueue(analyse, "One")
        for text in ("Two", "Three"):
            await scheduler.enqueue(analyse, text)
        with pytest.raises(QueueFullError):
            await scheduler.enqueue(analyse, "Four")
    with pytest.raises(AssertionError, match="1 more were refused, because the queue was full"):
        held.assert_enqueued(analyse, args=("Four",))
    held.assert_enqueued(analyse, times=3)


async def test_the_message_names_what_was_enqueued_instead_and_what_is_different(scheduler, held):
    with pytest.raises(AssertionError, match="Nothing was enqueued"):
        held.assert_enqueued(analyse)
    async with scheduler:
        await scheduler.options(key="a").enqueue(analyse, "x" * 100)
        await scheduler.enqueue(fails)
    with pytest.raises(AssertionError) as failure:
        held.assert_enqueued(analyse, kwargs={"pages": 2, "page": 1}, key="b")
    lines = str(failure.value).splitlines()
    assert lines[0].endswith("analyse with kwargs={'pages': 2, 'page': 1}, key='b' to be enqueued; none was.")
    assert lines[2].endswith("xxx...) key='a'    <- pages is 1, not 2; there is no page; key is 'a', not 'b'")
    assert lines[3] == "  fails()    <- task is fails"
    with pytest.raises(AssertionError, match=r"expected 2 jobs of fails to be enqueued; 1 was\."):
        held.assert_enqueued("fails", times=2)
    with pytest.raises(AssertionError, match=r"expected no job of any task to be enqueued; 2 were\."):
        held.assert_not_enqueued()
    with pytest.raises(TypeError, match="an enqueued job has no lane; it has args, at, batch_id"):
        held.assert_enqueued(analyse, lane="a")


async def test_arguments_are_refused_as_the_applications_store_would(scheduler, held):
    async with scheduler:
        with pytest.raises(NotEncodableError, match="argument 1 of"):
            await scheduler.enqueue(analyse, ("a", "tuple"))
    held.assert_not_enqueued()


@pytest.mark.asyncio_only
async def test_a_job_of_a_transaction_is_seen_once_that_is_committed(scheduler, tmp_path):
    store = SqliteStore(tmp_path / "test.db", share=True)
    with rehearse(scheduler, store=store, hold=True) as rehearsal:
        async with scheduler:
            connection = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
            for end in ("ROLLBACK", "COMMIT"):
                connection.execute("BEGIN IMMEDIATE")
                await scheduler.using(connection).enqueue(analyse, end)
                rehearsal.assert_not_enqueued()
                connection.execute(end)
            connection.close()
            await scheduler.status()
            rehearsal.assert_enqueued(analyse, args=("COMMIT",), times=1)
            rehearsal.assert_enqueued(analyse, times=1)
            await rehearsal.drain()


# -- what comes of it ------------------------------------------------------------------------------------------------


async def test_everything_that_waits_is_run_at_its_pace(scheduler):
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            for text in ("One", "Two", "Three"):
                await scheduler.enqueue(analyse, text)
            report = await rehearsal.drain()
    assert (report.starts, report.waits, report.lasted) == ([0, 30, 60], [0, 30, 60], 80)
    assert [run.ended_at for run in report.runs] == [20, 50, 80]
    assert "       30 s  analyse('Two') starts: attempt 1, waited 30 s" in str(report).splitlines()


@pytest.mark.asyncio_only
async def test_the_same_in_a_file_with_times_from_the_start(scheduler, tmp_path):
    with rehearse(scheduler, store=SqliteStore(tmp_path / "test.db")) as rehearsal:
        async with scheduler:
            receipts = [await scheduler.enqueue(analyse, text) for text in ("One", "Two", "Three")]
            report = await rehearsal.drain()
            assert await scheduler.wait(receipts[2]) == "THREE"
            first = await scheduler.job(receipts[0].job_id)
    assert (report.starts, report.lasted) == ([0, 30, 60], 80)
    assert first.started_at is not None
    assert first.started_at.isoformat() == "2024-01-01T12:00:00+00:00"


async def test_the_first_failure_is_raised_as_the_function_raised_it(scheduler):
    with pytest.raises(LookupError, match="no such model") as failure, rehearse(scheduler) as rehearsal:
        async with scheduler:
            await scheduler.enqueue(analyse, "One")
            await scheduler.enqueue(fails)
            await rehearsal.drain()
    assert failure.traceback[-1].name == "fails"
    assert failure.value.__notes__[0] == "fails() failed, 30 s after the start"
    assert failure.value.__notes__[1].startswith("What the queue 'default' did:\n")


async def test_without_strict_the_report_has_failures_retries_and_holds(scheduler):
    async def flaky():
        raise next(errors)

    errors = iter([ValueError("first"), Throttled(42, reason="busy"), ValueError("second"), ValueError("third")])
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            await scheduler.options(retry=Retry(3, ConstantBackoff(100))).enqueue(flaky)
            report = await rehearsal.drain(strict=False)
    assert report.outcomes == ["retried", "throttled", "retried", "failed"]
    assert [run.attempt for run in report.runs] == [1, 2, 2, 3]
    assert [str(run.exception) for run in report.runs] == [
        "first",
        "throttled, retry after 42 s: busy",
        "second",
        "third",
    ]
    assert report.starts == [0, 100, 142, 242]
    assert [(hold.at, hold.seconds) for hold in report.holds] == [(100, 42), (142, 15), (242, 30)]
    assert str(report.failure) == "third"


async def test_a_time_out_is_raised_as_the_error_that_whoever_waits_gets(scheduler):
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            await scheduler.options(timeout=5).enqueue(analyse, "One")
            with pytest.raises(JobFailedError, match="timed out after 5 s"):
                await rehearsal.drain()


async def test_a_strategy_that_misbehaves_fails_the_test(scheduler):
    @attrs.frozen
    class Odd(FixedPause):
        def earliest(self, state, now, job, running):
            raise ZeroDivisionError

    scheduler.pacing = Odd(1)
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            await scheduler.enqueue(analyse, "One")
            with pytest.raises(AssertionError, match="Odd misbehaved when asked for earliest: ZeroDivision"):
                await rehearsal.drain()
    assert "Odd misbehaves: ZeroDivisionError:  (" in str(rehearsal.report)


async def test_held_jobs_start_in_drain_only_and_forecasts_are_what_they_would_be(scheduler):
    with rehearse(scheduler, hold=True) as rehearsal:
        async with scheduler:
            await scheduler.enqueue(analyse, "One")
            second = await scheduler.enqueue(analyse, "Two")
            await anyio.sleep(1000)
            assert second.estimate is not None
            assert (await scheduler.status()).running == 0
            assert (await rehearsal.drain()).starts == [1000, 1030]
            await scheduler.enqueue(analyse, "Three")
            await anyio.sleep(1000)
            assert (await scheduler.status()).pending == 1


async def test_what_can_never_be_drained_says_why(scheduler):
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            await rehearsal.drain()  # nothing waits
            await scheduler.pause()
            await scheduler.enqueue(analyse, "One")
            with pytest.raises(AssertionError, match="the queue is paused, and 1 jobs wait"):
                await rehearsal.drain()
            await scheduler.resume()
            with pytest.raises(AssertionError, match=r"after 5 s 0 jobs still wait and 1 run") as failure:
                await rehearsal.drain(timeout=5)
            assert "analyse('One') starts" in str(failure.value)
            await scheduler.options(delay=200_000).enqueue(analyse, "Late")
            with pytest.raises(AssertionError, match="after 86400 s 1 jobs still wait"):
                await rehearsal.drain()
    scheduler.worker_concurrency = 0
    with rehearse(scheduler) as rehearsal:
        async with scheduler:
            await scheduler.enqueue(analyse, "One")
            with pytest.raises(AssertionError, match=r"runs no jobs \(worker_concurrency=0\)"):
                await rehearsal.drain()


# -- crashes ---------------------------------------------------------------------------------------------------------


BOTH_WAYS = pytest.mark.parametrize(("on_crash", "state"), [("rerun", JobState.SUCCEEDED), ("stale", JobState.STALE)])


@BOTH_WAYS
@pytest.mark.parametrize("lease", [None, 30])
async def test_after_a_crash_jobs_are_run_again_or_stale(scheduler, lease, on_crash, state):
    await crash_and_restart(scheduler, MemoryStore(lease=lease), on_crash, state)


@BOTH_WAYS
@pytest.mark.asyncio_only
async def test_the_same_in_a_file_once_the_lease_is_over(scheduler, tmp_path, on_crash, state):
    await crash_and_restart(scheduler, SqliteStore(tmp_path / "test.db"), on_crash, state)


async def crash_and_restart(scheduler, store, on_crash, state):
    scheduler.on_crash = on_crash
    with rehearse(scheduler, store=store) as rehearsal:
        async with scheduler:
            running = await scheduler.enqueue(analyse, "One")
            waiting = await scheduler.enqueue(analyse, "Two")
            await anyio.sleep(5)
            rehearsal.crash()
            with pytest.raises(StoreUnavailableError, match="killed by Rehearsal"):
                await scheduler.enqueue(analyse, "Three")
            await anyio.sleep(100)  # it goes on for a while, and nobody hears of it
        async with scheduler:
            assert (await scheduler.job(waiting.job_id)).state in (JobState.QUEUED, JobState.RUNNING)
            report = await rehearsal.drain(strict=False)
            job = await scheduler.job(running.job_id)
            assert (job.state, job.recoveries) == (state, 1)
            assert (await scheduler.job(waiting.job_id)).state is JobState.SUCCEEDED
            if state is JobState.STALE:
                assert isinstance(report.failure, JobStaleError)
    assert report.outcomes.count("succeeded") == (2 if on_crash == "rerun" else 1)


async def test_only_what_runs_can_crash(scheduler):
    with rehearse(scheduler) as rehearsal, pytest.raises(NotRunningError):
        rehearsal.crash()


# -- without a pace --------------------------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_fast_leaves_out_every_wait_but_no_step():
    """In real time: pauses, backoffs, delays, retries and throttles of hours would not end."""
    scheduler = Scheduler(queue=BoundedQueue(4), pacing=FixedPause(3600), backoff=ConstantBackoff(3600), observers=())
    scheduler.store.codec = SqliteStore("unused.db").codec
    outcomes = iter([Throttled(3600), ValueError("first"), None, None, None])
    order = list[str]()

    @scheduler.task(name="work", retry=Retry(2, ConstantBackoff(3600)))
    async def work(name: str) -> None:
        order.append(name)
        if (outcome := next(outcomes)) is not None:
            raise outcome

    with fast(scheduler) as rehearsal:
        async with scheduler:
            for name in ("a", "b"):
                await scheduler.options(delay=3600).enqueue(work, name)
            assert order == []  # not inline: the caller goes on first
            with pytest.raises(NotEncodableError):
                await scheduler.enqueue(work, {"a set"})
            report = await rehearsal.drain()
    assert order == ["a", "a", "a", "b"]
    assert report.outcomes == ["throttled", "retried", "succeeded", "succeeded"]
    rehearsal.assert_enqueued(work, delay=3600, times=2)


@pytest.mark.anyio
async def test_fast_still_has_the_queues_capacity(scheduler):
    with fast(scheduler, hold=True):
        async with scheduler:
            for _ in range(3):
                await scheduler.enqueue(analyse, "One")
            with pytest.raises(QueueFullError):
                await scheduler.enqueue(analyse, "One")


# -- stores that no test can move ------------------------------------------------------------------------------------


@pytest.mark.asyncio_only
async def test_a_store_on_a_server_is_not_for_virtual_time(scheduler):
    refusal = pytest.raises(TypeError, match="PostgresStore takes the time from its server, which no test can move")
    with rehearse(scheduler, store=PostgresStore("postgresql://nowhere.invalid/x")), refusal:
        async with scheduler:
            pass
