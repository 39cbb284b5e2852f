"""Intervals and windows: MinInterval, SlidingWindow, CompletionWindow, FixedWindow."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pacing_runs import EPOCHS, Work, most_in_half_open_window, play, starts, works

from pacer import Outcome, OutcomeKind
from pacer.pacing import CompletionWindow, FixedWindow, MinInterval, SlidingWindow
from pacer.testing import SampleJob

JOB = SampleJob()
SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
AT_ONCE = [Work() for _ in range(7)]
pers = st.sampled_from([1 / 3, 1.0, 10.0, 60.0, 66.667])
fractions = st.sampled_from([0.0, 0.1, 0.25, 1 / 3, 0.5, 1.0, 1.5, 2.0])


def costing(requests):
    return SampleJob(cost={"requests": requests})


# -- MinInterval -----------------------------------------------------------------------------------------------------


def test_the_interval_counts_from_start_to_start():
    policy = MinInterval(10)
    state = policy.started(policy.initial_state(), 100.0, JOB, 0)
    when = policy.earliest(state, 104.0, JOB, 3)
    assert (when.at, when.on_event, when.reason) == (110.0, False, "10 s from start to start")
    assert policy.ended(state, 109.0, JOB, SUCCESS, 0) == state
    assert policy.earliest(state, 110.0, JOB, 0).at <= 110.0


@pytest.mark.parametrize(("duration", "cycle"), [(3.0, 10.0), (25.0, 25.0)])
def test_with_one_job_at_a_time_a_cycle_is_the_longer_of_job_and_interval(duration, cycle):
    jobs = [Work(duration=duration) for _ in range(4)]
    assert starts(MinInterval(10), jobs, concurrency=1) == [0, cycle, 2 * cycle, 3 * cycle]


def test_a_clock_that_went_back_shortens_no_interval():
    policy = MinInterval(10)
    state = policy.started(100.0, 50.0, JOB, 0)
    assert policy.earliest(state, 60.0, JOB, 0).at == 110.0


@given(interval=st.sampled_from([0.0, 1 / 3, 0.066667, 10.0]), jobs=works(), epoch=EPOCHS, late=st.floats(0, 2))
def test_no_start_is_nearer_to_the_last_one_than_the_interval(interval, jobs, epoch, late):
    found = starts(MinInterval(interval), [*jobs, Work(late=late), Work()], epoch=epoch)
    assert all(one + interval <= other for one, other in pairwise(found))


# -- SlidingWindow ---------------------------------------------------------------------------------------------------


def test_all_of_the_limit_starts_at_once_and_nothing_until_the_window_is_over():
    assert starts(SlidingWindow(3, per=10), AT_ONCE) == [0, 0, 0, 10, 10, 10, 20]


def test_each_start_leaves_the_window_on_its_own():
    jobs = [Work(), Work(gap=4), Work(), Work(), Work()]
    assert starts(SlidingWindow(2, per=10), jobs) == [0, 4, 10, 14, 20]


def test_a_job_that_costs_more_waits_for_more_starts_to_leave():
    jobs = [Work(), Work(gap=1), Work(gap=1), Work(cost={"requests": 2}), Work(), Work()]
    assert starts(SlidingWindow(3, per=10), jobs) == [0, 1, 2, 11, 12, 21]


def test_the_reason_names_the_limit():
    policy = SlidingWindow(1, per=60)
    when = policy.earliest(policy.started([], 5.0, JOB, 0), 7.0, JOB, 1)
    assert (when.at, when.on_event, when.reason) == (65.0, False, "limit of 1 in any 60 s")


@pytest.mark.parametrize("policy", [SlidingWindow(5, per=60), CompletionWindow(5, per=60), FixedWindow(5, per=60)])
def test_a_cost_above_the_limit_is_told_at_once_that_it_can_never_start(policy):
    when = policy.earliest(policy.initial_state(), 0.0, costing(5.5), 0)
    assert when.never
    assert when.reason == "its cost of 5.5 requests is above the limit of 5"
    assert policy.earliest(policy.initial_state(), 0.0, costing(5.0), 0).at <= 0


@pytest.mark.parametrize("policy", [SlidingWindow(3, per=60), FixedWindow(3, per=60), CompletionWindow(3, per=60)])
def test_costs_that_are_just_the_limit_but_for_rounding_fit(policy):
    """0.8 + 1.6 + 0.6 is a little more than 3 in floating point."""
    assert 0.8 + 1.6 + 0.6 > 3
    jobs = [Work(cost={"requests": cost}, duration=5) for cost in (0.8, 1.6, 0.6)]
    assert starts(policy, jobs) == [0, 0, 0]


@pytest.mark.parametrize("policy", [SlidingWindow(1, per=60), FixedWindow(1, per=60), CompletionWindow(1, per=60)])
def test_a_job_that_costs_nothing_never_waits_and_takes_no_room(policy):
    jobs = [Work(cost={"requests": 0.0}) for _ in range(3)]
    assert starts(policy, [*jobs, Work(), *jobs, Work()], epoch=60.0) == [60] * 7 + [120]


def oracle(jobs, limit, per, epoch):
    """The first moment for each job at which the log has room for it, by looking at all of the log."""
    log, now = [], epoch
    arrived = epoch
    for job in jobs:
        arrived += job.gap
        now = max(now, arrived)
        cost = job.cost["requests"]
        now = min(
            at
            for at in (now, *(start + per for start, _ in log))
            if at >= now and math.fsum(used for start, used in log if start + per > at) + cost <= limit + 1e-6
        )
        log.append((now, cost))
    return [at for at, _ in log]


@given(
    limit=st.integers(2, 6),
    per=pers,
    epoch=EPOCHS,
    jobs=works(requests=st.sampled_from([0.0, 1.0, 1.5, 2.0])),
)
def test_a_sliding_window_is_the_log_itself(limit, per, epoch, jobs):
    """Neither a start too many nor a moment too late."""
    assert starts(SlidingWindow(limit, per=per), jobs, epoch=epoch) == oracle(jobs, limit, per, epoch)


@given(limit=st.integers(2, 6), per=pers, epoch=EPOCHS, jobs=works(requests=fractions))
def test_no_half_open_window_holds_more_than_the_limit(limit, per, epoch, jobs):
    events = [(ran.start, ran.work.cost["requests"]) for ran in play(SlidingWindow(limit, per=per), jobs, epoch=epoch)]
    assert most_in_half_open_window(events, per) <= limit + 1e-5


@pytest.mark.parametrize("limit", [1, 3, 100])
@pytest.mark.parametrize("cost", [0.003, 0.4, 0.6, 1.0])
def test_the_log_stays_small_whatever_jobs_cost(limit, cost):
    policy, now = SlidingWindow(limit, per=10), 0.0
    state, longest = policy.initial_state(), 0
    for _ in range(2000):
        now = max(now, policy.earliest(state, now, costing(cost), 0).at)
        state = policy.started(state, now, costing(cost), 0)
        longest = max(longest, len(state))
    assert longest <= (limit + 1 if cost == 1 else 2 * limit + 1)


def test_fractions_add_up_for_ever():
    """0.1 ten times is 1, also after sums of a thousand."""
    policy, now = SlidingWindow(1, per=10), 0.0
    state, found = policy.initial_state(), Counter()
    for _ in range(10_000):
        now = max(now, policy.earliest(state, now, costing(0.1), 0).at)
        state = policy.started(state, now, costing(0.1), 0)
        found[now] += 1
    assert found == Counter({10.0 * window: 10 for window in range(1000)})


def test_a_clock_that_went_back_loses_no_start():
    policy = SlidingWindow(2, per=10)
    state = policy.started(policy.started([], 100.0, JOB, 0), 50.0, JOB, 0)
    assert policy.earliest(state, 55.0, JOB, 0).at == 110.0
    assert policy.earliest(state, 55.0, costing(2), 0).at == 110.0


# -- CompletionWindow ------------------------------------------------------------------------------------------------


def test_what_runs_counts_in_full_and_what_completed_for_the_length_of_the_window():
    policy = CompletionWindow(2, per=10)
    state = policy.started(policy.initial_state(), 0.0, JOB, 0)
    state = policy.started(state, 0.0, JOB, 1)
    reason = "limit of 2 in any 10 s, completed and running"
    when = policy.earliest(state, 1.0, JOB, 2)
    assert (when.at, when.on_event, when.reason) == (math.inf, True, reason)
    state = policy.ended(state, 3.0, JOB, SUCCESS, 1)
    when = policy.earliest(state, 3.0, JOB, 1)
    assert (when.at, when.on_event, when.reason) == (13.0, False, reason)
    state = policy.ended(state, 5.0, JOB, SUCCESS, 0)
    assert policy.earliest(state, 5.0, JOB, 0).at == 13.0
    assert policy.earliest(state, 5.0, costing(2), 0).at == 15.0
    assert policy.earliest(state, 13.0, JOB, 0).at <= 13.0


def test_a_run_that_was_broken_off_counts_because_its_request_may_have_arrived():
    policy = CompletionWindow(1, per=10)
    state = policy.started(policy.initial_state(), 0.0, JOB, 0)
    state = policy.ended(state, 4.0, JOB, Outcome(OutcomeKind.IGNORED), 0)
    assert policy.earliest(state, 4.0, JOB, 0).at == 14.0


def test_the_price_of_being_safe_is_the_duration_of_the_jobs():
    jobs = [Work(duration=5) for _ in range(4)]
    assert starts(CompletionWindow(1, per=10), jobs) == [0, 15, 30, 45]
    assert starts(SlidingWindow(1, per=10), jobs) == [0, 10, 20, 30]


@given(
    limit=st.integers(2, 6),
    per=pers,
    epoch=EPOCHS,
    jobs=works(requests=fractions),
    counted=st.lists(st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0, 1)), min_size=40, max_size=40),
    concurrency=st.integers(1, 8),
)
def test_the_upstream_may_count_a_job_at_any_moment_of_its_run(limit, per, epoch, jobs, counted, concurrency):
    """At its start, at its end, or in between, another moment for each: no half-open window holds too much."""
    events = [(epoch, 0.0)]
    ran = play(CompletionWindow(limit, per=per), jobs, epoch=epoch, concurrency=concurrency)
    for one, share in zip(ran, counted, strict=False):
        at = min(one.end, one.start + share * (one.end - one.start))
        events.append((one.end if share == 1 else at, one.work.cost["requests"]))
    assert most_in_half_open_window(events, per) <= limit + 1e-5


def test_when_nothing_runs_nothing_is_taken_to_run():
    """However the rounding of many costs has gone, and should an end ever have been lost."""
    policy = CompletionWindow(1, per=10)
    state = {"completed": [], "running": 0.7}
    assert policy.earliest(state, 5.0, JOB, 0).at <= 5.0
    state = policy.started(state, 5.0, JOB, 0)
    assert state["running"] == 1.0
    assert policy.ended({"completed": [], "running": 1.1}, 5.0, JOB, SUCCESS, 0)["running"] == 0.0


# -- FixedWindow -----------------------------------------------------------------------------------------------------


def test_each_window_is_used_from_its_beginning():
    assert starts(FixedWindow(2, per=60), AT_ONCE, epoch=59.0) == [59, 59, 60, 60, 120, 120, 180]


def test_the_reason_names_the_window():
    policy = FixedWindow(1, per=60)
    when = policy.earliest(policy.started(None, 61.5, JOB, 0), 62.0, JOB, 1)
    assert (when.at, when.on_event, when.reason) == (120.0, False, "limit of 1 in this window of 60 s")


def test_windows_begin_where_the_upstreams_do():
    """A quota of a day that begins at midnight one hour ahead of UTC."""
    policy = FixedWindow(1, per=86400, offset=-3600)
    noon = datetime(2026, 1, 15, 12, tzinfo=UTC).timestamp()
    state = policy.started(None, noon, JOB, 0)
    assert policy.earliest(state, noon, JOB, 0).at == datetime(2026, 1, 15, 23, tzinfo=UTC).timestamp()


def test_on_another_clock_the_windows_are_the_same():
    """A clock that showed 0 at 17 s past the minute."""
    policy = FixedWindow(2, per=60).on_clock(1_699_999_997.0)
    assert 1_699_999_997 % 60 == 17
    assert starts(policy, AT_ONCE, epoch=0.0) == [0, 0, 43, 43, 103, 103, 163]


@given(
    limit=st.integers(2, 4),
    per=st.sampled_from([0.1, 1 / 3, 0.7, 10.0, 66.667]),
    offset=st.sampled_from([0.0, 0.05, -3.3, 7.0]),
    clock=st.sampled_from([0.0, 1e3 / 7, 1.7e9]),
    epoch=EPOCHS,
    jobs=works(requests=st.sampled_from([0.0, 0.1, 1.0, 1.5, 2.0])),
)
@example(limit=2, per=0.1, offset=0.0, clock=0.0, epoch=0.0, jobs=AT_ONCE * 9)
def test_no_window_holds_more_than_its_limit(limit, per, offset, clock, epoch, jobs):
    """Whatever rounding does at the edges: they are where the policy says that they are."""
    policy = FixedWindow(limit, per=per, offset=offset).on_clock(clock)
    used = Counter()
    for ran in play(policy, jobs, epoch=epoch):
        number = math.floor((ran.start + clock - offset) / per) - 2
        while (number + 1) * per + offset - clock <= ran.start:
            number += 1
        used[number] += ran.work.cost["requests"]
    assert max(used.values()) <= limit + 1e-5


@given(per=st.sampled_from([0.1, 1 / 3, 0.7, 10.0]), epoch=EPOCHS, limit=st.integers(1, 3))
def test_jobs_that_wait_use_all_of_every_window(per, epoch, limit):
    found = starts(FixedWindow(limit, per=per), [Work() for _ in range(30 * limit)], epoch=epoch)
    counts = list(Counter(found).values())
    assert set(counts) == {limit}
    assert found[-1] - found[0] <= 29 * per + 1e-6


def test_a_clock_that_went_back_gives_no_second_limit():
    policy = FixedWindow(1, per=60)
    state = policy.started(None, 125.0, JOB, 0)
    assert policy.earliest(state, 110.0, JOB, 0).at == 180.0
