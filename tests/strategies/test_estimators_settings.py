"""Settings of estimators: what is refused, what is taken if nothing is said."""

from __future__ import annotations

import math
from datetime import timedelta

import attrs
import pytest

from pacer.estimators import ByCost, Calibrated, MovingAverage, PerKind, StreamingQuantile, WindowedQuantile

ABOVE_0 = "must be a finite number above 0, got "
SHARE = "must be above 0 and at most 1, got "
PART = r"must be a DurationEstimator such as MovingAverage\(\), got "


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WindowedQuantile(initial=0), f"WindowedQuantile: initial {ABOVE_0}0.0"),
        (lambda: WindowedQuantile(window=1), "WindowedQuantile: window must be a whole number, 2 or more, got 1"),
        (lambda: WindowedQuantile(window=2.5), "WindowedQuantile: window must be a whole number, 2 or more, got 2.5"),
        (lambda: StreamingQuantile(initial=math.inf), f"StreamingQuantile: initial {ABOVE_0}inf"),
        (lambda: StreamingQuantile(weight=0), f"StreamingQuantile: weight {SHARE}0"),
        (lambda: StreamingQuantile(accuracy=0), "StreamingQuantile: accuracy must be above 0 and below 1, got 0"),
        (lambda: StreamingQuantile(accuracy=1.0), "StreamingQuantile: accuracy must be above 0 and below 1, got 1.0"),
        (lambda: StreamingQuantile(buckets=1), "StreamingQuantile: buckets must be a whole number, 2 or more, got 1"),
        (lambda: ByCost(initial=-1), f"ByCost: initial {ABOVE_0}-1.0"),
        (lambda: ByCost(dimension=""), "ByCost: dimension must not be empty"),
        (lambda: ByCost(weight=2), f"ByCost: weight {SHARE}2"),
        (lambda: PerKind(MovingAverage(), kinds=0), "PerKind: kinds must be a whole number, 1 or more, got 0"),
        (lambda: Calibrated(MovingAverage(), 0), "Calibrated: coverage must be above 0 and at most 0.99, got 0"),
        (lambda: Calibrated(MovingAverage(), 80), "Calibrated: coverage must be above 0 and at most 0.99, got 80"),
        (lambda: Calibrated(MovingAverage(), step=0), f"Calibrated: step {ABOVE_0}0"),
    ],
)
def test_an_impossible_setting_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PerKind(60), f"PerKind: estimator {PART}60"),
        (lambda: PerKind(MovingAverage), f"PerKind: estimator {PART}.*a class; call it"),
        (lambda: Calibrated(None), f"Calibrated: estimator {PART}None"),
        (lambda: WindowedQuantile("60"), "expected a number of seconds"),
        (lambda: ByCost(60, 1800), "ByCost: dimension must be a word such as 'tokens', got 1800"),
    ],
)
def test_what_is_of_another_kind_is_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


def test_the_defaults_are_the_documented_ones():
    assert WindowedQuantile() == WindowedQuantile(60, window=100)
    assert StreamingQuantile() == StreamingQuantile(60, weight=0.005, accuracy=0.01, buckets=512)
    assert ByCost() == ByCost(60, "tokens", weight=0.02)
    assert PerKind(MovingAverage()) == PerKind(MovingAverage(), kinds=100)
    assert Calibrated(MovingAverage()) == Calibrated(MovingAverage(), coverage=0.8, step=0.1)


def test_times_may_be_timedeltas():
    minute = timedelta(minutes=1)
    for part in (WindowedQuantile, StreamingQuantile, ByCost):
        assert part(initial=minute) == part()


@pytest.mark.parametrize(
    "part",
    [WindowedQuantile(), StreamingQuantile(), ByCost(), PerKind(MovingAverage()), Calibrated(MovingAverage())],
    ids=lambda part: type(part).__name__,
)
def test_settings_cannot_be_changed_afterwards(part):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(part, attrs.fields(type(part))[0].name, 1)
