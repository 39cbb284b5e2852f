"""Jitters: the formulas of AWS, their bounds, and where delays crowd."""

from __future__ import annotations

from random import Random

import pytest
from backoffs import failures
from hypothesis import given
from hypothesis import strategies as st

from pacer.backoff import (
    ConstantBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    GiveUpAfter,
    NoBackoff,
)
from pacer.protocols import Failure

# As in the simulator that belongs to AWS's article, but for its smaller maximum.
BASE, CAP = 15.0, 300.0
seeds = st.integers(0, 2**32)


def draws(policy, failure, number=10_000):
    dice = Random(1)
    return [policy.delay(failure, dice) for _ in range(number)]


def assert_uniform(delays, low, high):
    """Every twentieth of the range has its share, to within four standard deviations; nothing is outside."""
    assert low <= min(delays)
    assert max(delays) <= high
    width, expected = (high - low) / 20, len(delays) / 20
    for part in range(20):
        found = sum(low + part * width <= delay < low + (part + 1) * width for delay in delays)
        assert abs(found - expected) < 4 * expected**0.5


# -- full and equal --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 100, 10**6])
@pytest.mark.parametrize("seed", range(5))
def test_with_the_same_dice_the_delays_are_those_of_the_formulas(count, seed):
    """Full: U(0, v). Equal: v/2 + U(0, v/2). v = min(cap, base * 2 ** (n - 1))."""
    inner = ExponentialBackoff(BASE, maximum=CAP)
    v = min(CAP, BASE * 2 ** min(count - 1, 50))
    assert FullJitter(inner).delay(Failure(count), Random(seed)) == Random(seed).uniform(0, v)
    assert EqualJitter(inner).delay(Failure(count), Random(seed)) == v / 2 + Random(seed).uniform(0, v / 2)


@pytest.mark.parametrize("count", [1, 4, 6, 40])
def test_the_delays_are_uniform_also_at_the_maximum(count):
    """The cap comes before the dice, so there is no crowd at it: everybody would come back together."""
    inner = ExponentialBackoff(BASE, maximum=CAP)
    v = min(CAP, BASE * 2 ** (count - 1))
    assert_uniform(draws(FullJitter(inner), Failure(count)), 0, v)
    assert_uniform(draws(EqualJitter(inner), Failure(count)), v / 2, v)
    for policy in (FullJitter(inner), EqualJitter(inner)):
        delays = draws(policy, Failure(count))
        assert len(set(delays)) == len(delays)


@given(v=st.floats(0, 1e6), seed=seeds)
def test_no_jitter_leaves_its_bounds(v, seed):
    inner = ConstantBackoff(v)
    assert 0 <= FullJitter(inner).delay(Failure(1), Random(seed)) <= v
    assert v / 2 <= EqualJitter(inner).delay(Failure(1), Random(seed)) <= v


@given(failure=failures, seed=seeds)
def test_no_delay_stays_none_and_giving_up_stays_giving_up(failure, seed):
    dice = Random(seed)
    for jitter in (FullJitter, EqualJitter):
        assert jitter(NoBackoff()).delay(failure, dice) == 0
        assert jitter(GiveUpAfter(ConstantBackoff(5), attempts=1)).delay(failure, dice) is None


def test_jitter_in_jitter_is_a_share_of_a_share():
    delays = draws(FullJitter(EqualJitter(ConstantBackoff(8))), Failure(1))
    assert max(delays) <= 8
    assert sum(delays) / len(delays) == pytest.approx(8 * 3 / 4 / 2, rel=0.02)


# -- decorrelated ----------------------------------------------------------------------------------------------------


def walk(policy, steps, dice):
    """Delays one after the other, as one job's retries get them."""
    previous, delays = 0.0, []
    for count in range(1, steps + 1):
        previous = policy.delay(Failure(count, previous=previous), dice)
        delays.append(previous)
    return delays


@pytest.mark.parametrize("seed", range(20))
def test_with_the_same_dice_the_walk_is_that_of_the_original(seed):
    """Of AWS: s = base; then s = min(cap, U(base, 3 * s)), over and over."""
    dice, s, original = Random(seed), BASE, []
    for _ in range(30):
        s = min(CAP, dice.uniform(BASE, 3 * s))
        original.append(s)
    assert walk(DecorrelatedJitter(BASE, maximum=CAP), 30, Random(seed)) == original


def test_the_crowd_at_the_maximum_is_as_large_as_documented():
    """With 15 and 300 s: the shares of the 4th to 8th delays that are exactly 300 s."""
    dice, policy = Random(1), DecorrelatedJitter(BASE, maximum=CAP)
    walks = [walk(policy, 8, dice) for _ in range(30_000)]
    shares = [sum(one[step] == CAP for one in walks) / len(walks) for step in range(8)]
    assert shares[:2] == [0, 0]
    assert shares[3:] == pytest.approx([0.106, 0.210, 0.284, 0.331, 0.364], abs=0.01)
    assert sum(one[0] < 20 for one in walks) / len(walks) == pytest.approx(5 / 30, abs=0.01)


@given(initial=st.floats(1e-3, 1e3), headroom=st.floats(1, 1e4), failure=failures, seed=seeds)
def test_every_step_is_between_the_first_delay_and_the_maximum(initial, headroom, failure, seed):
    """Also after a delay that something else made shorter or longer."""
    maximum = initial * headroom
    assert initial <= DecorrelatedJitter(initial, maximum=maximum).delay(failure, Random(seed)) <= maximum


@given(failure=failures, seed=seeds)
def test_a_delay_that_was_stretched_from_outside_counts_as_the_maximum(failure, seed):
    policy = DecorrelatedJitter(1, maximum=60)
    stretched = Failure(failure.count, previous=60 + failure.previous)
    assert policy.delay(stretched, Random(seed)) == policy.delay(Failure(1, previous=60), Random(seed))


def test_a_walk_without_room_stands_still():
    assert walk(DecorrelatedJitter(7, maximum=7), 5, Random(1)) == [7] * 5


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DecorrelatedJitter(0), "DecorrelatedJitter: initial must be a finite number above 0, got 0.0"),
        (
            lambda: DecorrelatedJitter(60, maximum=30),
            r"DecorrelatedJitter: maximum \(30 s\) must not be below initial \(60 s\)",
        ),
    ],
)
def test_impossible_walks_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_default_maximum_is_the_documented_one():
    assert DecorrelatedJitter(1) == DecorrelatedJitter(1, maximum=300)
