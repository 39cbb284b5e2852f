"""Impossible settings cannot be built, and the message names class, field and value."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import attrs
import pytest

from pacer import BoundedQueue, Retry, Scheduler, Throttled
from pacer.backoff import ConstantBackoff, ExponentialBackoff, NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import (
    Budget,
    CompletionWindow,
    FixedPause,
    FixedWindow,
    ManualPace,
    MinInterval,
    PerKey,
    SlidingWindow,
    TokenBucket,
    WarmUp,
)
from pacer.queues import Fifo, Priority
from pacer.stores import MemoryStore

NAN, INF = math.nan, math.inf
ABOVE_0 = "must be a finite number above 0, got "
FROM_0 = "must be a finite number, 0 or more, got "
FROM_1 = "must be a finite number, 1 or more, got "
WHOLE = "must be a whole number, 1 or more, got "
SHARE = "must be above 0 and at most 1, got "
CHOICES = "must be one of 'reject', 'wait', 'drop-oldest', got "


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FixedPause(-1), f"FixedPause: seconds {FROM_0}-1.0"),
        (lambda: FixedPause(NAN), f"FixedPause: seconds {FROM_0}nan"),
        (lambda: FixedPause(INF), f"FixedPause: seconds {FROM_0}inf"),
        (lambda: FixedPause(2e16), r"FixedPause: seconds must be at most 1e\+15, got 2e\+16"),
        (lambda: TokenBucket(0), f"TokenBucket: rate {ABOVE_0}0"),
        (lambda: TokenBucket(-3), f"TokenBucket: rate {ABOVE_0}-3"),
        (lambda: TokenBucket(1e-16), "TokenBucket: rate must be at least 1e-15, got 1e-16"),
        (lambda: TokenBucket(1, per=0), f"TokenBucket: per {ABOVE_0}0.0"),
        (lambda: TokenBucket(1, burst=0), f"TokenBucket: burst {WHOLE}0"),
        (lambda: TokenBucket(1, burst=1.5), f"TokenBucket: burst {WHOLE}1.5"),
        (lambda: TokenBucket(1, burst=True), f"TokenBucket: burst {WHOLE}True"),
        (lambda: MinInterval(-1), f"MinInterval: seconds {FROM_0}-1.0"),
        (lambda: SlidingWindow(0, per=1), f"SlidingWindow: limit {WHOLE}0"),
        (lambda: SlidingWindow(1.5, per=1), f"SlidingWindow: limit {WHOLE}1.5"),
        (lambda: SlidingWindow(1, per=0), f"SlidingWindow: per {ABOVE_0}0.0"),
        (lambda: CompletionWindow(0, per=1), f"CompletionWindow: limit {WHOLE}0"),
        (lambda: CompletionWindow(1, per=INF), f"CompletionWindow: per {ABOVE_0}inf"),
        (lambda: FixedWindow(0, per=1), f"FixedWindow: limit {WHOLE}0"),
        (lambda: FixedWindow(1, per=-1), f"FixedWindow: per {ABOVE_0}-1.0"),
        (lambda: FixedWindow(1, per=1, offset=NAN), "FixedWindow: offset must be a finite number, got nan"),
        (lambda: FixedWindow(1, per=1, epoch=INF), "FixedWindow: epoch must be a finite number, got inf"),
        (lambda: FixedWindow(1, per=1, offset=-1e300), r"FixedWindow: offset must be at least -1e\+15, got -1e\+300"),
        (lambda: Budget(0), f"Budget: tokens {ABOVE_0}0"),
        (lambda: Budget(1, per=0), f"Budget: per {ABOVE_0}0.0"),
        (lambda: Budget(1, burst=0), f"Budget: burst {ABOVE_0}0"),
        (lambda: Budget(1, default=-1), f"Budget: default {FROM_0}-1"),
        (lambda: WarmUp(0, seconds=1), f"WarmUp: rate {ABOVE_0}0"),
        (lambda: WarmUp(1, per=0, seconds=1), f"WarmUp: per {ABOVE_0}0.0"),
        (lambda: WarmUp(1, seconds=0), f"WarmUp: seconds {ABOVE_0}0.0"),
        (lambda: WarmUp(1, seconds=1, cold_factor=0.9), f"WarmUp: cold_factor {FROM_1}0.9"),
        (lambda: PerKey(FixedPause(1), forget_after=0), f"PerKey: forget_after {ABOVE_0}0.0"),
        (lambda: ManualPace(0), f"ManualPace: rate {ABOVE_0}0"),
        (lambda: ManualPace(1, per=NAN), f"ManualPace: per {ABOVE_0}nan"),
        (lambda: ConstantBackoff(-1), f"ConstantBackoff: seconds {FROM_0}-1.0"),
        (lambda: ExponentialBackoff(0), f"ExponentialBackoff: initial {ABOVE_0}0.0"),
        (
            lambda: ExponentialBackoff(1, maximum=NAN),
            "ExponentialBackoff: maximum must be a finite number above 0, got nan",
        ),
        (
            lambda: ExponentialBackoff(60, maximum=30),
            r"ExponentialBackoff: maximum \(30 s\) must not be below initial \(60 s\)",
        ),
        (
            lambda: ExponentialBackoff(1, factor=0.5),
            "ExponentialBackoff: factor must be a finite number, 1 or more, got 0.5",
        ),
        (
            lambda: ExponentialBackoff(1, factor=NAN),
            "ExponentialBackoff: factor must be a finite number, 1 or more, got nan",
        ),
        (lambda: ExponentialBackoff(1, factor=1e16), r"ExponentialBackoff: factor must be at most 1e\+15, got 1e\+16"),
        (lambda: ExponentialBackoff(1, after=0), f"ExponentialBackoff: after {WHOLE}0"),
        (lambda: MovingAverage(initial=0), f"MovingAverage: initial {ABOVE_0}0.0"),
        (lambda: MovingAverage(weight=0), f"MovingAverage: weight {SHARE}0"),
        (lambda: MovingAverage(weight=1.01), f"MovingAverage: weight {SHARE}1.01"),
        (lambda: MovingAverage(weight=NAN), f"MovingAverage: weight {SHARE}nan"),
        (lambda: Priority(ageing=0), f"Priority: ageing {ABOVE_0}0.0"),
        (lambda: BoundedQueue(0), f"BoundedQueue: capacity {WHOLE}0"),
        (lambda: BoundedQueue(2.0), f"BoundedQueue: capacity {WHOLE}2.0"),
        (lambda: BoundedQueue(10**16), r"BoundedQueue: capacity must be at most 1e\+15, got 10000000000000000"),
        (
            lambda: BoundedQueue(5, "explode"),
            f"BoundedQueue: when_full {CHOICES}'explode'",
        ),
        (lambda: BoundedQueue(5, timeout=3), "BoundedQueue: timeout goes with when_full=\"wait\", not with 'reject'"),
        (
            lambda: BoundedQueue(5, "wait", timeout=-1),
            "BoundedQueue: timeout must be a finite number, 0 or more, got -1.0",
        ),
        (lambda: Retry(0, NoBackoff()), f"Retry: attempts {WHOLE}0"),
        (lambda: MemoryStore(keep_finished=-1), "MemoryStore: keep_finished must be a whole number, 0 or more, got -1"),
        (lambda: MemoryStore(lease=0), f"MemoryStore: lease {ABOVE_0}0.0"),
    ],
)
def test_an_impossible_setting_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("value", ["10", None, True, object(), [1]])
def test_a_time_is_a_number_or_a_timedelta(value):
    with pytest.raises(TypeError, match="expected a number of seconds"):
        FixedPause(value)


def test_the_defaults_are_the_documented_ones():
    assert TokenBucket(5) == TokenBucket(5, per=1, burst=1)
    assert FixedWindow(5, per=60) == FixedWindow(5, per=60, offset=0, epoch=0)
    assert Budget(5) == Budget(5, per=1, burst=5, dimension="tokens", default=0)
    assert WarmUp(5, seconds=60) == WarmUp(5, per=1, seconds=60, cold_factor=3)
    assert PerKey(FixedPause(1)) == PerKey(FixedPause(1), forget_after=3600)
    assert ManualPace(5) == ManualPace(5, per=1)
    assert ExponentialBackoff(15) == ExponentialBackoff(15, maximum=300, factor=2, after=1)
    assert MovingAverage() == MovingAverage(initial=60, weight=0.2)
    assert BoundedQueue(5) == BoundedQueue(5, "reject", timeout=None, order=Fifo())
    assert Priority() == Priority(ageing=600)
    assert MemoryStore().keep_finished == 10_000


@pytest.mark.parametrize(
    "make", [lambda: ExponentialBackoff(15, 300), lambda: BoundedQueue(5, "wait", 3), lambda: MemoryStore(5)]
)
def test_numbers_that_could_be_mistaken_for_each_other_are_given_by_name(make):
    with pytest.raises(TypeError, match="positional"):
        make()


def test_times_may_be_timedeltas():
    assert FixedPause(timedelta(minutes=1)) == FixedPause(60)
    assert ExponentialBackoff(timedelta(seconds=15), maximum=timedelta(minutes=5)) == ExponentialBackoff(15)
    assert BoundedQueue(1, "wait", timeout=timedelta(seconds=2)).wait_timeout == 2


@pytest.mark.parametrize(
    "part",
    [
        FixedPause(1),
        TokenBucket(1),
        ConstantBackoff(1),
        ExponentialBackoff(1),
        MovingAverage(),
        BoundedQueue(1),
        Priority(),
    ],
    ids=lambda part: type(part).__name__,
)
def test_settings_cannot_be_changed_afterwards(part):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(part, attrs.fields(type(part))[0].name, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"queue": 50}, r"queue must be a JobQueue such as BoundedQueue\(50\), got 50, which has no capacity"),
        ({"pacing": 10}, r"pacing must be a PacingPolicy such as FixedPause\(10\), got 10, which has no initial_state"),
        ({"pacing": FixedPause}, r"pacing must be .*FixedPause'>, a class; call it"),
        ({"backoff": 15}, r"backoff must be a BackoffPolicy such as ExponentialBackoff\(15\), got 15"),
        ({"estimator": 60}, r"estimator must be a DurationEstimator such as MovingAverage\(\), got 60"),
        ({"store": "jobs.db"}, r"store must be a Store such as SqliteStore\(path\), got 'jobs.db'"),
    ],
)
def test_what_is_no_part_is_refused_by_the_setting_s_name(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=f"Scheduler: {message}"):
        Scheduler(**settings)


def test_a_header_that_is_still_text_is_refused_with_what_to_do() -> None:
    with pytest.raises(TypeError, match=r"a number of seconds .*, got '30'; .* convert them with float\(\)"):
        Throttled(retry_after="30")  # type: ignore[arg-type]
