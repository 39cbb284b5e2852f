"""What a job's function reports reaches the policy, however the run ends."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from listening import Listening

from pacer import JobFailedError, Outcome, OutcomeKind, Scheduler, Throttled, current_job
from pacer.feedback import report_response, report_response_sync
from pacer.pacing import ServerGuided
from pacer.protocols import LimitReport
from pacer.stores.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


async def heard_of(function: Callable[..., Any], *args: Any) -> Outcome:
    """What the pacing policy is told of one run."""
    pacing = Listening()
    async with Scheduler(pacing=pacing, max_throttles=0) as scheduler:
        receipt = await scheduler.enqueue(function, *args)
        with suppress(JobFailedError):
            await scheduler.wait(receipt)
    (outcome,) = pacing.heard
    return outcome


REMAINING = {"x-ratelimit-remaining": "3", "x-ratelimit-reset": "30"}
REPORTED = (LimitReport(name="requests", remaining=3.0, reset_in=30.0),)


@pytest.mark.parametrize(
    ("end", "kind"),
    [(None, OutcomeKind.SUCCEEDED), (ValueError("no"), OutcomeKind.FAILED), (Throttled(1), OutcomeKind.THROTTLED)],
)
async def test_reports_arrive_whether_the_run_succeeds_fails_or_is_throttled(
    end: Exception | None, kind: OutcomeKind
) -> None:
    async def ask() -> None:
        current_job().report(headers=REMAINING, cost={"tokens": 5})
        if end is not None:
            raise end

    outcome = await heard_of(ask)
    assert (outcome.kind, outcome.limits, outcome.cost) == (kind, REPORTED, {"tokens": 5.0})


async def test_costs_add_up_and_of_each_limit_the_latest_report_counts() -> None:
    async def ask() -> str:
        job = current_job()
        job.report(headers=REMAINING, cost={"tokens": 5, "requests": 1})
        job.report(headers={"x-ratelimit-remaining": "2"}, limits=[LimitReport(name="tokens", remaining=9)])
        job.report(cost={"tokens": 2.5})
        job.report()
        return "done"

    outcome = await heard_of(ask)
    assert outcome.result == "done"
    assert outcome.cost == {"tokens": 7.5, "requests": 1.0}
    assert outcome.limits == (LimitReport(name="requests", remaining=2.0), LimitReport(name="tokens", remaining=9))


async def test_what_the_end_itself_says_is_the_last_report() -> None:
    async def ask() -> None:
        current_job().report(headers=REMAINING, cost={"tokens": 5})
        raise Throttled(1, limits=(LimitReport(name="requests", remaining=0.0),), cost={"tokens": 1, "requests": 1})

    outcome = await heard_of(ask)
    assert outcome.limits == (LimitReport(name="requests", remaining=0.0),)
    assert outcome.cost == {"tokens": 6.0, "requests": 1.0}


class Broken(Throttled):
    def __init__(self) -> None:
        """Without what it is made of."""


class SpeechlessError(Exception):
    def __str__(self) -> str:
        raise LookupError


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        (Throttled(1, cost={"tokens": "12"}), "TypeError: Throttled: the cost of 'tokens' must be a number, got '12'"),
        (
            Throttled(1, cost={"tokens": -1}),
            "ValueError: Throttled: the cost of 'tokens' must be finite and 0 or more, got -1",
        ),
        (Throttled(1, cost=["tokens"]), "TypeError: Throttled: cost must be a mapping"),
        (Throttled(1, limits=("requests",)), "TypeError: Throttled: limits must be LimitReport objects"),
        (Throttled(1, limits=None), "TypeError: "),
        (
            Throttled(1, limits=(LimitReport(name="requests", remaining=float("nan")),)),
            "ValueError: Throttled: the numbers",
        ),
        (Broken(), "AttributeError: "),
        (SpeechlessError(), "SpeechlessError"),
    ],
)
async def test_a_mistake_in_what_a_job_raises_is_the_failure_of_that_job_and_of_nothing_else(
    raised: Any, why: str
) -> None:
    async def ask() -> None:
        current_job().report(headers=REMAINING, cost={"tokens": 5})
        raise raised

    async with Scheduler() as scheduler:
        with pytest.raises(JobFailedError) as failure:
            await scheduler.wait(await scheduler.enqueue(ask))
        assert str(failure.value.reason).startswith(why)
        assert await scheduler.wait(await scheduler.enqueue(anyio.sleep, 0)) is None


async def test_a_reason_that_is_a_number_is_text() -> None:
    async def ask() -> None:
        raise Throttled(1, 429)  # type: ignore[arg-type]

    assert (await heard_of(ask)).error == "429"


async def test_without_reports_nothing_is_known() -> None:
    async def ask() -> None:
        current_job().progress(1)

    outcome = await heard_of(ask)
    assert (outcome.cost, outcome.limits, outcome.retry_after) == (None, (), None)


async def test_the_time_that_passes_until_the_end_is_taken_off_the_wait() -> None:
    async def ask(seconds: float) -> None:
        current_job().report(headers={"Retry-After": "40"})
        await anyio.sleep(seconds)
        raise Throttled

    assert (await heard_of(ask, 15)).retry_after == 25.0
    assert (await heard_of(ask, 100)).retry_after == 0.0


async def test_a_report_says_since_when_it_is_true() -> None:
    """Of the first answer since the start, of a later one since the one before, of what is known now since now."""

    async def ask() -> None:
        job = current_job()
        await anyio.sleep(10)
        job.report(headers={"x-ratelimit-remaining": "3", "x-ratelimit-remaining-tokens": "9"})
        await anyio.sleep(10)
        job.report(headers={"x-ratelimit-remaining": "2"})
        await anyio.sleep(10)
        job.report(limits=[LimitReport(name="images", remaining=1)])
        await anyio.sleep(10)
        raise Throttled(1, limits=(LimitReport(name="pages", remaining=0),))

    outcome = await heard_of(ask)
    assert {one.name: one.as_of for one in outcome.limits} == {"tokens": 0, "requests": 10, "images": 30, "pages": 20}


async def test_a_throttle_without_a_time_takes_the_one_of_the_latest_answer() -> None:
    starts = []

    async def ask() -> None:
        starts.append(anyio.current_time())
        if len(starts) == 1:
            current_job().report(headers={"Retry-After": "90"})
            current_job().report(headers={"Retry-After": "30"})
            raise Throttled
        if len(starts) == 2:
            current_job().report(headers={"Retry-After": "30"})
            raise Throttled(5)
        if len(starts) == 3:
            current_job().report(headers={"Retry-After": "30"})
            current_job().report(headers={})
            raise Throttled

    async with Scheduler() as scheduler:
        await scheduler.wait(await scheduler.enqueue(ask))
    assert starts == [0, 30, 35, 36]


async def test_a_success_asks_nobody_to_wait() -> None:
    async def ask() -> None:
        current_job().report(headers={"Retry-After": "90"})

    assert (await heard_of(ask)).retry_after is None


async def test_what_was_reported_in_one_run_is_not_said_of_the_next() -> None:
    runs = []

    async def ask() -> None:
        runs.append(1)
        if len(runs) == 1:
            current_job().report(headers=REMAINING, cost={"tokens": 5})
            raise Throttled(1)

    pacing = Listening()
    async with Scheduler(pacing=pacing) as scheduler:
        await scheduler.wait(await scheduler.enqueue(ask))
    assert [(one.limits, one.cost) for one in pacing.heard] == [(REPORTED, {"tokens": 5.0}), ((), None)]


@pytest.mark.parametrize(
    ("report", "error", "message"),
    [
        ({"cost": {"tokens": -1}}, ValueError, "the cost of 'tokens' must be finite and 0 or more, got -1"),
        ({"cost": {"tokens": math.nan}}, ValueError, "finite and 0 or more"),
        ({"cost": {"tokens": math.inf}}, ValueError, "finite and 0 or more"),
        ({"cost": {"tokens": "5"}}, TypeError, "the cost of 'tokens' must be a number, got '5'"),
        ({"cost": {"tokens": None}}, TypeError, "must be a number"),
        ({"cost": {"tokens": True}}, TypeError, "must be a number"),
        ({"limits": [{"remaining": 3}]}, TypeError, "limits must be LimitReport objects"),
        ({"limits": [LimitReport(name="x", remaining=-1)]}, ValueError, "finite and 0 or more"),
        ({"limits": [LimitReport(name="x", reset_in=math.nan)]}, ValueError, "finite and 0 or more"),
    ],
)
async def test_nonsense_of_the_functions_own_making_is_said_so_and_changes_nothing(
    report: dict[str, Any], error: type[Exception], message: str
) -> None:
    async def ask() -> None:
        with pytest.raises(error, match=message):
            current_job().report(headers=REMAINING, **report)

    outcome = await heard_of(ask)
    assert (outcome.kind, outcome.limits, outcome.cost) == (OutcomeKind.SUCCEEDED, (), None)


@pytest.mark.parametrize("headers", [5, "x", object(), {"retry-after": object()}, {b"\xff": b"\xff"}, [[1, 2, 3]]])
async def test_odd_headers_never_fail_the_job(headers: object) -> None:
    async def ask() -> None:
        current_job().report(headers=headers)

    outcome = await heard_of(ask)
    assert (outcome.kind, outcome.limits) == (OutcomeKind.SUCCEEDED, ())


# -- threads ---------------------------------------------------------------------------------------------------------


@pytest.mark.real_time
async def test_a_function_that_runs_in_a_thread_reports_too() -> None:
    def ask() -> None:
        assert threading.current_thread() is not threading.main_thread()
        current_job().report(headers={"x-ratelimit-remaining": "3"}, cost={"tokens": 5})
        report_response_sync(httpx.Response(200, headers={"x-ratelimit-remaining-tokens": "8"}))
        current_job().progress(0.5)

    outcome = await heard_of(ask)
    assert [one.name for one in outcome.limits] == ["requests", "tokens"]
    assert outcome.cost == {"tokens": 5.0}


@pytest.mark.real_time
async def test_threads_of_a_function_report_at_the_same_time_and_nothing_is_lost() -> None:
    def report() -> None:
        for _ in range(50):
            current_job().report(cost={"tokens": 1})

    async def ask() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(anyio.to_thread.run_sync, report)

    assert (await heard_of(ask)).cost == {"tokens": 200.0}


@pytest.mark.real_time
@pytest.mark.asyncio_only
async def test_asyncios_own_threads_report_too() -> None:
    def report() -> None:
        current_job().report(cost={"tokens": 1})
        current_job().progress(0.5)

    async def ask() -> None:
        await asyncio.to_thread(report)

    assert (await heard_of(ask)).cost == {"tokens": 1.0}


async def test_after_its_end_a_run_says_no_more() -> None:
    jobs = []

    async def ask() -> None:
        jobs.append(current_job())

    outcome = await heard_of(ask)
    jobs[0].report(headers=REMAINING, cost={"tokens": 1})
    assert (outcome.limits, outcome.cost) == ((), None)


# -- hooks -----------------------------------------------------------------------------------------------------------


async def test_outside_of_a_job_a_hook_does_nothing() -> None:
    await report_response(httpx.Response(200, headers=REMAINING))
    report_response_sync(httpx.Response(200, headers=REMAINING))


async def test_a_hook_survives_a_response_of_any_shape() -> None:
    async def ask() -> None:
        await report_response(object())
        report_response_sync(None)

    assert (await heard_of(ask)).kind is OutcomeKind.SUCCEEDED


@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_reports_reach_the_policy_through_a_database(tmp_path: Any) -> None:
    async def ask() -> None:
        current_job().report(headers={"x-ratelimit-remaining": "3"}, cost={"tokens": 5})

    pacing = Listening()
    async with Scheduler(pacing=pacing, store=SqliteStore(tmp_path / "jobs.db")) as scheduler:
        scheduler.task(ask, name="ask")
        await scheduler.wait(await scheduler.enqueue(ask))
    (outcome,) = pacing.heard
    assert (outcome.limits, outcome.cost) == ((LimitReport(name="requests", remaining=3.0),), {"tokens": 5.0})


async def test_server_guided_counts_a_reset_from_the_answer_that_named_it_however_long_the_job() -> None:
    starts = []

    def answer(remaining: int, reset: int) -> dict[str, int]:
        return {"x-ratelimit-limit": 9, "x-ratelimit-remaining": remaining, "x-ratelimit-reset": reset}

    async def ask_twice() -> None:
        starts.append(anyio.current_time())
        await anyio.sleep(50)
        current_job().report(headers=answer(1, 60))
        await anyio.sleep(10)
        current_job().report(headers=answer(0, 30))

    async with Scheduler(pacing=ServerGuided()) as scheduler:
        for receipt in [await scheduler.enqueue(ask_twice) for _ in range(2)]:
            await scheduler.wait(receipt)
    assert starts == [0, pytest.approx(80)]
