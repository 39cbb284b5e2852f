"""Start times that are given out ahead of the clock, and given back: what each policy makes of it."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pacing_runs import most_in_half_open_window, stored

from pacer import Outcome, OutcomeKind
from pacer.pacing import (
    AdaptiveRate,
    AllOf,
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
from pacer.testing import SampleJob

UNUSED = Outcome(OutcomeKind.IGNORED, unused=True)
INTERRUPTED = Outcome(OutcomeKind.IGNORED)
START = 1_700_000_000.0


def job(cost=1.0, **facts):
    return SampleJob(cost={"requests": cost, "tokens": 1000 * cost}, created_at=START, ready_at=START, **facts)


def begin(policy, state, count, cost=1.0):
    """Claim so many jobs, each at the first time allowed. Returns them and the state."""
    begun, now = [], START
    for _ in range(count):
        now = max(now, policy.earliest(state, now, job(cost), len(begun)).at)
        state = policy.started(state, now, job(cost), len(begun))
        begun.append(job(cost, started_at=now))
    return begun, state


def next_start(policy, state, now, running=0):
    return max(now, policy.earliest(state, now, job(), running).at)


def test_which_policies_start_ahead():
    ahead = [
        Unpaced(),
        TokenBucket(1),
        MinInterval(1),
        ManualPace(1),
        FixedWindow(1, per=1),
        SlidingWindow(1, per=1),
        CompletionWindow(1, per=1),
        Budget(1000),
        OpeningHours("09:00", "17:00"),
        PerKey(TokenBucket(1)),
        TokenBucket(1) & Budget(1000),
    ]
    at_the_time_itself = [
        FixedPause(1),
        WarmUp(1, seconds=1),
        AdaptiveRate(1),
        CubicRate(),
        GradientLimit(),
        VegasLimit(),
        ServerGuided(),
        PerKey(FixedPause(1)),
        AllOf(TokenBucket(1), FixedPause(1)),
    ]
    assert [policy for policy in ahead if not getattr(policy, "starts_ahead", False)] == []
    assert [policy for policy in at_the_time_itself if getattr(policy, "starts_ahead", False)] == []


@pytest.mark.parametrize(
    "policy",
    [
        TokenBucket(0.1, burst=3),
        MinInterval(10),
        ManualPace(0.1),
        FixedWindow(3, per=60),
        SlidingWindow(3, per=60),
        CompletionWindow(3, per=60),
        Budget(3000, per=60),
        PerKey(MinInterval(10)),
        TokenBucket(0.1) & SlidingWindow(3, per=60) & PerKey(Budget(3000, per=60)),
    ],
    ids=lambda policy: type(policy).__name__,
)
@pytest.mark.parametrize("count", [1, 3])
def test_the_last_start_is_there_again_if_it_was_not_used_and_not_if_it_was_broken_off(policy, count):
    begun, state = begin(policy, policy.initial_state(), count)
    last = begun[-1]
    free, taken = (
        next_start(policy, policy.ended(state, last.started_at, last, outcome, count - 1), last.started_at, count - 1)
        for outcome in (UNUSED, INTERRUPTED)
    )
    assert free == pytest.approx(last.started_at, abs=1e-6)
    if count == 3:
        assert taken >= last.started_at + 9.9


def test_a_token_bucket_gives_back_less_to_a_job_that_others_have_started_after():
    policy = TokenBucket(0.1, burst=2)
    begun, state = begin(policy, policy.initial_state(), 3)
    # Started at 0, 0 and 10; full again at 30. The first is given back at 10: ten seconds of it have flown over.
    assert state == START + 30
    assert policy.ended(state, START + 10, begun[0], UNUSED, 2) == START + 30
    assert policy.ended(state, START + 10, attrs.evolve(begun[0], cost={"requests": 2.0}), UNUSED, 2) == START + 20


def test_a_sliding_window_strikes_out_the_very_start_that_was_not_used():
    policy = SlidingWindow(3, per=60)
    state = policy.initial_state()
    for at in (0, 10, 20):
        state = policy.started(state, START + at, job(), 0)
    struck_out = policy.ended(state, START + 21, job(started_at=START), UNUSED, 2)
    assert [pair[0] - START for pair in struck_out] == [10, 20]
    full = policy.started(struck_out, START + 21, job(), 2)
    assert next_start(policy, full, START + 22) == START + 70
    # What has left the window counts no more.
    assert policy.ended(state, START + 60, job(started_at=START), UNUSED, 2) == state


def test_a_fixed_window_that_is_over_gets_nothing_back():
    policy = FixedWindow(2, per=60)
    state = policy.started(policy.initial_state(), START, job(), 0)
    later = policy.started(state, START + 60, job(), 0)
    assert policy.ended(later, START + 60, job(started_at=START), UNUSED, 1) == later
    assert policy.ended(later, START + 60, job(started_at=START + 60), UNUSED, 1)[1] == 0


def test_a_pause_does_not_begin_with_a_job_that_has_not_begun():
    policy = FixedPause(10)
    state = policy.ended(policy.initial_state(), START, job(started_at=START), INTERRUPTED, 0)
    assert policy.ended(state, START + 15, job(started_at=START + 15), UNUSED, 0) == state


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.02, 0.3, 2.0]),  # until this one comes
        st.sampled_from([0.25, 0.5, 1.0, 1.0, 2.0]),  # cost
        st.one_of(st.none(), st.sampled_from([0.0, 0.03, 0.5, 3.0])),  # given back so long after its claim
    ),
    min_size=5,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps=steps, ahead=st.sampled_from([0.0, 0.1, 1.0, 5.0]), epoch=st.sampled_from([0.0, START]))
@pytest.mark.parametrize(
    ("policy", "limit", "window"),
    [
        (SlidingWindow(3, per=1), 3, 1),
        (CompletionWindow(3, per=1), 3, 1),
        # A closed window of W seconds holds W / T + burst; W is a little less here, as the window is half open.
        (TokenBucket(3, burst=3), 6.03, 1),
        (Budget(3, dimension="requests"), 6, 1),
        (SlidingWindow(3, per=1) & TokenBucket(2, burst=2), 3, 1),
    ],
    ids=["SlidingWindow", "CompletionWindow", "TokenBucket", "Budget", "both"],
)
def test_whatever_is_given_back_no_window_ever_holds_more_than_the_limit(policy, limit, window, steps, ahead, epoch):
    state, now, given, begun, upcoming = policy.initial_state(), epoch, -math.inf, [], []

    def go_on_to(time):
        """Tell of what is given back until then; each job that begins ends at once."""
        nonlocal state, now
        for at, number, held, outcome in sorted(upcoming):
            if at <= time:
                upcoming.remove((at, number, held, outcome))
                now = max(now, at)
                made = attrs.evolve(job(held[1]), started_at=held[0])
                told = UNUSED if outcome else Outcome(OutcomeKind.SUCCEEDED)
                state = stored(policy.ended(state, max(now, given), made, told, len(upcoming)))
        now = max(now, time)

    for number, (gap, cost, returned) in enumerate(steps):
        go_on_to(now + gap)
        asked = attrs.evolve(job(cost), created_at=now, ready_at=now)
        while True:
            at = max(now, given)
            when = policy.earliest(state, at, asked, len(upcoming))
            if at < when.at <= now + ahead:
                at = when.at
                when = policy.earliest(state, at, asked, len(upcoming))
            if when.at <= at:
                break
            go_on_to(min([when.at, *(one[0] for one in upcoming)]))
        state, given = stored(policy.started(state, at, asked, len(upcoming))), max(given, at)
        if returned is None:
            begun.append((at, cost))
        upcoming.append((at if returned is None else now + returned, number, (at, cost), returned is not None))
    assert most_in_half_open_window(begun, window) <= limit + 1e-5
