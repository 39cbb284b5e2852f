"""Backoff policies: the n-th failure in a row, the delay after it."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer.backoff import ConstantBackoff, ExponentialBackoff, NoBackoff
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
