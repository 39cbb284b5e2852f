"""Lists and counts of jobs read what they show, and nothing else."""

from __future__ import annotations

import itertools
import math

import pytest
from backends import backend, came, client, commit, ended, ids, job
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pacer._errors import CorruptStoreError
from pacer._job import JobState
from pacer._minutes import KEPT
from pacer._overview import Mark
from pacer.stores._redis._keys import UNSUCCESSFUL
from pacer.stores._rows import SEQ, decode
from pacer.stores._server._backend import Place

_numbers = itertools.count()
ENDS = (JobState.SUCCEEDED, *map(JobState, UNSUCCESSFUL))
TIMES = st.sampled_from([-1.5, 0.1 + 0.2, 0.3, 1.0, 1795524724.434996, 2.0**53])
RANKS = st.sampled_from([-math.inf, -1.5, 0.1 + 0.2, 0.3, 1e300, math.inf])
QUIET = list(HealthCheck)


@given(
    st.lists(st.tuples(st.sampled_from(ENDS[:3]), TIMES), max_size=25),
    st.sampled_from(ENDS[:3]),
    st.one_of(st.none(), st.builds(Mark, st.just(0), TIMES, st.integers(0, 30))),
    st.integers(1, 9),
)
@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
def test_ended_jobs_of_a_state_come_the_last_first_before_the_mark(redis, redis_prefix, ends, state, after, count):
    worker = backend(redis.url, f"{redis_prefix}-{next(_numbers)}")
    jobs = [job(seq) for seq in range(1, len(ends) + 1)]
    assert commit(worker, *map(came, jobs))
    assert commit(worker, *(ended(one, at=at, state=how) for one, (how, at) in zip(jobs, ends, strict=True)))
    order = sorted(((at, seq) for seq, (how, at) in enumerate(ends, 1) if how is state), reverse=True)
    expected = [f"j{seq}" for at, seq in order if after is None or (at, seq) < (after.at, after.seq)]
    assert ids(worker.ended(state.value, after, count)) == expected[:count]
    worker.close()


@given(
    st.lists(RANKS, max_size=12),
    st.lists(TIMES, max_size=12),
    st.one_of(
        st.none(),
        st.builds(Mark, st.just(0), RANKS, st.integers(0, 30)),
        st.builds(Mark, st.just(1), TIMES, st.integers(0, 30)),
    ),
    st.integers(1, 30),
)
@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
def test_ready_jobs_come_in_order_behind_the_mark_and_then_delayed_ones(
    redis, redis_prefix, ranks, times, after, count
):
    worker = backend(redis.url, f"{redis_prefix}-{next(_numbers)}")
    ready = [job(seq, sort_key=rank) for seq, rank in enumerate(ranks, 1)]
    delayed = [job(seq, ready_at=at, sort_key=-1.0) for seq, at in enumerate(times, len(ranks) + 1)]
    assert commit(worker, *map(came, ready), *(came(one, Place.DELAYED) for one in delayed))
    order = sorted([(0, one.sort_key, one.seq) for one in ready] + [(1, one.ready_at, one.seq) for one in delayed])
    start = (-1, 0.0, 0) if after is None else (after.shelf, after.at, after.seq)
    expected = [f"j{entry[2]}" for entry in order if entry > start]
    assert ids(worker.waiting(after, count)) == expected[:count]
    worker.close()


def test_more_jobs_than_a_server_gives_at_once_are_listed_in_order(worker):
    jobs = [job(seq, sort_key=float(seq // 7), ready_at=float(seq // 5)) for seq in range(1, 2601)]
    assert commit(worker, *(came(one, Place.DELAYED if one.seq > 1500 else Place.READY) for one in jobs))
    assert [row[SEQ] for row in worker.waiting(None, 10_000)] == list(range(1, 2601))
    assert [row[SEQ] for row in worker.waiting(Mark(0, 2.0, 20), 2000)] == list(range(21, 2021))
    assert commit(worker, *(ended(one, at=one.seq // 9, state=JobState.DEAD) for one in jobs[:1500]))
    assert [row[SEQ] for row in worker.ended("dead", None, 10_000)] == list(range(1500, 0, -1))


def test_lists_leave_arguments_and_results_out_and_show_the_rest(worker):
    jobs = [job(seq, key="lane", batch_id="b", headers={"traceparent": "00-1"}) for seq in range(1, 4)]
    assert commit(worker, *map(came, jobs))
    assert commit(worker, ended(jobs[0], result="1"), ended(jobs[1], state=JobState.STALE))
    for rows in (worker.waiting(None, 9), worker.ended("succeeded", None, 9), worker.ended("stale", None, 9)):
        (record,) = map(decode, rows)
        assert (record.payload, record.result) == (None, None)
        assert (record.key, record.batch_id, record.headers) == ("lane", "b", {"traceparent": "00-1"})


@pytest.mark.parametrize("state", ENDS, ids=str)
def test_the_list_of_a_state_does_not_read_jobs_of_another(redis, redis_prefix, worker, state):
    """Rows that are missing are noticed where they are read."""
    jobs = [job(seq) for seq in range(1, len(ENDS) + 1)]
    assert commit(worker, *map(came, jobs))
    assert commit(worker, *(ended(one, state=how) for one, how in zip(jobs, ENDS, strict=True)))
    with client(redis.url) as server:
        rows = f"{redis_prefix}:{{default}}:jobs"
        mine = f"{ENDS.index(state) + 1:012x}"
        server.hdel(rows, *(number for number in server.hkeys(rows) if number.decode() != mine))
    assert ids(worker.ended(state.value, None, 5)) == [f"j{ENDS.index(state) + 1}"]
    other = ENDS[ENDS.index(state) - 1]
    with pytest.raises(CorruptStoreError):
        worker.ended(other.value, None, 5)
    assert worker.tally(9) == dict.fromkeys((one.value for one in ENDS), 1)


def test_jobs_are_counted_up_to_a_bound(worker):
    assert worker.tally(1000) == {}
    jobs = [job(seq) for seq in range(1, 31)]
    assert commit(worker, *map(came, jobs))
    assert commit(worker, *(ended(one, state=ENDS[one.seq % 3]) for one in jobs if one.seq % 3 or one.seq < 10))
    assert worker.tally(1000) == {"succeeded": 3, "failed": 10, "cancelled": 10}
    assert worker.tally(7) == {"succeeded": 3, "failed": 7, "cancelled": 7}


def test_a_minute_is_kept_for_a_day_and_once(worker):
    assert worker.minutes(0) == []
    first = 30_000_000
    tallies = [(first + number, 1, 0.1 + 0.2, 0.3, 1, 0, 0, number) for number in range(3)]
    assert commit(worker, minutes=tallies[:2])
    assert commit(worker, minutes=[(first + 1, 2, 0.5, 0.5, 0, 0, 0, 0), tallies[2]])
    assert [tuple(one) for one in worker.minutes(first)] == [
        tallies[0],
        (first + 1, 2, 0.5, 0.5, 0, 0, 0, 0),
        tallies[2],
    ]
    assert [one[0] for one in worker.minutes(first + 2)] == [first + 2]
    late = first + KEPT + 1
    assert commit(worker, minutes=[(late, 1, 0.0, 0.0, 0, 0, 0, 0)])
    assert [one[0] for one in worker.minutes(0)] == [first + 2, late], "what is older went, though nothing came for it"


def test_minutes_go_with_jobs_that_change_in_the_same_commit(worker):
    one, other = job(1), job(2, task="other")
    assert commit(worker, came(one), came(other), minutes=[(7, 1, 0.0, 0.0, 0, 0, 0, 0)])
    assert commit(worker, ended(one, state=JobState.FAILED), ended(other), minutes=[(8, 0, 0.0, 0.0, 1, 1, 0, 0)])
    assert [one[0] for one in worker.minutes(0)] == [7, 8]
    assert worker.kinds() == []
    assert worker.tally(9) == {"succeeded": 1, "failed": 1}
