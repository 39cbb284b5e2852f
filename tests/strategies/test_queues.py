"""The bounded queue: which jobs may enter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue
from pacer.protocols import Admission


def never_asked():
    pytest.fail("a bounded queue needs no forecast")


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
