"""`rate_limit`: what policies say of their rate is what comes of it."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from pacing_runs import Work, starts

from pacer import Outcome, OutcomeKind, Scheduler
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
from pacer.protocols import LimitReport
from pacer.testing import SampleJob

JOB = SampleJob()


@pytest.mark.parametrize(
    "policy",
    [
        TokenBucket(3, per=7),
        TokenBucket(90, per=60, burst=10),
        MinInterval(1 / 3),
        ManualPace(3, per=7),
        FixedWindow(5, per=60, offset=7.5),
        SlidingWindow(5, per=60),
        CompletionWindow(5, per=60),
        Budget(3, per=7, dimension="requests", burst=1),
        Budget(120, per=60, dimension="requests"),
        AdaptiveRate(5, minimum=5, maximum=5),
        TokenBucket(90, per=60, burst=10) & FixedWindow(60, per=60) & Budget(1000, per=60),
        SlidingWindow(100, per=60) & OpeningHours("00:00", "24:00") & TokenBucket(1),
        ServerGuided(TokenBucket(3, per=7)),
    ],
    ids=repr,
)
def test_a_fixed_rate_is_what_a_long_run_of_starts_comes_to(policy):
    found = starts(policy, [Work()] * 3000, epoch=1000.0)
    said = policy.rate_limit(policy.initial_state(), 1000.0)
    assert said == pytest.approx(len(found) / (found[-1] - found[0]), rel=0.05)


def run(policy, count, now=0.0, *, state=None):
    """The state after so many starts as fast as they may come, and when the last one was."""
    state = policy.initial_state() if state is None else state
    for _ in range(count):
        now = max(now, policy.earliest(state, now, JOB, 0).at)
        state = policy.started(state, now, JOB, 0)
    return state, now


def test_a_rate_set_by_hand_is_the_rate_and_0_when_it_is_stopped():
    policy = ManualPace(6, per=60)
    state = policy.initial_state()
    rates = [policy.rate_limit(policy.with_rate(state, 5.0, rate), 5.0) for rate in (30, 0, None)]
    assert rates == [0.5, 0.0, 0.1]


def test_of_all_of_them_a_stopped_one_is_the_least():
    policy = TokenBucket(1) & ManualPace(10) & FixedPause(1)
    state = policy.initial_state()
    assert policy.rate_limit(state, 0.0) == 1
    assert policy.rate_limit(policy.with_rate(state, 0.0, 0), 0.0) == 0


def test_an_adaptive_rate_says_what_it_has_found_so_far():
    policy = AdaptiveRate(8)
    assert policy.rate_limit(policy.initial_state(), 0.0) == 8
    state, now = policy.initial_state(), 0.0
    for _ in range(10):
        state, now = run(policy, 1, now, state=state)
        state = policy.ended(state, now, SampleJob(started_at=now), Outcome(OutcomeKind.SUCCEEDED), 0)
    grown = policy.rate_limit(state, now)
    assert grown > 8
    state, now = run(policy, 1, now, state=state)
    state = policy.ended(state, now, SampleJob(started_at=now), Outcome(OutcomeKind.THROTTLED), 0)
    assert policy.rate_limit(state, now) == pytest.approx(0.98 * grown)


def test_a_cubic_rate_is_none_until_the_first_throttle():
    policy = CubicRate(minimum=0.25)
    state, now = run(policy, 1, 5.0)
    assert policy.rate_limit(state, now) is None
    state = policy.ended(state, now, SampleJob(started_at=now), Outcome(OutcomeKind.THROTTLED), 0)
    assert policy.rate_limit(state, now) == 0.25
    _, after = run(policy, 5, now, state=state)
    assert (after - now) / 5 == pytest.approx(4, rel=0.05)


def test_a_warm_up_says_the_pace_as_it_is_now_cold_warm_and_cold_again():
    policy = WarmUp(5, seconds=5)
    state, now, said, came = policy.initial_state(), 100.0, [], []
    for _ in range(40):
        said.append(policy.rate_limit(state, now))
        state = policy.started(state, now, JOB, 0)
        wait = policy.earliest(state, now, JOB, 0).at - now
        came.append(1 / wait)
        now += wait
    assert said[0] == pytest.approx(5 / 3)
    for rate, (before, after) in zip(came, pairwise(said), strict=False):
        assert before - 1e-9 <= rate <= after + 1e-9
    assert (said[-1], came[-1]) == pytest.approx((5, 5))
    assert policy.rate_limit(state, now + 1000) == said[0]


@pytest.mark.parametrize(
    "policy",
    [
        Unpaced(),
        FixedPause(10),
        MinInterval(0),
        OpeningHours("00:00", "24:00"),
        Budget(1000, per=60),
        GradientLimit(),
        VegasLimit(),
        PerKey(TokenBucket(1)),
        FixedPause(1) & Budget(1000, per=60),
        ServerGuided(),
    ],
    ids=repr,
)
def test_what_is_not_about_a_rate_of_starts_names_none(policy):
    ask = getattr(policy, "rate_limit", None)
    assert ask is None or ask(policy.initial_state(), 0.0) is None


def test_a_budget_of_which_one_request_is_too_much_never_lets_one_start():
    policy = Budget(3, per=60, burst=0.5, dimension="requests")
    assert policy.earliest(None, 0.0, JOB, 0).never
    assert policy.rate_limit(None, 0.0) == 0


# -- what an upstream has told -----------------------------------------------------------------------------------------


def told(policy, upstream, count, now=1000.0):
    """Starts as fast as they may come; each answer tells what is left. The state, the time, and what was said."""
    state, said = policy.initial_state(), []
    for _ in range(count):
        now = max(now, policy.earliest(state, now, JOB, 0).at)
        state = policy.started(state, now, JOB, 0)
        job, report = SampleJob(started_at=now), upstream(now)
        state = policy.ended(state, now, job, Outcome(OutcomeKind.SUCCEEDED, limits=(report,)), 0)
        said.append(policy.rate_limit(state, now))
    return state, now, said


def windows(limit, per):
    """An upstream that counts in fixed windows."""
    used = {}

    def answer(now):
        number = math.floor(now / per + 1e-9)
        used[number] = used.get(number, 0) + 1
        assert used[number] <= limit
        reset_in = (number + 1) * per - now
        return LimitReport(name="requests", limit=limit, remaining=limit - used[number], reset_in=reset_in)

    return answer


def bucket(limit, per):
    """An upstream that refills all the time, and names the time at which it is full."""
    full_at = 0.0

    def answer(now):
        nonlocal full_at
        full_at = max(full_at, now) + per / limit
        remaining = math.floor(limit - (full_at - now) * limit / per + 1e-9)
        assert remaining >= 0
        return LimitReport(name="requests", limit=limit, remaining=remaining, reset_in=full_at - now)

    return answer


@pytest.mark.parametrize(
    ("upstream", "headroom", "rate"),
    [(windows(60, 60), 0, 1), (windows(60, 60), 0.2, 0.8), (bucket(60, 60), 0, 1), (bucket(600, 60), 0.1, 10)],
)
def test_what_an_upstream_allows_is_told_once_jobs_start_as_fast_as_they_may(upstream, headroom, rate):
    """Whichever way it counts, and at any moment of its windows."""
    policy = ServerGuided(headroom=headroom)
    _, _, said = told(policy, upstream, 3000)
    assert said[-200:] == pytest.approx([rate] * 200, rel=0.05)


def test_a_limit_that_is_used_up_is_told_as_what_it_makes_over_a_window():
    policy = ServerGuided()
    empty = LimitReport(name="requests", limit=60, remaining=0, reset_in=45, window=60)
    state, now, said = told(policy, lambda now: empty, 1)
    assert said == pytest.approx([1])
    assert policy.rate_limit(state, now + 1000) == pytest.approx(1)


def test_the_least_of_the_limits_on_requests_counts_and_tokens_are_none():
    policy = ServerGuided(TokenBucket(7))
    state = policy.initial_state()
    assert policy.rate_limit(state, 0.0) == 7
    tokens = LimitReport(name="tokens", limit=1000, remaining=500, window=10)
    minute = LimitReport(name="requests", limit=60, remaining=60, window=60)
    day = LimitReport(name="requests/daily", limit=8640, remaining=8640, window=86400)
    job = SampleJob(started_at=0.0)
    state = policy.started(state, 0.0, JOB, 0)
    only_tokens = policy.ended(state, 0.0, job, Outcome(OutcomeKind.SUCCEEDED, limits=(tokens,)), 0)
    assert policy.rate_limit(only_tokens, 0.0) is None
    state = policy.ended(state, 0.0, job, Outcome(OutcomeKind.SUCCEEDED, limits=(tokens, minute, day)), 0)
    assert policy.rate_limit(state, 0.0) == pytest.approx(0.1)


# -- where it is shown -------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_status_shows_the_rate_as_it_was_set_last():
    async with Scheduler(pacing=TokenBucket(90, per=60) & ManualPace(5)) as scheduler:

        async def shown():
            return (await scheduler.status()).rate_limit

        assert await shown() == 1.5
        await scheduler.set_rate(0.5)
        assert await shown() == 0.5
        await scheduler.set_rate(0)
        assert await shown() == 0
        await scheduler.set_rate(None)
        path = next(one.path for one in await scheduler.numbers() if one.value == 90)
        await scheduler.set_numbers({path: 30})
        assert await shown() == 0.5
