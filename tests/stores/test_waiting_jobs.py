"""The waiting jobs in memory, beside a list that is sorted anew for each question."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pacer import JobRecord
from pacer.stores._waiting import WaitingJobs

SHOWN = 5
"""So many of the first are asked for; in a scheduler it is a thousand."""


def job(seq, *, key=0.0, ready_at=0.0, expires_at=None):
    return JobRecord(str(seq), "work", seq=seq, sort_key=key, ready_at=ready_at, expires_at=expires_at)


def in_order(jobs, now):
    """Ready ones by their keys, then delayed ones by their times."""
    ready = sorted((one for one in jobs if one.ready_at <= now), key=lambda one: (one.sort_key, one.seq))
    return ready + sorted((one for one in jobs if one.ready_at > now), key=lambda one: (one.ready_at, one.seq))


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("add"), st.integers(0, 3), st.sampled_from([0, 0, 1, 2, 5]), st.sampled_from([None, 1, 3, 9])
        ),
        st.tuples(st.just("take"), st.integers(0, 30)),
        st.tuples(st.just("return"), st.integers(0, 30), st.integers(0, 3)),
        st.tuples(st.just("later"), st.integers(1, 3)),
    ),
    max_size=60,
)


@given(steps)
def test_order_positions_and_expiries_are_those_of_a_sorted_list(steps):
    waiting, jobs, taken, now, fronts = WaitingJobs(), [], [], 0.0, []
    for seq, (what, *details) in enumerate(steps, 1):
        match what:
            case "add":
                key, delay, expires = details
                expires_at = None if expires is None else now + expires
                new = job(seq, key=float(key), ready_at=now + delay, expires_at=expires_at)
                jobs.append(new)
                assert waiting.add(new, now) == in_order(jobs, now).index(new) + 1
            case "take" if jobs:
                (number,) = details
                found = jobs.pop(number % len(jobs))
                waiting.remove(found)
                taken.append(found)
            case "return" if taken:
                number, delay = details
                back = taken.pop(number % len(taken))
                back.ready_at = now + delay
                jobs.append(back)
                waiting.add(back, now)
            case "later":
                now += details[0]
        expected = in_order(jobs, now)
        assert list(waiting.ready(now)) == [one for one in expected if one.ready_at <= now]
        assert list(waiting) == expected
        assert [waiting.position(one, now) for one in expected] == list(range(1, len(expected) + 1))
        assert waiting.next_expiry() == min(
            (one.expires_at for one in expected if one.expires_at is not None), default=None
        )
        shown = waiting.front(SHOWN)
        assert list(shown) == [one for one in expected if one.ready_at <= now][:SHOWN]
        fronts.append((shown, list(shown)))
    assert all(list(shown) == then for shown, then in fronts), "what was shown stays what it was"


def test_receipts_of_jobs_that_come_in_behind_share_what_they_show():
    waiting = WaitingJobs()
    for seq in range(SHOWN):
        waiting.add(job(seq), 0.0)
    shown = waiting.front(SHOWN)
    for seq in range(SHOWN, 50):
        waiting.add(job(seq), 0.0)
        assert waiting.front(SHOWN) is shown
    waiting.remove(shown[0])
    assert [one.seq for one in waiting.front(SHOWN)] == [1, 2, 3, 4, 5]


def test_jobs_that_have_started_are_not_kept_until_they_would_have_expired():
    """One that waits for long must not keep all that come and go meanwhile."""
    waiting = WaitingJobs()
    waiting.add(job(0, ready_at=500.0, expires_at=1000.0), 0.0)
    for seq in range(1, 10_000):
        passing = job(seq, expires_at=86400.0)
        waiting.add(passing, 0.0)
        waiting.remove(passing)
        assert len(waiting._expiries) < 200
    assert (waiting.next_expiry(), waiting.expired(math.inf)) == (1000.0, list(waiting))
