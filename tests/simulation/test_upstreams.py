"""Limits, latencies and troubles of made-up upstreams."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacer import OutcomeKind
from pacer.protocols import LimitReport
from pacer.simulation import (
    Arrival,
    BrownOut,
    ChangingLimit,
    CostLatency,
    FixedWindowLimit,
    GcraLimit,
    LoadedLatency,
    LogNormal,
    Outage,
    PerKeyLimit,
    SlidingWindowLimit,
    Upstream,
)
from pacer.simulation._upstream import RunningUpstream

ONE = Arrival(0.0)


def running(*args, **options):
    return RunningUpstream(Upstream(*args, **options), Random(1))


def admitted(limit, times, amount=1.0):
    """Which of these times are let in."""
    state, passed = limit.initial_state(), []
    for at in times:
        request = Arrival(at, cost={"requests": amount})
        if limit.wait(state, at, request) == 0:
            state = limit.take(state, at, request)
            passed.append(at)
    return passed


# The table of the Go library throttled (rate_test.go): limit 5 = burst 4 + 1, one a second; now, amount, then what is
# left, when it is full again, how long to wait (-1: not to be had by waiting, or no need), and whether it is limited.
GCRA_TABLE = [
    (0.0, 6, 5, 0, -1, True),
    (0.0, 1, 4, 1, -1, False),
    (0.0, 1, 3, 2, -1, False),
    (0.0, 1, 2, 3, -1, False),
    (0.0, 1, 1, 4, -1, False),
    (0.0, 1, 0, 5, -1, False),
    (0.0, 1, 0, 5, 1, True),
    (3.0, 1, 2, 3.0, -1, False),
    (3.1, 1, 1, 3.9, -1, False),
    (4.0, 1, 1, 4, -1, False),
    (8.0, 1, 4, 1, -1, False),
    (9.5, 1, 4, 1, -1, False),
    (9.5, 0, 4, 1, -1, False),
    (9.5, 2, 2, 3, -1, False),
    (9.5, 5, 2, 3, 3, True),
    (15.0, 6, 5, 0, -1, True),
]


def test_the_gcra_limit_answers_as_the_published_table_says():
    limit = GcraLimit(1, per=1, burst=5)
    state = limit.initial_state()
    for now, amount, remaining, reset, retry, limited in GCRA_TABLE:
        request = Arrival(now, cost={"requests": amount})
        wait = limit.wait(state, now, request)
        assert (wait > 0) is limited
        assert (-1 if wait in (0, math.inf) else wait) == pytest.approx(retry)
        if not limited:
            state = limit.take(state, now, request)
        report = limit.report(state, now, request)
        assert (report.remaining, report.reset_in) == (remaining, pytest.approx(reset))


@settings(deadline=None)
@given(
    gaps=st.lists(st.floats(0, 3), max_size=80),
    burst=st.integers(1, 8),
    interval=st.floats(0.1, 2),
    window=st.floats(0.5, 20),
)
def test_a_gcra_limit_lets_no_more_in_than_its_bound(gaps, burst, interval, window):
    times = [sum(gaps[:number]) for number in range(len(gaps))]
    passed = admitted(GcraLimit(1, per=interval, burst=burst), times)
    bound = math.floor((window + 1e-6) / interval) + burst
    for first in passed:
        assert sum(first <= at <= first + window for at in passed) <= bound


@settings(deadline=None)
@given(gaps=st.lists(st.floats(0, 3), max_size=80), limit=st.integers(1, 6), per=st.floats(0.5, 20))
def test_a_sliding_window_lets_exactly_its_limit_into_any_window(gaps, limit, per):
    times = [sum(gaps[:number]) for number in range(len(gaps))]
    passed = admitted(SlidingWindowLimit(limit, per=per), times)
    for last in passed:
        assert sum(last - per + 1e-8 < at <= last for at in passed) <= limit
    refused = [at for at in times if at not in passed]
    for at in refused:
        assert sum(at - per - 1e-8 < one <= at for one in passed) >= limit


def test_a_fixed_window_lets_twice_its_limit_through_across_an_edge():
    assert admitted(FixedWindowLimit(3, per=60), [58, 59, 59.5, 59.9, 60, 60.1, 60.2, 60.3]) == [
        58,
        59,
        59.5,
        60,
        60.1,
        60.2,
    ]


def test_a_window_may_begin_elsewhere():
    limit = FixedWindowLimit(1, per=60, offset=10)
    assert admitted(limit, [0, 9.9, 10, 69, 70]) == [0, 10, 70]


@pytest.mark.parametrize(
    "limit",
    [
        GcraLimit(7, per=3, burst=2),
        FixedWindowLimit(7, per=3),
        SlidingWindowLimit(7, per=3),
        ChangingLimit([(0, GcraLimit(5, per=1)), (4, FixedWindowLimit(1, per=7))]),
        PerKeyLimit(GcraLimit(7, per=3, burst=2)),
    ],
    ids=lambda limit: type(limit).__name__,
)
@settings(deadline=None)
@given(seed=st.integers(0, 10_000), late=st.sampled_from([0.0, 1e6]))
def test_who_waits_exactly_as_long_as_told_is_let_in(limit, seed, late):
    random, now, state = Random(seed), late, limit.initial_state()
    for _ in range(60):
        now += random.expovariate(5)
        for _ in range(3):  # a limit that changes meanwhile may ask for more
            wait = limit.wait(state, now, ONE)
            if wait == 0:
                break
            now += wait
        assert limit.wait(state, now, ONE) == 0
        state = limit.take(state, now, ONE)


@pytest.mark.parametrize("limit", [GcraLimit(5, per=60), FixedWindowLimit(5), SlidingWindowLimit(5)])
def test_more_than_the_limit_is_never_let_in(limit):
    request = Arrival(0.0, cost={"requests": 6})
    assert limit.wait(limit.initial_state(), 0.0, request) == math.inf


def test_requests_and_tokens_hold_together_and_a_refused_request_costs_nothing():
    upstream = running(limits=(FixedWindowLimit(10, per=60), FixedWindowLimit(100, per=60, of="tokens")), reports=True)
    large, small = (Arrival(0.0, cost={"requests": 1, "tokens": tokens}) for tokens in (80, 20))
    kinds = [upstream.ask(1.0, request)[1].kind for request in (large, large, small)]
    assert kinds == [OutcomeKind.SUCCEEDED, OutcomeKind.THROTTLED, OutcomeKind.SUCCEEDED]
    _, outcome = upstream.ask(1.0, small)
    assert (outcome.kind, outcome.retry_after) == (OutcomeKind.THROTTLED, 59.0)
    assert outcome.limits == (
        LimitReport(name="requests", limit=10, remaining=8, reset_in=59.0, window=60),
        LimitReport(name="tokens", limit=100, remaining=0, reset_in=59.0, window=60),
    )


def test_what_is_really_used_counts_at_the_upstream_and_is_told():
    upstream = running(limits=FixedWindowLimit(100, of="tokens"))
    _, first = upstream.ask(0.0, Arrival(0.0, cost={"tokens": 50}, used={"tokens": 90}))
    _, second = upstream.ask(0.0, Arrival(0.0, cost={"tokens": 50}, used={"tokens": 11}))
    assert (first.kind, first.cost) == (OutcomeKind.SUCCEEDED, {"tokens": 90})
    assert second.kind is OutcomeKind.THROTTLED


def test_a_429_may_say_nothing():
    upstream = running(limits=FixedWindowLimit(1), retry_after=False)
    outcomes = [upstream.ask(0.0, ONE)[1] for _ in range(2)]
    assert (outcomes[1].kind, outcomes[1].retry_after, outcomes[1].limits) == (OutcomeKind.THROTTLED, None, ())


def test_what_waiting_does_not_help_has_no_retry_after():
    upstream = running(limits=FixedWindowLimit(1))
    assert upstream.ask(0.0, Arrival(0.0, cost={"requests": 2}))[1].retry_after is None


def test_a_limit_changes_at_its_time():
    limit = ChangingLimit([(0, GcraLimit(1, per=10, burst=1)), (25, GcraLimit(10, per=10, burst=1))])
    assert admitted(limit, range(30)) == [0, 10, 20, 25, 26, 27, 28, 29]
    assert [limit.rate(now) for now in (0, 24.9, 25)] == [("requests", 0.1), ("requests", 0.1), ("requests", 1.0)]


def test_a_wait_is_no_longer_than_until_the_next_limit():
    limit = ChangingLimit([(0, FixedWindowLimit(1, per=1000)), (30, GcraLimit(1, per=1))])
    state = limit.take(limit.initial_state(), 10.0, ONE)
    assert limit.wait(state, 11.0, ONE) == 19.0


def test_each_key_has_its_own_limit():
    limit = PerKeyLimit(FixedWindowLimit(1, per=60))
    state, passed = limit.initial_state(), []
    for key in ("a", "a", "b", None, None):
        request = Arrival(0.0, key)
        if limit.wait(state, 0.0, request) == 0:
            state = limit.take(state, 0.0, request)
            passed.append(key)
    assert passed == ["a", "b", None]
    assert limit.report(state, 0.0, Arrival(0.0, "c")).remaining == 1


def test_the_rate_of_an_upstream_is_that_of_its_tightest_limit():
    upstream = Upstream(limits=(FixedWindowLimit(120), FixedWindowLimit(1, per=1), GcraLimit(10, of="tokens")))
    assert upstream.rate(0.0) == 1.0
    assert upstream.rate(0.0, "tokens") == pytest.approx(1 / 6)
    assert upstream.rate(0.0, "images") is None


def test_a_loaded_server_shares_itself_out():
    upstream = running(latency=LoadedLatency(2.0, capacity=[(0, 2), (100, 1)]))
    assert [upstream.ask(0.0, ONE)[0] for _ in range(4)] == [2, 2, 3, 4]
    upstream.answered()
    assert upstream.ask(100.0, ONE)[0] == 8


def test_latency_by_cost_and_size():
    latency = CostLatency(0.5, {"tokens": 0.03})
    assert latency.seconds(0.0, Arrival(0.0, cost={"tokens": 100}, size=2), 0, Random(1)) == pytest.approx(7.0)


def test_an_outage_lets_nothing_through_for_its_time():
    upstream = running(latency=1.0, troubles=Outage(10, 5, after=0.25))
    answers = [upstream.ask(at, ONE) for at in (9.9, 10, 14.9, 15)]
    assert [(seconds, outcome.kind.value) for seconds, outcome in answers] == [
        (1.0, "succeeded"),
        (0.25, "failed"),
        (0.25, "failed"),
        (1.0, "succeeded"),
    ]


def test_a_brown_out_fails_its_share_and_slows_the_rest():
    upstream = running(latency=1.0, troubles=BrownOut(10, 5, errors=0.3, slower=3))
    answers = [upstream.ask(12.0, ONE) for _ in range(4000)]
    assert sum(outcome.kind is OutcomeKind.FAILED for _, outcome in answers) == pytest.approx(1200, rel=0.08)
    assert {seconds for seconds, outcome in answers if outcome.kind is OutcomeKind.SUCCEEDED} == {3.0}
    assert upstream.ask(15.0, ONE)[0] == 1.0


def test_log_normal_has_the_mean_it_was_given():
    random = Random(1)
    draws = [LogNormal(2.0, 0.8).draw(random) for _ in range(40_000)]
    assert sum(draws) / len(draws) == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GcraLimit(0), ValueError, "limit must be a finite number above 0"),
        (lambda: SlidingWindowLimit(1, per=-1), ValueError, "per must be a finite number above 0"),
        (lambda: ChangingLimit([]), ValueError, "steps must begin at 0 and rise"),
        (lambda: ChangingLimit([(0, GcraLimit(1)), (0, GcraLimit(2))]), ValueError, "steps must begin at 0 and rise"),
        (lambda: LoadedLatency(1.0, capacity=0), ValueError, "capacity must be above 0"),
        (lambda: CostLatency(1.0, {"tokens": -1}), ValueError, "per must be a finite number, 0 or more"),
        (lambda: Outage(0, 0), ValueError, "lasting must be above 0"),
        (lambda: BrownOut(errors=1.5), ValueError, "errors must be above 0 and at most 1"),
        (lambda: Upstream(limits=[60]), TypeError, r"limits must hold parts with wait\(\), got 60"),
        (lambda: Upstream(limits=GcraLimit), TypeError, "limits must hold parts"),
        (lambda: Upstream(latency="fast"), TypeError, "expected a number or a distribution"),
    ],
)
def test_impossible_settings_cannot_be_made(make, error, message):
    with pytest.raises(error, match=message):
        make()
