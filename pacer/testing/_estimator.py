"""The contract of duration estimators."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from pacer._job import Outcome, OutcomeKind
from pacer.protocols import DurationEstimator, Durations
from pacer.testing._expect import Call, CallLog, Check, SampleJob, check_recipe, expect, expect_pure, plain, seeded

_JOBS = (
    SampleJob(id="a", task="analyse", cost={"requests": 1, "tokens": 1800}),
    SampleJob(id="b", task="summarise", key="tenant", priority=3, cost={}),
    SampleJob(id="c", task="analyse", cost={"requests": 0, "tokens": 0}),
    SampleJob(id="d", task="translate", cost={"requests": 1, "tokens": 1e9}),
)
_OUTCOMES = tuple(Outcome(kind, cost={"tokens": 900}, retry_after=1.0, hold=2.0) for kind in OutcomeKind)


def _durations(seed: int) -> list[float]:
    random = seeded(seed)
    usual = [random.lognormvariate(3, 1) for _ in range(60)]
    return [*usual[:20], 0.0, 1e-9, *usual[20:40], 1e7, *usual[40:], *[5.0] * 50, *[0.0] * 200]


def _calls(estimator: DurationEstimator[Any]) -> list[Call]:
    log = CallLog(estimator)
    for seed in (1, 2):
        state = estimator.initial_state()
        outcomes = itertools.cycle([_OUTCOMES[0], *_OUTCOMES, _OUTCOMES[0]])
        for job in _JOBS:
            log.call("predict", state, job)
        for number, duration in enumerate(_durations(seed)):
            job = _JOBS[number % len(_JOBS)]
            state = log.call("observed", state, job, duration, next(outcomes))
            log.call("predict", state, job)
    return log.calls


def check_estimator_recipe(estimator: DurationEstimator[Any]) -> None:
    """The estimator is a recipe: it can be compared, hashed, copied and printed."""
    check_recipe(estimator)


def check_estimator_state_is_plain(estimator: DurationEstimator[Any]) -> None:
    """Every state, the first included, survives JSON unchanged."""
    name = type(estimator).__name__
    plain(estimator.initial_state(), f"{name}.initial_state")
    for call in _calls(estimator):
        if call.method == "observed":
            plain(call.answer, f"{name}.observed")


def check_estimator_is_pure(estimator: DurationEstimator[Any]) -> None:
    """Save and restore in mid-run changes no answer; states and recipe are not mutated; no clock, no dice."""
    expect_pure(_calls, estimator)


def check_estimator_predictions(estimator: DurationEstimator[Any]) -> None:
    """Every prediction is finite and not negative, before any job was seen too, and after jobs of no length."""
    name = type(estimator).__name__
    for call in _calls(estimator):
        if call.method != "predict":
            continue
        found = call.answer
        expect(isinstance(found, Durations), f"{name}.predict answers with Durations, got {found!r}")
        numbers = (found.mean, found.sd, found.uncertainty)
        expect(
            all(math.isfinite(number) and number >= 0 for number in numbers),
            f"{name}.predict: mean, sd and uncertainty are finite, 0 or more; got {found!r}",
        )
        expect(
            isinstance(found.quantiles, tuple)
            and all(math.isfinite(number) and number >= 0 for number in found.quantiles)
            and all(low <= high for low, high in itertools.pairwise(found.quantiles)),
            f"{name}.predict: quantiles is a tuple of rising, finite numbers, 0 or more; got {found!r}",
        )
        if found.mean > 0:
            low, middle, high = (found.quantile(p) for p in (0.1, 0.5, 0.9))
            expect(0 <= low <= middle <= high < math.inf, f"{name}.predict: quantiles rise; got {found!r}")


ESTIMATOR_CHECKS: Sequence[Check] = (
    check_estimator_recipe,
    check_estimator_state_is_plain,
    check_estimator_is_pure,
    check_estimator_predictions,
)
"""The promises of a duration estimator, one function each."""


def check_duration_estimator(estimator: DurationEstimator[Any]) -> None:
    """Run all of ESTIMATOR_CHECKS on an estimator. Raises AssertionError naming the broken promise."""
    for check in ESTIMATOR_CHECKS:
        check(estimator)
