"""How near a `TokenBucket` in a running `Scheduler` comes to its limit, and whether it stays below it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from itertools import pairwise
from statistics import pstdev
from time import perf_counter, process_time
from typing import Any

import pytest
from aiolimiter import AsyncLimiter

import pacer.pacing
from benchmarks.contest import Contest, Figures, quantile
from pacer import BoundedQueue, Scheduler
from pacer._job import JobRecord, Outcome, OutcomeKind
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import (
    AdaptiveRate,
    Budget,
    CompletionWindow,
    CubicRate,
    FixedPause,
    FixedWindow,
    GradientLimit,
    ManualPace,
    MinInterval,
    OpeningHours,
    PerKey,
    ServerGuided,
    SlidingWindow,
    TokenBucket,
    Unpaced,
    VegasLimit,
    WarmUp,
)
from pacer.protocols import LimitReport, PacingPolicy

SLOTS = 50
WINDOW = 1.0


def pace(starts: Sequence[float], rate: float, cpu_seconds: float) -> Figures:
    """What the times of the starts say.

    `of_limit` is the rate from the first start to the last one; `worst_second` the most starts in any closed window
    of 1 s. Both are shares of the limit. Runs that are shorter than the window have no worst second.
    """
    starts = sorted(starts)
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    figures = {"of_limit": (len(starts) - 1) / (starts[-1] - starts[0]) / rate}
    if starts[-1] - starts[0] > WINDOW:
        figures["worst_second"] = most_within(starts, WINDOW) / (rate * WINDOW)
    return figures | {
        "gap_std_ms": pstdev(gaps) * 1e3,
        "gap_p99_ms": quantile(gaps, 0.99) * 1e3,
        "gap_max_ms": max(gaps) * 1e3,
        "cpu_us_per_start": cpu_seconds / len(starts) * 1e6,
    }


def most_within(starts: Sequence[float], window: float) -> int:
    """The most of these sorted times in any closed window of this length."""
    first, most = 0, 0
    for last, at in enumerate(starts):
        while at - starts[first] > window:
            first += 1
        most = max(most, last - first + 1)
    return most


async def scheduled(rate: float, jobs: int, duration: float) -> Figures:
    """All jobs wait from the beginning."""
    starts: list[float] = []
    async with Scheduler(
        queue=BoundedQueue(jobs), pacing=TokenBucket(rate=rate), concurrency=SLOTS, observers=()
    ) as scheduler:

        @scheduler.task(name="work")
        async def work() -> None:
            starts.append(perf_counter())
            if duration:
                await asyncio.sleep(duration)

        for _ in range(jobs):
            await scheduler.enqueue(work)
        began = process_time()
        await scheduler.drain()
        spent = process_time() - began
        assert (await scheduler.status()).succeeded == len(starts) == jobs
    return pace(starts, rate, spent)


async def limited(rate: float, jobs: int, make: Callable[[float], AsyncLimiter], duration: float) -> Figures:
    """50 tasks that take jobs from a queue and ask aiolimiter before each."""
    starts: list[float] = []
    queue, limiter = asyncio.Queue[int](), make(rate)
    for number in range(jobs):
        queue.put_nowait(number)

    async def run() -> None:
        while not queue.empty():
            queue.get_nowait()
            await limiter.acquire()
            starts.append(perf_counter())
            if duration:
                await asyncio.sleep(duration)

    began = process_time()
    await asyncio.gather(*(run() for _ in range(SLOTS)))
    spent = process_time() - began
    assert len(starts) == jobs
    return pace(starts, rate, spent)


def bursting(rate: float) -> AsyncLimiter:
    """As its documentation shows it: full at first."""
    return AsyncLimiter(rate, 1)


def smooth(rate: float) -> AsyncLimiter:
    """One at a time."""
    return AsyncLimiter(1, 1 / rate)


@pytest.mark.parametrize(("rate", "jobs", "rounds"), [(100, 1000, 3), (5000, 20_000, 5)])
def test_a_rate_is_kept(contest: Contest, rate: int, jobs: int, rounds: int) -> None:
    jobs = contest.size(jobs, 30)

    def timed(run: Callable[..., Coroutine[None, None, Figures]], jobs: int, *args: object) -> Callable[[], Figures]:
        return lambda: asyncio.run(run(rate, jobs, *args))

    few = min(jobs, 5000)  # one at a time reaches a sixth of 5000/s

    contest.run(
        f"{rate} starts a second ({jobs} jobs, {SLOTS} slots)",
        {
            "pacer": timed(scheduled, jobs, 0.0),
            "pacer, jobs of 5 ms": timed(scheduled, jobs, 0.005),
            "aiolimiter, default": timed(limited, jobs, bursting, 0.0),
            "aiolimiter, one at a time": timed(limited, few, smooth, 0.0),
        },
        rounds=rounds,
        ratios=False,
    )


# -- the decision alone -----------------------------------------------------------------------------------------------


def alone(policy: PacingPolicy[Any], outcome: Outcome, decisions: int) -> Figures:
    """`earliest`, `started` and `ended` of jobs that succeed, one at a time and never too early."""
    state, now, job = policy.initial_state(), 0.0, JobRecord("job", "work", cost={"requests": 1.0, "tokens": 900.0})
    began = perf_counter()
    for _ in range(decisions):
        when = policy.earliest(state, now, job, 0)
        state = policy.started(state, now, job, 0)
        job.started_at = now
        now += 1e-3
        state = policy.ended(state, now, job, outcome, 0)
    took = perf_counter() - began
    assert when.at <= now
    return {"decision_ns": took / decisions * 1e9}


def bucket_under_rules(decisions: int) -> Figures:
    """The same through the rules: with pause, concurrency, holds and the guard against broken policies."""
    rules = Rules(BoundedQueue(1), TokenBucket(rate=1e6), NoBackoff(), MovingAverage())
    state, now, job = rules.initial(), 0.0, JobRecord("job", "work")
    began = perf_counter()
    for _ in range(decisions):
        now += 1e-6
        rules.next_start(state, now, job, 0)
        state = rules.start(state, now, job, 0)
    took = perf_counter() - began
    assert state.pacing == pytest.approx(now + 1e-6)
    return {"decision_ns": took / decisions * 1e9}


async def limiter_alone(decisions: int) -> Figures:
    """`acquire` of a limiter that always has room."""
    limiter, granted = AsyncLimiter(1e9, 1), 0
    began = perf_counter()
    for _ in range(decisions):
        await limiter.acquire()
        granted += 1
    took = perf_counter() - began
    assert granted == decisions
    return {"decision_ns": took / decisions * 1e9}


# Limits that are never reached: what is measured is the decision, not the wait.
POLICIES: dict[str, PacingPolicy[Any]] = {
    "Unpaced": Unpaced(),
    "FixedPause": FixedPause(1e-4),
    "MinInterval": MinInterval(1e-4),
    "TokenBucket": TokenBucket(rate=1e6),
    "FixedWindow": FixedWindow(2000, per=1),
    "SlidingWindow, limit 60": SlidingWindow(60, per=0.05),
    "CompletionWindow, limit 60": CompletionWindow(60, per=0.05),
    "Budget": Budget(1e9),
    "TokenBucket & Budget": TokenBucket(rate=1e6) & Budget(1e9),
    "AdaptiveRate": AdaptiveRate(2000),
    "CubicRate": CubicRate(),
    "GradientLimit": GradientLimit(),
    "VegasLimit": VegasLimit(),
    "ServerGuided": ServerGuided(),
    "WarmUp": WarmUp(1e6, seconds=1e-3),
    "OpeningHours": OpeningHours("00:00", "24:00"),
    "ManualPace": ManualPace(rate=1e6),
    "PerKey(TokenBucket)": PerKey(TokenBucket(rate=1e6)),
}


def test_one_pacing_decision(contest: Contest) -> None:
    decisions = contest.size(20_000, 100)
    plain = Outcome(OutcomeKind.SUCCEEDED)
    told = Outcome(OutcomeKind.SUCCEEDED, limits=(LimitReport(name="requests", limit=1e6, remaining=9e5, reset_in=60),))
    contest.run(
        "one pacing decision, uncontended",
        {
            "aiolimiter": lambda: asyncio.run(limiter_alone(decisions)),
            **{name: partial(alone, policy, plain, decisions) for name, policy in POLICIES.items()},
            "ServerGuided, a report a job": partial(alone, ServerGuided(), told, decisions),
            "TokenBucket under the rules": partial(bucket_under_rules, decisions),
        },
        rounds=7,
    )


def test_the_decisions_of_every_policy_are_measured() -> None:
    assert {type(policy).__name__ for policy in POLICIES.values()} == set(pacer.pacing.__all__)
