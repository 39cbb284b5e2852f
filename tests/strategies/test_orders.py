"""The orders: which of the waiting jobs is next."""

from __future__ import annotations

import itertools
import math
import re
from datetime import timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from orders import Line, ids

from pacer import BoundedQueue
from pacer.queues import EarliestDeadline, FairShare, Fifo, Lifo, Priority, ShortestFirst
from pacer.testing import SampleJob


def never_asked():
    pytest.fail("this order asks for no durations")


def key_of(order, job, seconds=None):
    """Its key in a queue that has never held another."""
    expected = never_asked if seconds is None else lambda: seconds
    return order.place(order.initial_state(), job, expected)[0]


def job(name="job", **fields):
    return SampleJob(id=name, **fields)


# -- first come, first served ----------------------------------------------------------------------------------------


@given(st.lists(st.builds(SampleJob, created_at=st.floats(0, 1e9), priority=st.integers(-9, 9)), min_size=2))
def test_in_fifo_order_nothing_but_arrival_counts(jobs):
    assert len({key_of(Fifo(), job) for job in jobs}) == 1


# -- priority --------------------------------------------------------------------------------------------------------


@given(st.integers(-100, 100), st.integers(1, 50), st.floats(0.1, 1e4), st.floats(0, 1e5))
def test_a_step_of_priority_is_worth_the_ageing_time(priority, steps, ageing, created_at):
    """The more urgent job goes first if it came less than `ageing` seconds a step later, and not if it came later."""
    order = Priority(ageing=ageing)
    older = key_of(order, SampleJob(priority=priority, created_at=created_at))

    def urgent(later):
        return key_of(order, SampleJob(priority=priority + steps, created_at=created_at + later))

    assert urgent(steps * ageing * 0.99) < older
    assert urgent(steps * ageing * 1.01) > older


def test_among_equal_priorities_the_older_goes_first():
    order = Priority()
    assert key_of(order, SampleJob(created_at=1.0)) < key_of(order, SampleJob(created_at=2.0))


# -- last come, first served -----------------------------------------------------------------------------------------

moments = st.lists(st.sampled_from([0.0, 1.0, 5.0, 1_700_000_000.0, 1_700_000_000.5]), min_size=1, max_size=30)


@given(moments)
def test_the_last_job_that_came_is_the_first_whatever_the_clock_says(times):
    """Many at one moment, clocks that go back: arrival alone counts."""
    line = Line(Lifo())
    keys = [line.add(job(f"j{number}", created_at=at)) for number, at in enumerate(times)]
    assert keys == sorted(keys, reverse=True)
    assert len(set(keys)) == len(keys)
    assert ids(line.drain()) == [f"j{number}" for number in reversed(range(len(times)))]


def test_a_job_that_comes_while_others_wait_goes_before_them_and_they_go_on_after_it():
    line = Line(Lifo())
    for name in "abc":
        line.add(job(name, created_at=7.0))
    assert line.start().id == "c"
    line.add(job("d", created_at=7.0))
    assert ids(line.drain()) == ["d", "b", "a"]


def test_a_million_jobs_at_one_moment_put_the_newest_a_moment_ahead():
    """The float next to an epoch time is a quarter of a microsecond away."""
    state, order = 1_700_000_000.0, Lifo()
    for _ in range(1000):
        _, state = order.place(state, job(created_at=1_700_000_000.0), never_asked)
    assert 1_700_000_000.0 < state <= 1_700_000_000.001
    assert order.place(state, job(created_at=1_700_000_001.0), never_asked)[1] == 1_700_000_001.0


# -- the most pressing first -----------------------------------------------------------------------------------------


def lateness(deadlines, seconds):
    """The largest, if jobs with these deadlines start one after the other."""
    return max(position * seconds - deadline for position, deadline in enumerate(deadlines))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 10))
def test_no_order_makes_the_largest_lateness_smaller(deadlines, seconds):
    """Jackson's rule, against all orders there are."""
    line = Line(EarliestDeadline())
    for deadline in deadlines:
        line.add(job(expires_at=float(deadline)))
    found = [started.expires_at for started in line.drain()]
    assert lateness(found, seconds) == min(lateness(order, seconds) for order in itertools.permutations(deadlines))


def test_jobs_without_a_deadline_stand_behind_all_others_in_order_of_arrival():
    line = Line(EarliestDeadline())
    for name, expires_at in (("a", None), ("late", 1e300), ("b", None), ("soon", 1.7e9), ("c", None)):
        line.add(job(name, created_at=1.7e9, expires_at=expires_at))
    assert ids(line.drain()) == ["soon", "late", "a", "b", "c"]


def test_with_patience_they_count_as_due_after_it():
    line = Line(EarliestDeadline(patience=600))
    for name, created_at, expires_at in (
        ("none", 1000.0, None),
        ("sooner", 1000.0, 1599.0),
        ("later", 1000.0, 1601.0),
        ("none, and later still", 1002.0, None),
    ):
        line.add(job(name, created_at=created_at, expires_at=expires_at))
    assert ids(line.drain()) == ["sooner", "none", "later", "none, and later still"]


@given(st.floats(1e-3, 1e6), st.floats(0, 1e9), st.floats(1e-3, 1e6))
def test_with_patience_nothing_that_is_due_later_overtakes_a_job_without_a_deadline(patience, created_at, more):
    order = EarliestDeadline(patience=patience)
    waiting = key_of(order, job(created_at=created_at))
    assert key_of(order, job(created_at=created_at, expires_at=created_at + patience + more)) >= waiting


# -- short jobs before long ones -------------------------------------------------------------------------------------


def waits(durations):
    """The sum of them, if jobs of these durations run one after the other."""
    return sum(itertools.accumulate(durations[:-1]))


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_of_jobs_that_came_together_no_order_has_a_smaller_sum_of_waits(durations):
    """Smith's rule, against all orders there are."""
    line = Line(ShortestFirst())
    for seconds in durations:
        line.add(job(cost={"seconds": float(seconds)}, created_at=50.0), float(seconds))
    found = [int(started.cost["seconds"]) for started in line.drain()]
    assert waits(found) == min(waits(list(order)) for order in itertools.permutations(durations))


@given(st.floats(0.1, 100), st.floats(1, 1000), st.floats(0, 1000), st.floats(0, 1e6))
def test_a_job_is_overtaken_by_nothing_that_comes_later_than_its_ageing_allows(ageing, seconds, other, created_at):
    order = ShortestFirst(ageing)
    waiting = key_of(order, job(created_at=created_at), seconds)
    assert key_of(order, job(created_at=created_at + ageing * seconds * 1.001 + 1e-6), other) > waiting
    if other < 0.9 * seconds:
        sooner = job(created_at=created_at + ageing * (seconds - other) * 0.99)
        assert key_of(order, sooner, other) < waiting, "but by a shorter one that comes sooner"


def test_jobs_of_which_the_same_is_expected_go_in_order_of_arrival():
    line = Line(ShortestFirst())
    for name in "abc":
        line.add(job(name, created_at=3.0), 60.0)
    assert ids(line.drain()) == ["a", "b", "c"]


def test_an_absurd_duration_stands_behind_all_others_instead_of_before_them():
    line = Line(ShortestFirst(ageing=1e15))
    line.add(job("for ever"), 1e9)
    line.add(job("short"), 1e-9)
    assert ids(line.drain()) == ["short", "for ever"]


# -- settings --------------------------------------------------------------------------------------------------------

ABOVE_0 = "must be a finite number above 0, got "


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarliestDeadline(0), f"EarliestDeadline: patience {ABOVE_0}0.0"),
        (lambda: EarliestDeadline(math.inf), f"EarliestDeadline: patience {ABOVE_0}inf"),
        (lambda: ShortestFirst(0), f"ShortestFirst: ageing {ABOVE_0}0.0"),
        (lambda: ShortestFirst(math.nan), f"ShortestFirst: ageing {ABOVE_0}nan"),
        (
            lambda: FairShare({"a": 0}),
            "FairShare: weights must map keys of jobs to finite numbers above 0, got {'a': 0}",
        ),
        (lambda: FairShare({"a": math.inf}), "FairShare: weights must map keys"),
        (lambda: FairShare({"a": True}), "FairShare: weights must map keys"),
        (lambda: FairShare({"a": "2"}), "FairShare: weights must map keys"),
        (lambda: FairShare({7: 2}), "FairShare: weights must map keys"),
        (lambda: FairShare(default=0), f"FairShare: default {ABOVE_0}0"),
    ],
)
def test_an_impossible_setting_is_refused(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EarliestDeadline("600"), "expected a number of seconds"),
        (lambda: FairShare(["a"]), "FairShare: weights must be a mapping such as {\"tenant-1\": 2}, got ['a']"),
        (lambda: FairShare(dimension=7), "dimension"),
        (lambda: BoundedQueue(5, order=Fifo), "BoundedQueue: order must be a JobOrder such as Fifo(), got"),
        (lambda: BoundedQueue(5, order="fifo"), "BoundedQueue: order must be a JobOrder such as Fifo(), got 'fifo'"),
    ],
)
def test_a_setting_of_another_kind_is_refused(make, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        make()


def test_the_defaults_are_the_documented_ones():
    assert EarliestDeadline() == EarliestDeadline(patience=None)
    assert ShortestFirst() == ShortestFirst(ageing=10)
    assert FairShare() == FairShare({}, dimension="requests", default=1)


def test_times_may_be_timedeltas():
    assert EarliestDeadline(timedelta(minutes=10)) == EarliestDeadline(600)
    assert ShortestFirst(timedelta(minutes=1)) == ShortestFirst(60)


def test_weights_are_copied_when_they_are_given():
    weights = {"a": 2.0}
    order = FairShare(weights)
    weights["a"] = 3.0
    assert order == FairShare({"a": 2.0})
    assert hash(order) == hash(FairShare({"a": 2.0}))
    assert order != FairShare({"a": 3.0})


@pytest.mark.parametrize(
    "order", [EarliestDeadline(), ShortestFirst(), FairShare()], ids=lambda one: type(one).__name__
)
def test_settings_cannot_be_changed_afterwards(order):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(order, attrs.fields(type(order))[0].name, 1)
