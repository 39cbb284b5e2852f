"""What policies may say beyond their protocol: it is asked for where it is there, and checked like the rest."""

from __future__ import annotations

import math
from random import Random

import attrs
import pytest

from pacer import BoundedQueue, JobRecord, Outcome, OutcomeKind, Rules
from pacer.backoff import ConstantBackoff, ExponentialBackoff, NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause, Unpaced

FAILURE = Outcome(OutcomeKind.FAILED, error="no")
THROTTLE = Outcome(OutcomeKind.THROTTLED)
RAISE = object()


def make_rules(**parts):
    usual = {"queue": BoundedQueue(3), "pacing": Unpaced(), "backoff": NoBackoff(), "estimator": MovingAverage()}
    return Rules(**{**usual, "random": Random(1), "concurrency": 8, **parts})


def job(started_at=None):
    return JobRecord("j", "t", started_at=started_at)


# -- most_running ----------------------------------------------------------------------------------------------------


@attrs.frozen
class Probing(NoBackoff):
    """From three failures in a row on, so many jobs at once."""

    most: object = 2

    def most_running(self, failures):
        if self.most is RAISE:
            msg = "a defect"
            raise ValueError(msg)
        return self.most if failures >= 3 else None


@pytest.mark.parametrize(
    ("failures", "running", "free"), [(2, 7, True), (3, 1, True), (3, 2, False), (9, 1, True), (9, 2, False)]
)
def test_while_the_row_is_long_no_more_run_than_the_backoff_policy_says(failures, running, free):
    rules = make_rules(backoff=Probing())
    state = attrs.evolve(rules.initial(), failures=failures)
    when = rules.next_start(state, 100.0, job(), running)
    if free:
        assert when.at <= 100
    else:
        assert (when.at, when.on_event) == (math.inf, True)
        assert when.reason == f"{failures} failures in a row: 2 at a time until one succeeds"


@pytest.mark.parametrize("most", [0, -1, 1.5, math.nan, "one", True, RAISE])
def test_without_a_usable_answer_one_job_runs_at_a_time(most):
    rules = make_rules(backoff=Probing(most))
    state = attrs.evolve(rules.initial(), failures=3)
    assert rules.next_start(state, 100.0, job(), 0).at <= 100, "an idle queue always lets one out"
    assert rules.next_start(state, 100.0, job(), 1).at == math.inf
    assert {(fault.part, fault.question) for fault in rules.guard.take_faults()} == {("Probing", "most_running")}


def test_without_failures_nobody_asks():
    class Asked(NoBackoff):
        def most_running(self, failures):
            pytest.fail("there are no failures")

    rules = make_rules(backoff=Asked())
    assert rules.next_start(rules.initial(), 100.0, job(), 7).at <= 100


# -- slows_on_throttle -----------------------------------------------------------------------------------------------


@attrs.frozen
class SlowsItself(Unpaced):
    slows_on_throttle = True


def throttled(rules, outcome, state=None):
    state, _, told = rules.settle(state or rules.initial(), 100.0, job(99.0), outcome, 0, None)
    return state, told


def test_a_pace_that_slows_by_itself_is_spared_the_second_of_hold():
    state, told = throttled(make_rules(pacing=SlowsItself()), THROTTLE)
    assert state.hold_until <= 100
    assert (told.hold, state.failures, state.throttled) == (0, 1, 1)
    state, _ = throttled(make_rules(), THROTTLE)
    assert state.hold_until == 101


def test_but_what_the_backoff_policy_says_holds_it_too():
    rules = make_rules(pacing=SlowsItself(), backoff=ExponentialBackoff(0.25))
    state, told = throttled(rules, THROTTLE)
    assert (state.hold_until, told.hold) == (100.25, 0.25)


@pytest.mark.parametrize("retry_after", [0.0, 30.0])
def test_and_a_retry_after_is_always_obeyed(retry_after):
    rules = make_rules(pacing=SlowsItself(), backoff=ConstantBackoff(500))
    state, _ = throttled(rules, attrs.evolve(THROTTLE, retry_after=retry_after))
    assert state.hold_until == 100 + max(retry_after, 0.001)


# -- on_clock --------------------------------------------------------------------------------------------------------


@attrs.frozen
class Calendar(Unpaced):
    epoch: float = 0.0

    def on_clock(self, epoch):
        return attrs.evolve(self, epoch=epoch)


def test_a_policy_that_speaks_of_the_calendar_is_told_when_the_clock_showed_zero():
    rules = make_rules(pacing=Calendar(), concurrency=5)
    moved = rules.on_clock(1_700_000_000.0)
    assert moved.pacing == Calendar(1_700_000_000.0)
    assert attrs.evolve(moved, pacing=rules.pacing).pacing == rules.pacing
    assert (moved.guard, moved.random, moved.concurrency) == (rules.guard, rules.random, 5), "and the rest is the same"


def test_rules_without_such_a_policy_stay_as_they_are():
    rules = make_rules(pacing=FixedPause(3))
    assert rules.on_clock(1_700_000_000.0) is rules


# -- hold_ended ------------------------------------------------------------------------------------------------------


class BrokenPause(FixedPause):
    def hold_ended(self, state, now):
        msg = "a defect"
        raise ValueError(msg)


@pytest.mark.parametrize(("pacing", "then"), [(Unpaced(), 105.0), (FixedPause(10), 115.0), (BrokenPause(10), 140.0)])
def test_a_hold_that_is_ended_is_over_and_the_pause_begins_if_the_policy_can_tell(pacing, then):
    rules = make_rules(pacing=pacing, backoff=ConstantBackoff(30))
    state = rules.start(rules.initial(), 99.0, job(), 0)
    state, _, _ = rules.settle(state, 100.0, job(99.0), FAILURE, 0, None)
    assert state.hold_until == 130
    ended = rules.end_hold(state, 105.0)
    assert (ended.hold_until, ended.failures) == (105, 1)
    assert max(105.0, rules.next_start(ended, 105.0, job(), 0).at) == then
    assert rules.end_hold(ended, 106.0) is ended
    faults = {(fault.part, fault.question) for fault in rules.guard.take_faults()}
    assert faults == ({("BrokenPause", "hold_ended")} if isinstance(pacing, BrokenPause) else set())
