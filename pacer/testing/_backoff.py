"""The contract of backoff policies."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from pacer._guard import LONGEST_DELAY
from pacer.protocols import BackoffPolicy, Failure
from pacer.testing._expect import Check, check_recipe, expect, expect_equal, seeded

_COUNTS = (*range(1, 40), 64, 100, 1023, 1024, 1025, 10_000, 1_000_000)
_SEEDS = range(8)
# (previous, elapsed, retry_after, successes, retries): from nothing at all to more than ever happens.
_CIRCUMSTANCES = (
    (0.0, 0.0, None, 0.0, 0.0),
    (15.0, 15.0, None, 0.0, 12.0),
    (300.0, 3600.0, 0.0, 7.5, 1.5),
    (1.0, 0.5, 30.0, 1e6, 1e-9),
    (0.5, 1e9, 1e6, 1e-9, 1e6),
    (LONGEST_DELAY, 1e-9, 1e-9, 1e9, 1e9),
)


def _failures() -> list[Failure]:
    return [Failure(count, *circumstance) for count in _COUNTS for circumstance in _CIRCUMSTANCES]


def _is_delay(delay: object, failure: Failure) -> bool:
    """None, or seconds: a week is the longest that is waited, unless the upstream itself asks for more."""
    if delay is None:
        return True
    longest = max(LONGEST_DELAY, failure.retry_after or 0.0)
    return isinstance(delay, int | float) and not isinstance(delay, bool) and 0 <= delay <= longest  # False for NaN


def check_backoff_recipe(policy: BackoffPolicy) -> None:
    """The policy is a recipe: it can be compared, hashed, copied and printed."""
    check_recipe(policy)


def check_backoff_delays(policy: BackoffPolicy) -> None:
    """Every delay is a number of seconds from 0 to a week, or None; also after the millionth failure."""
    name = type(policy).__name__
    for index, failure in enumerate(_failures()):
        for seed in _SEEDS:
            # Another seed each time, so that rare numbers are met too.
            delay = policy.delay(failure, seeded(index * len(_SEEDS) + seed))
            promise = f"{name}.delay is 0 .. {LONGEST_DELAY:g} s or None; got {delay!r} for {failure!r}"
            expect(_is_delay(delay, failure), promise)


def check_backoff_is_pure(policy: BackoffPolicy) -> None:
    """The delay depends on the failure and on the random generator it is given, on nothing else."""
    name = type(policy).__name__
    pristine = copy.deepcopy(policy)
    said = [[policy.delay(failure, seeded(seed)) for failure in _failures()] for seed in _SEEDS]
    expect_equal(policy, pristine, f"{name}: a recipe does not change while it is used")
    for seed, answers in zip(_SEEDS, said, strict=True):
        for failure, answer in reversed(list(zip(_failures(), answers, strict=True))):
            promise = f"{name}.delay: the same failure and the same random numbers give the same delay ({failure!r})"
            expect_equal(policy.delay(failure, seeded(seed)), answer, promise)


def check_backoff_most_running(policy: BackoffPolicy) -> None:
    """If the policy limits how many jobs run after failures, there is always room for one, and the limit is fixed."""
    ask = getattr(policy, "most_running", None)
    if ask is None:
        return
    name = type(policy).__name__
    said = [ask(count) for count in _COUNTS]
    for count, most in zip(_COUNTS, said, strict=True):
        usable = most is None or (type(most) is int and most >= 1)
        expect(usable, f"{name}.most_running is a whole number, 1 or more, or None; got {most!r} for {count} failures")
    again = [ask(count) for count in reversed(_COUNTS)]
    expect_equal(again[::-1], said, f"{name}.most_running: the same count of failures gives the same answer")


BACKOFF_CHECKS: Sequence[Check] = (
    check_backoff_recipe,
    check_backoff_delays,
    check_backoff_is_pure,
    check_backoff_most_running,
)
"""The promises of a backoff policy, one function each."""


def check_backoff_policy(policy: BackoffPolicy) -> None:
    """Run all of BACKOFF_CHECKS on a policy. Raises AssertionError naming the broken promise."""
    for check in BACKOFF_CHECKS:
        check(policy)
