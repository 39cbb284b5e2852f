"""The numbers of the parts: all built-in parts name theirs, and take what a person gives them."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import attrs
import pytest

import pacer.backoff
import pacer.pacing
from pacer import BoundedQueue, JobRecord, MaxWait, Outcome, OutcomeKind, QueueState, Rules
from pacer._numbers import numbers_of, with_numbers
from pacer.backoff import ExponentialBackoff, HonourRetryAfter
from pacer.estimators import MovingAverage
from pacer.pacing import (
    AdaptiveRate,
    AllOf,
    Budget,
    CompletionWindow,
    CubicRate,
    FixedPause,
    FixedWindow,
    GradientLimit,
    ManualPace,
    MinInterval,
    OpeningHours,
    PerKey,
    ServerGuided,
    SlidingWindow,
    TokenBucket,
    VegasLimit,
    WarmUp,
)
from pacer.protocols import PacingPolicy
from pacer.queues import Priority
from pacer.testing import SampleJob


def rules(**parts: object) -> Rules:
    usual = {
        "queue": BoundedQueue(5),
        "pacing": FixedPause(10),
        "backoff": ExponentialBackoff(15, maximum=300),
        "estimator": MovingAverage(initial=60, weight=0.2),
    }
    return Rules(**{**usual, **parts})  # type: ignore[arg-type]


def test_each_part_names_its_numbers_as_its_settings_are_named() -> None:
    found = numbers_of(rules())
    assert (
        found.items()
        >= {
            "queue.capacity": 5,
            "pacing.seconds": 10.0,
            "backoff.initial": 15.0,
            "backoff.maximum": 300.0,
            "estimator.weight": 0.2,
        }.items()
    )


def test_what_is_neither_a_number_nor_given_by_a_person_is_not_named() -> None:
    window = FixedWindow(5, per=60).on_clock(1_700_000_000)
    assert set(numbers_of(rules(pacing=window))) & {"pacing.epoch"} == set()
    assert not any(isinstance(value, bool) for value in numbers_of(rules()).values())


@pytest.mark.parametrize(
    ("part", "path", "made"),
    [
        (PerKey(TokenBucket(1, per=60)), "pacing.policy.rate", PerKey(TokenBucket(2, per=60))),
        (FixedPause(1) & TokenBucket(1), "pacing.policies.1.rate", AllOf(FixedPause(1), TokenBucket(2))),
    ],
)
def test_a_part_inside_of_another_is_made_anew_with_its_number(part: object, path: str, made: object) -> None:
    assert path in numbers_of(rules(pacing=part))
    changed, problems = with_numbers(rules(pacing=part), {path: 2})
    assert (changed.pacing, problems) == (made, [])


def test_a_number_that_does_not_fit_any_more_is_left_out_and_said_once() -> None:
    given = rules()
    state = attrs.evolve(given.initial(), numbers={"pacing.rate": 5, "queue.capacity": 9})
    assert (given.tuned(state).pacing, given.tuned(state).queue) == (FixedPause(10), BoundedQueue(9))
    given.tuned(state)
    (fault,) = given.guard.take_faults()
    assert "pacing.rate cannot be 5" in fault.problem


def test_rules_without_numbers_are_the_rules_themselves_and_tuned_ones_know_the_recipe() -> None:
    given = rules()
    assert given.tuned(given.initial()) is given
    state = given.set_numbers(given.initial(), {"pacing.seconds": 3})
    tuned = given.tuned(state)
    assert tuned is given.tuned(attrs.evolve(state, failures=1))  # made once
    assert tuned.pacing == FixedPause(3)
    assert tuned.tuned(given.initial()) is given
    assert tuned.set_numbers(state, {"pacing.seconds": 10}).numbers == {}  # the recipe's own
    assert (tuned.guard, tuned.random) == (given.guard, given.random)


def test_zero_and_whole_numbers_stay_what_they_are() -> None:
    state = rules().set_numbers(QueueState(None, None), {"queue.capacity": 7.0, "pacing.seconds": 0})
    assert state.numbers == {"queue.capacity": 7, "pacing.seconds": 0}
    assert type(state.numbers["queue.capacity"]) is int


MADE = {
    "backoff": [HonourRetryAfter(ExponentialBackoff(1)), pacer.backoff.CircuitBreaker(ExponentialBackoff(30))],
    "queue": [MaxWait(600), BoundedQueue(5, order=Priority())],
    "pacing": [OpeningHours("08:00", "18:00", timezone="Europe/Berlin"), pacer.pacing.AdaptiveRate(1, maximum=10)],
}


@pytest.mark.parametrize(("name", "part"), [(name, part) for name, parts in MADE.items() for part in parts])
def test_every_number_that_is_named_can_be_set(name: str, part: object) -> None:
    """Halved or doubled, one of them at least is taken; what is refused says why."""
    given = rules(**{name: part})
    for path, value in numbers_of(given).items():
        if not path.startswith(f"{name}."):
            continue
        taken = []
        for other in (value * 2 or 1, value / 2, value + 1):
            changed, problems = with_numbers(given, {path: other})
            taken += [] if problems else [other]
            assert all(path in problem for problem in problems)
            assert problems or numbers_of(changed)[path] == other
        assert taken, path


def test_a_state_goes_on_with_other_numbers() -> None:
    """What a policy has learned with one number is understood with another."""
    given = rules(pacing=TokenBucket(10, per=60, burst=5))
    pacing, job = given.pacing, SampleJob()
    state = pacing.initial_state()
    for _ in range(5):
        state = pacing.started(state, 100.0, job, 0)
    slower, _ = with_numbers(given, {"pacing.rate": 1, "pacing.burst": 1})
    assert 100 < slower.pacing.earliest(state, 100.0, job, 0).at <= 100 + 5 * 60


@pytest.mark.parametrize("order", [1, -1])
def test_numbers_that_go_with_each_other_are_set_in_any_order(order: int) -> None:
    """The first delay may not be longer than the longest; both may be longer than the longest was."""
    given = rules()
    changes = {"backoff.initial": 600.0, "backoff.maximum": 900.0, "queue.capacity": 9.0}
    state = given.set_numbers(given.initial(), dict(list(changes.items())[::order]))
    assert given.tuned(state).backoff == ExponentialBackoff(600, maximum=900)
    with pytest.raises(ValueError, match=r"backoff\.initial"):
        given.set_numbers(state, {"backoff.maximum": None})
    back = given.set_numbers(state, {"backoff.maximum": None, "backoff.initial": None})
    assert (back.numbers, given.guard.take_faults()) == ({"queue.capacity": 9}, [])


PACES = [
    AdaptiveRate(1),
    Budget(1000),
    CompletionWindow(2, per=1),
    CubicRate(),
    FixedPause(1),
    FixedWindow(2, per=1),
    GradientLimit(2),
    ManualPace(1),
    MinInterval(1),
    PerKey(TokenBucket(1)),
    ServerGuided(TokenBucket(1)),
    SlidingWindow(2, per=1),
    TokenBucket(1) & MinInterval(1),
    VegasLimit(2),
    WarmUp(2, seconds=3),
]


@pytest.mark.parametrize("pacing", PACES, ids=repr)
def test_a_number_that_is_taken_is_one_that_the_policy_can_work_with(pacing: PacingPolicy[Any]) -> None:
    given, now, failed = rules(pacing=pacing), 1.7e9, Outcome(OutcomeKind.FAILED, error="no")
    taken = []
    for path, value in product(numbers_of(given), (1e300, 1e15, 1e-15, 1e-300)):
        try:
            state = given.set_numbers(given.initial(), {path: value})
        except ValueError:
            continue
        taken.append(value)
        tuned = given.tuned(state)
        for number in range(4):
            record = JobRecord(f"{number}", "work", created_at=now, ready_at=now, started_at=now)
            when = tuned.next_start(state, now, record, 0)
            assert not math.isnan(when.at)
            state = tuned.start(state, now, record, 0)
            state, _, _ = tuned.settle(state, now + 1, record, failed, 0, None)
            tuned.rate_limit(state, now)
        assert (path, value, given.guard.take_faults(), tuned.guard.take_faults()) == (path, value, [], [])
    assert taken
    assert 1e300 not in taken


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "pacing.seconds",
            1e300,
            r"^pacing\.seconds cannot be 1e\+300: FixedPause: seconds must be at most 1e\+15",
        ),
        ("queue.capacity", 1e16, r"BoundedQueue: capacity must be at most 1e\+15, got 10000000000000000"),
        ("backoff.initial", 1e-20, r"ExponentialBackoff: initial must be at least 1e-15, got 1e-20"),
    ],
)
def test_a_number_beyond_all_that_there_is_is_refused(path: str, value: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rules().set_numbers(rules().initial(), {path: value})


@pytest.mark.parametrize("value", [10**400, -(10**400), float("nan"), float("inf"), True, "5"])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="finite number"):
        rules().set_numbers(rules().initial(), {"pacing.seconds": value})  # type: ignore[dict-item]
