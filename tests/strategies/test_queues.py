"""The bounded queue and its orders."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue
from pacer.protocols import Admission
from pacer.queues import Fifo, Priority
from pacer.testing import SampleJob


def never_asked():
    pytest.fail("a bounded queue needs no forecast")


def key_of(order, job):
    """Its key in a queue that has never held another."""
    return order.place(order.initial_state(), job, lambda: pytest.fail("this order asks for no durations"))[0]


def admit(queue, incoming, waiting):
    return queue.admit(incoming, waiting, never_asked)


def test_the_fifty_first_of_fifty_slots_is_refused():
    queue = BoundedQueue(50)
    assert admit(queue, 1, 49) == Admission(accepted=True)
    assert admit(queue, 1, 50) == Admission(accepted=False)


@pytest.mark.parametrize("when_full", ["reject", "wait"])
@given(st.integers(1, 100), st.integers(1, 200), st.integers(0, 200))
def test_a_batch_enters_whole_while_there_is_room_and_nothing_is_dropped_for_it(when_full, capacity, incoming, waiting):
    found = admit(BoundedQueue(capacity, when_full), incoming, waiting)
    assert found == Admission(accepted=waiting + incoming <= capacity)


@given(st.integers(1, 100), st.integers(1, 200), st.integers(0, 200))
def test_drop_oldest_drops_exactly_what_is_too_much(capacity, incoming, waiting):
    found = admit(BoundedQueue(capacity, "drop-oldest"), incoming, waiting)
    assert found.accepted == (incoming <= capacity or waiting + incoming <= capacity)
    if found.accepted:
        assert found.drop == max(0, waiting + incoming - capacity)


def test_only_a_waiting_enqueue_has_patience():
    assert BoundedQueue(5).wait_timeout == 0
    assert BoundedQueue(5, "drop-oldest").wait_timeout == 0
    assert BoundedQueue(5, "wait").wait_timeout is None
    assert BoundedQueue(5, "wait", timeout=3).wait_timeout == 3


@given(st.lists(st.builds(SampleJob, created_at=st.floats(0, 1e9), priority=st.integers(-9, 9)), min_size=2))
def test_in_fifo_order_nothing_but_arrival_counts(jobs):
    assert len({key_of(Fifo(), job) for job in jobs}) == 1


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
