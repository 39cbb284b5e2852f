"""The stand-in's limits, as arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer.demo._limits import Limits, SlidingLog

TIGHT = Limits(requests=3, tokens=100, burst=2, window=60.0, burst_window=1.0)


def allowed(past: list[tuple[float, int]], now: float, tokens: int, limits: Limits) -> bool:
    """The oracle: look at the windows that end now."""
    minute = [used for at, used in past if at > now - limits.window]
    second = [at for at, _ in past if at > now - limits.burst_window]
    return len(minute) < limits.requests and len(second) < limits.burst and sum(minute) + tokens <= limits.tokens


@given(
    st.lists(st.tuples(st.integers(0, 4 * 40).map(lambda quarters: quarters / 4), st.integers(1, 60)), max_size=60).map(
        sorted
    )
)
def test_a_call_is_taken_exactly_when_every_window_has_room(arrivals: list[tuple[float, int]]) -> None:
    log, taken = SlidingLog(TIGHT), list[tuple[float, int]]()
    for now, tokens in arrivals:
        refusal = log.admit(now, tokens)
        assert (refusal is None) == allowed(taken, now, tokens, TIGHT)
        if refusal is None:
            taken.append((now, tokens))


@given(
    st.lists(st.tuples(st.floats(0, 100, allow_subnormal=False), st.integers(1, 60)), min_size=1, max_size=40).map(
        sorted
    )
)
def test_whoever_waits_as_long_as_told_is_taken_and_not_much_sooner(arrivals: list[tuple[float, int]]) -> None:
    log, taken = SlidingLog(TIGHT), list[tuple[float, int]]()
    now = 0.0
    for at, tokens in arrivals:
        now = max(now, at)
        refusal = log.admit(now, tokens)
        if refusal is not None:
            assert not allowed(taken, now + refusal.retry_after - 1e-6, tokens, TIGHT) or refusal.retry_after < 1e-6
            now += refusal.retry_after
            assert log.admit(now, tokens) is None
        taken.append((now, tokens))


@pytest.mark.parametrize(
    ("calls", "code", "wait"),
    [
        ([(0.0, 1), (10.0, 1), (20.0, 1)], "limit_requests", 60.0 - 30.0),
        ([(29.5, 1), (29.75, 1)], "limit_burst_rate", 0.5),
        ([(5.0, 60), (10.0, 10)], "insufficient_quota", 65.0 - 30.0),
    ],
)
def test_each_limit_has_its_code_and_its_waiting_time(calls: list[tuple[float, int]], code: str, wait: float) -> None:
    log = SlidingLog(TIGHT)
    for at, tokens in calls:
        assert log.admit(at, tokens) is None
    refusal = log.admit(30.0, 50)
    assert refusal is not None
    assert (refusal.code, refusal.retry_after) == (code, pytest.approx(wait))


def test_calls_of_others_count_from_when_they_were_made() -> None:
    log = SlidingLog(TIGHT)
    assert log.admit(10.0, 1) is None
    log.charge(2.0, requests=2, tokens=3)
    refusal = log.admit(20.0, 1)
    assert refusal is not None
    assert (refusal.code, refusal.retry_after) == ("limit_requests", pytest.approx(42.0))


def test_a_faster_world_has_shorter_windows() -> None:
    fast = TIGHT.scaled(100)
    assert (fast.window, fast.burst_window) == (0.6, 0.01)
    assert (fast.requests, fast.tokens, fast.burst) == (3, 100, 2)


def test_what_is_left_and_until_when() -> None:
    log = SlidingLog(TIGHT)
    assert (log.left(0.0), log.until_empty(0.0)) == ((3, 100), 0.0)
    assert log.admit(10.0, 30) is None
    assert (log.left(20.0), log.until_empty(20.0)) == ((2, 70), 50.0)
    log.charge(15.0, requests=5, tokens=200)
    assert log.left(20.0) == (0, 0)
    assert (log.left(75.0), log.until_empty(75.0)) == ((3, 100), 0.0)
