"""Backoff policies without dice: the n-th failure in a row, the delay after it."""

from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer.backoff import CappedDoublings, ConstantBackoff, ExponentialBackoff, LinearBackoff, NoBackoff
from pacer.protocols import Failure

DICE = Random(0)


def delays(policy, counts):
    return [policy.delay(Failure(count), DICE) for count in counts]


def test_the_reference_delays():
    """No backoff after the first failure, then 15 s, doubling up to 300 s, and never more."""
    policy = ExponentialBackoff(15, maximum=300, after=2)
    assert delays(policy, range(1, 10)) == [0, 15, 30, 60, 120, 240, 300, 300, 300]


def test_by_default_delays_begin_with_the_first_failure():
    assert delays(ExponentialBackoff(15), range(1, 7)) == [15, 30, 60, 120, 240, 300]


def test_a_delay_of_two_steps_below_the_maximum_is_not_rounded_up_to_it():
    assert delays(ExponentialBackoff(10, maximum=45, factor=2), range(1, 5)) == [10, 20, 40, 45]


@pytest.mark.parametrize("count", [1024, 1025, 10_000, 10**6, 10**9])
@pytest.mark.parametrize("factor", [1.0001, 2, 10, 1e6])
def test_no_count_overflows(count, factor):
    assert ExponentialBackoff(0.001, maximum=300, factor=factor).delay(Failure(count), DICE) <= 300
    assert ExponentialBackoff(15, maximum=300).delay(Failure(count), DICE) == 300


@pytest.mark.parametrize("count", [1, 2, 50, 10_000, 10**6])
def test_a_factor_of_one_is_constant(count):
    assert ExponentialBackoff(7, maximum=300, factor=1).delay(Failure(count), DICE) == 7


def test_a_maximum_that_is_the_first_delay_is_constant():
    assert delays(ExponentialBackoff(7, maximum=7), (1, 2, 100)) == [7, 7, 7]


@given(
    initial=st.floats(1e-3, 1e3),
    headroom=st.floats(1, 1e6),
    factor=st.floats(1, 20),
    after=st.integers(1, 10),
    count=st.integers(1, 60),
)
def test_every_delay_is_what_the_formula_says(initial, headroom, factor, after, count):
    """min(initial * factor ** (n - after), maximum), in exact arithmetic."""
    maximum = initial * headroom
    delay = ExponentialBackoff(initial, maximum=maximum, factor=factor, after=after).delay(Failure(count), DICE)
    exact = min(Fraction(initial) * Fraction(factor) ** (count - after), Fraction(maximum)) if count >= after else 0
    assert delay == pytest.approx(float(exact), rel=1e-9)
    assert delay <= maximum


@given(initial=st.floats(1e-3, 1e3), factor=st.floats(1, 20), counts=st.tuples(st.integers(1, 99), st.integers(1, 99)))
def test_more_failures_never_mean_a_shorter_delay(initial, factor, counts):
    policy = ExponentialBackoff(initial, maximum=1e4, factor=factor)
    fewer, more = delays(policy, sorted(counts))
    assert fewer <= more


@given(st.builds(Failure, st.integers(1, 10**6), st.floats(0, 1e3), st.floats(0, 1e6)))
def test_no_backoff_is_never_a_delay_and_constant_is_always_the_same(failure):
    assert NoBackoff().delay(failure, DICE) == 0
    assert ConstantBackoff(2.5).delay(failure, DICE) == 2.5


# -- linear ----------------------------------------------------------------------------------------------------------


def test_linear_delays_grow_by_the_first_one():
    assert delays(LinearBackoff(10, maximum=45), range(1, 8)) == [10, 20, 30, 40, 45, 45, 45]


def test_a_linear_backoff_may_have_another_step_and_may_forgive_the_first_failures():
    assert delays(LinearBackoff(5, step=2, maximum=10, after=3), range(1, 8)) == [0, 0, 5, 7, 9, 10, 10]


def test_a_linear_backoff_may_begin_with_no_delay_at_all():
    assert delays(LinearBackoff(0, step=10), range(1, 5)) == [0, 10, 20, 30]


@given(
    initial=st.floats(0, 1e3),
    step=st.floats(1e-3, 1e3),
    headroom=st.floats(1e-3, 1e6),
    after=st.integers(1, 10),
    count=st.integers(1, 100) | st.integers(1, 10**6),
)
def test_every_linear_delay_is_what_the_formula_says(initial, step, headroom, after, count):
    """min(initial + step * (n - after), maximum), in exact arithmetic."""
    maximum = initial + headroom
    delay = LinearBackoff(initial, step=step, maximum=maximum, after=after).delay(Failure(count), DICE)
    exact = min(Fraction(initial) + Fraction(step) * (count - after), Fraction(maximum)) if count >= after else 0
    assert delay == pytest.approx(float(exact), rel=1e-9)
    assert delay <= maximum


# -- doublings -------------------------------------------------------------------------------------------------------


def test_the_schedule_of_cloud_tasks():
    """The example of its documentation: 10 s, at most 300 s, 3 doublings; then evenly, then constant."""
    policy = CappedDoublings(10, maximum=300, doublings=3)
    assert delays(policy, range(1, 10)) == [10, 20, 40, 80, 160, 240, 300, 300, 300]


def test_without_doublings_it_grows_evenly_from_the_start():
    assert delays(CappedDoublings(10, maximum=45, doublings=0), range(1, 7)) == [10, 20, 30, 40, 45, 45]


def test_with_more_doublings_than_fit_it_is_exponential():
    counts = (*range(1, 40), 1025, 10**6)
    policy, twin = CappedDoublings(0.1, maximum=3600, doublings=10**6), ExponentialBackoff(0.1, maximum=3600)
    assert delays(policy, counts) == delays(twin, counts)


@pytest.mark.parametrize("count", [1024, 1025, 10_000, 10**6, 10**9])
@pytest.mark.parametrize("doublings", [0, 1, 16, 1023, 1024, 10**6])
def test_no_count_of_failures_and_doublings_overflows(count, doublings):
    assert CappedDoublings(1, maximum=300, doublings=doublings).delay(Failure(count), DICE) == 300
    assert CappedDoublings(1e-9, maximum=1e9, doublings=doublings).delay(Failure(count), DICE) <= 1e9


@given(initial=st.floats(1e-3, 1e3), headroom=st.floats(1, 1e6), doublings=st.integers(0, 30), count=st.integers(1, 60))
def test_every_doubled_delay_is_what_the_schedule_says(initial, headroom, doublings, count):
    """Step by step as the documentation of Cloud Tasks tells it, in exact arithmetic."""
    maximum = initial * headroom
    delay = CappedDoublings(initial, maximum=maximum, doublings=doublings).delay(Failure(count), DICE)
    exact = step = Fraction(initial)
    for number in range(2, count + 1):
        if number <= doublings + 1:
            step = exact = 2 * exact
        else:
            exact += step
    assert delay == pytest.approx(float(min(exact, Fraction(maximum))), rel=1e-9)
    assert delay <= maximum


# -- settings --------------------------------------------------------------------------------------------------------

ABOVE_0 = "must be a finite number above 0, got "
BELOW = r"maximum \(30 s\) must not be below initial \(60 s\)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearBackoff(-1), "LinearBackoff: initial must be a finite number, 0 or more, got -1.0"),
        (lambda: LinearBackoff(0), f"LinearBackoff: step {ABOVE_0}0.0"),
        (lambda: LinearBackoff(1, step=-2), f"LinearBackoff: step {ABOVE_0}-2.0"),
        (lambda: LinearBackoff(1, maximum=math.inf), f"LinearBackoff: maximum {ABOVE_0}inf"),
        (lambda: LinearBackoff(1, after=0), "LinearBackoff: after must be a whole number, 1 or more, got 0"),
        (lambda: LinearBackoff(60, maximum=30), f"LinearBackoff: {BELOW}"),
        (lambda: CappedDoublings(0, doublings=1), f"CappedDoublings: initial {ABOVE_0}0.0"),
        (lambda: CappedDoublings(1, maximum=0, doublings=1), f"CappedDoublings: maximum {ABOVE_0}0.0"),
        (lambda: CappedDoublings(60, maximum=30, doublings=1), f"CappedDoublings: {BELOW}"),
        (
            lambda: CappedDoublings(1, doublings=-1),
            "CappedDoublings: doublings must be a whole number, 0 or more, got -1",
        ),
        (
            lambda: CappedDoublings(1, doublings=2.5),
            "CappedDoublings: doublings must be a whole number, 0 or more, got 2.5",
        ),
    ],
)
def test_impossible_growth_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_defaults_of_growth_are_the_documented_ones():
    assert LinearBackoff(10) == LinearBackoff(10, step=10, maximum=300, after=1)
    assert CappedDoublings(10, doublings=3) == CappedDoublings(10, maximum=300, doublings=3)
    assert LinearBackoff(timedelta(minutes=1), step=timedelta(seconds=30)) == LinearBackoff(60, step=30)
