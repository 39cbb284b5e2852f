"""The contract of backoff policies."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

from pacer._guard import LONGEST_DELAY
from pacer.protocols import BackoffPolicy, Failure
from pacer.testing._expect import Check, check_recipe, expect, expect_equal, seeded

_COUNTS = (*range(1, 60), 1024, 1025, 10_000, 1_000_000)
_SEEDS = range(20)


def _failures() -> list[Failure]:
    return [
        Failure(count, previous=previous, elapsed=count * 10.0, retry_after=retry_after)
        for count in _COUNTS
        for previous, retry_after in ((0.0, None), (15.0, None), (300.0, 0.0), (1.0, 30.0), (0.5, 1e6))
    ]


def check_backoff_recipe(policy: BackoffPolicy) -> None:
    """The policy is a recipe: it can be compared, hashed, copied and printed."""
    check_recipe(policy)


def check_backoff_delays(policy: BackoffPolicy) -> None:
    """Every delay is a number of seconds from 0 to a week, or None; also after the millionth failure."""
    name = type(policy).__name__
    for failure in _failures():
        delay = policy.delay(failure, seeded(1))
        usable = delay is None or (
            isinstance(delay, int | float) and not math.isnan(delay) and 0 <= delay <= LONGEST_DELAY
        )
        expect(usable, f"{name}.delay is 0 .. {LONGEST_DELAY:g} s or None; got {delay!r} for {failure!r}")


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


BACKOFF_CHECKS: Sequence[Check] = (check_backoff_recipe, check_backoff_delays, check_backoff_is_pure)
"""The promises of a backoff policy, one function each."""


def check_backoff_policy(policy: BackoffPolicy) -> None:
    """Run all of BACKOFF_CHECKS on a policy. Raises AssertionError naming the broken promise."""
    for check in BACKOFF_CHECKS:
        check(policy)
