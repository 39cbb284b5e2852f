"""`FairShare`: the guarantees of start-time fair queueing, over random weights, costs and arrivals."""

from __future__ import annotations

import itertools
import math
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orders import Line, ids

from pacer.queues import EarliestDeadline, FairShare
from pacer.testing import SampleJob

LANES = ("a", "b", "c", None)


def job(name, key, cost=1.0, **fields):
    return SampleJob(id=name, key=key, cost={"requests": cost}, **fields)


def lane_of(started):
    return [one.key for one in started]


# -- by hand ---------------------------------------------------------------------------------------------------------


def test_tags_are_those_of_the_paper():
    """Weights 1 and 2, jobs of cost 1: start tags 0, 1, 2 and 0, 1/2, 1, 3/2."""
    line = Line(FairShare({"b": 2}))
    assert [line.add(job(f"a{n}", "a")) for n in range(3)] == [0, 1, 2]
    assert [line.add(job(f"b{n}", "b")) for n in range(4)] == [0, 0.5, 1, 1.5]
    assert line.state == {"virtual": 0.0, "finish": {":a": 3.0, ":b": 2.0}}
    assert ids(line.drain()) == ["a0", "b0", "b1", "a1", "b2", "b3", "a2"]
    assert line.state == {"virtual": 2.0, "finish": {":a": 3.0}}


def test_the_cost_is_what_is_shared():
    """Jobs three times as large go a third as often."""
    line = Line(FairShare(dimension="tokens"))
    for number in range(9):
        line.add(SampleJob(id=f"large{number}", key="large", cost={"tokens": 3000.0}))
        line.add(SampleJob(id=f"small{number}", key="small", cost={"tokens": 1000.0}))
    assert lane_of([line.start() for _ in range(8)]) == ["large", *["small"] * 3, "large", *["small"] * 3]


def test_without_a_dimension_running_time_is_shared():
    line = Line(FairShare(dimension=None))
    for number in range(6):
        line.add(job(f"long{number}", "long"), seconds=20.0)
        line.add(job(f"short{number}", "short"), seconds=10.0)
    assert lane_of([line.start() for _ in range(6)]) == ["long", "short", "short"] * 2


def test_a_job_that_does_not_name_the_dimension_costs_the_default():
    line = Line(FairShare(dimension="tokens", default=500))
    keys = [line.add(SampleJob(key="a", cost=cost)) for cost in ({}, {"requests": 9.0}, {"tokens": 7.0}, {})]
    assert keys == [0, 500, 1000, 1007]


@pytest.mark.parametrize("key", ["", "None", "null", ":"])
def test_jobs_without_a_key_are_a_lane_of_their_own(key):
    line = Line(FairShare({None: 2}))
    for number in range(4):
        line.add(job(f"keyless{number}", None))
        line.add(job(f"keyed{number}", key))
    assert [one.key for one in line.drain()] == [None, key, None, key, None, None, key, key]


def test_a_key_that_was_idle_has_saved_nothing_up():
    line = Line(FairShare())
    for number in range(1000):
        line.add(job(f"a{number}", "a"))
    line.add(job("b", "b"))
    for _ in range(500):
        line.start()
    for number in range(10):
        line.add(job(f"b{number}", "b"))
    assert lane_of([line.start() for _ in range(10)]) == ["b", "a"] * 5


def test_a_key_alone_gets_everything():
    line = Line(FairShare({"a": 0.001, "b": 1000}))
    for number in range(5):
        line.add(job(f"a{number}", "a"))
    assert ids(line.drain()) == ["a0", "a1", "a2", "a3", "a4"]


def test_a_cancelled_job_has_taken_its_place_all_the_same():
    """The tags of the jobs behind it were given with it in front of them."""
    line = Line(FairShare())
    cancelled = [job(f"cancelled{number}", "a") for number in range(3)]
    for one in cancelled:
        line.add(one)
    for one in cancelled:
        line.cancel(one)
    line.add(job("a", "a"))
    for number in range(5):
        line.add(job(f"b{number}", "b"))
    assert ids(line.drain()) == ["b0", "b1", "b2", "a", "b3", "b4"]


def test_a_job_that_is_put_back_keeps_its_tag_and_is_not_charged_again():
    order = FairShare()
    first, state = order.place(order.initial_state(), job("a0", "a"), lambda: 1.0)
    second, state = order.place(state, job("a1", "a"), lambda: 1.0)
    state = order.started(state, job("a0", "a"), first)
    state = order.started(state, job("a1", "a"), second)
    assert order.started(state, job("a0", "a"), first) == state
    assert state == {"virtual": 1.0, "finish": {":a": 2.0}}


def test_a_job_that_another_order_has_placed_does_not_move_the_virtual_time():
    """A deadline, or the place behind all deadlines, as a tag would make all that come after it equal for ever."""
    order = FairShare()
    for expires_at in (1.7e9, None):
        foreign, _ = EarliestDeadline().place(None, job("old", "a", expires_at=expires_at), lambda: 1.0)
        _, state = order.place(order.initial_state(), job("new", "a"), lambda: 1.0)
        assert order.started(state, job("old", "a"), foreign) == state
        assert order.started(state, job("old", "b"), foreign) == state


@pytest.mark.parametrize(("cost", "weight"), [(1e300, 1.0), (1.0, 1e-300), (1e300, 1e-300)])
def test_one_absurd_cost_does_not_make_the_others_uncountable(cost, weight):
    line = Line(FairShare({"absurd": weight}))
    line.add(job("absurd", "absurd", cost))
    line.add(job("absurd too", "absurd", cost))
    line.drain()
    for number in range(3):
        line.add(job(f"a{number}", "a"))
        line.add(job(f"b{number}", "b"))
    assert ids(line.drain()) == ["a0", "b0", "a1", "b1", "a2", "b2"]


def test_what_is_free_takes_no_share():
    line = Line(FairShare())
    for number in range(3):
        line.add(job(f"free{number}", "a", 0.0))
        line.add(job(f"paid{number}", "b"))
    assert ids(line.drain()) == ["free0", "paid0", "free1", "free2", "paid1", "paid2"]
    assert line.state["finish"] == {":b": 3.0}


# -- whatever comes --------------------------------------------------------------------------------------------------

costs = st.sampled_from([0.001, 0.5, 1.0, 3.0, 1800.0]) | st.floats(0.01, 100)
weights = st.dictionaries(st.sampled_from(LANES), st.sampled_from([0.1, 0.5, 2.0, 7.0]), max_size=4)
arrivals = st.tuples(st.sampled_from(LANES), st.lists(costs, min_size=1, max_size=5))
# Some keys are there from the beginning with jobs enough to stay.
crowds = st.lists(st.tuples(st.sampled_from(LANES), st.lists(costs, min_size=5, max_size=15)), max_size=4)
histories = st.builds(operator.add, crowds, st.lists(arrivals | st.integers(1, 8), max_size=40))


def play(order, history):
    """Yields the line before each start, and the job that starts."""
    line, numbers = Line(order), itertools.count()
    for step in history:
        if isinstance(step, tuple):
            for cost in step[1]:
                line.add(job(f"j{next(numbers)}", step[0], cost))
        else:
            for _ in range(min(step, len(line))):
                backlog = {lane: line.waiting(lane) for lane in LANES}
                yield line, backlog, line.start()


@settings(deadline=None)
@given(histories, weights)
def test_two_keys_with_jobs_waiting_get_what_their_weights_say_within_one_job_each(history, weights):
    """The bound of the paper, in every stretch of time: cost_max / weight of the one plus that of the other."""
    largest = dict.fromkeys(LANES, 0.0)
    for step in history:
        if isinstance(step, tuple):
            largest[step[0]] = max(largest[step[0]], *step[1])

    def normal(lane, amount):
        return amount / weights.get(lane, 1.0)

    for one, other in itertools.combinations(LANES, 2):
        bound = normal(one, largest[one]) + normal(other, largest[other])
        ahead, least, most = 0.0, 0.0, 0.0
        for line, backlog, started in play(FairShare(weights), history):
            if not (backlog[one] and backlog[other]):
                ahead = least = most = 0.0
                continue
            cost = started.cost["requests"]
            ahead += normal(one, cost) if started.key == one else -normal(other, cost) if started.key == other else 0
            least, most = min(least, ahead), max(most, ahead)
            assert most - least <= bound * (1 + 1e-9)
            if not (line.waiting(one) and line.waiting(other)):
                ahead = least = most = 0.0


@settings(deadline=None)
@given(histories, weights, st.integers(0, 50), costs)
def test_a_key_that_comes_to_a_busy_queue_waits_for_one_job_of_each_other_key_at_most(history, weights, flood, cost):
    line = None
    for found, _, _ in play(FairShare(weights), history):
        line = found
    line = line or Line(FairShare(weights))
    newcomer = job("newcomer", "newcomer", cost)
    line.add(newcomer)
    for number in range(flood):
        line.add(job(f"flood{number}", LANES[number % len(LANES)]))
    before = lane_of(list(itertools.takewhile(lambda one: one is not newcomer, iter(line.start, None))))
    assert len(before) == len(set(before)) <= len(LANES)


@settings(deadline=None)
@given(histories, weights)
def test_jobs_of_one_key_keep_their_order_and_all_of_them_start(history, weights):
    line, started = Line(FairShare(weights)), []
    for found, _, one in play(FairShare(weights), history):
        line = found
        started.append(one)
    started += line.drain()
    for lane in LANES:
        numbers = [int(one.id[1:]) for one in started if one.key == lane]
        assert numbers == sorted(numbers)


@settings(deadline=None)
@given(histories, weights)
def test_the_state_holds_only_lanes_that_are_ahead(history, weights):
    """After each start: none whose finish tag the virtual time has caught up with."""
    passed = -math.inf
    for line, _, _ in play(FairShare(weights), history):
        virtual, finish = line.state["virtual"], line.state["finish"]
        assert virtual >= passed, "the virtual time never goes back"
        assert all(tag > virtual for tag in finish.values())
        passed = virtual


def test_of_thousands_of_keys_with_a_job_each_no_more_are_remembered_than_the_setting_says():
    """Each begins at the virtual time, which no start moves on: it goes on when there are too many."""
    line, most = Line(FairShare(keys=20)), 0
    for number in range(200):
        line.add(job(f"j{number}", f"tenant-{number}"))
        most = max(most, len(line.state["finish"]))
        assert line.start().id == f"j{number}"
    assert most == 20


@settings(deadline=None)
@given(histories, weights, st.integers(2, 4))
def test_to_forget_a_key_the_virtual_time_goes_on_by_one_job_at_most(history, weights, keys):
    """While fewer keys than are remembered have jobs waiting; and then what comes begins no later than that."""
    line, numbers, largest = Line(FairShare(weights, keys=keys)), itertools.count(), 0.0
    for step in history:
        if isinstance(step, int):
            for _ in range(min(step, len(line))):
                line.start()
            continue
        for cost in step[1]:
            before, waiting = line.state["virtual"], sum(line.waiting(lane) > 0 for lane in LANES)
            line.add(job(f"j{next(numbers)}", step[0], cost))
            largest = max(largest, cost / weights.get(step[0], 1.0))
            assert len(line.state["finish"]) <= keys
            if waiting < keys:
                assert line.state["virtual"] - before <= largest * (1 + 1e-9)
