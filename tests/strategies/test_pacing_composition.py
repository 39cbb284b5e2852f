"""Policies made of others: AllOf and `&`, PerKey."""

from __future__ import annotations

import math

import anyio
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing_runs import EPOCHS, Work, most_in_half_open_window, play, starts, stored, works

from pacer import ImpossibleJobError, Outcome, OutcomeKind, Scheduler
from pacer.pacing import (
    AllOf,
    Budget,
    CompletionWindow,
    FixedPause,
    FixedWindow,
    ManualPace,
    MinInterval,
    OpeningHours,
    PerKey,
    ServerGuided,
    SlidingWindow,
    TokenBucket,
    Unpaced,
)
from pacer.protocols import NOW, When
from pacer.testing import SampleJob

JOB = SampleJob()
SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
NEVER = When(math.inf, reason="never")
AFTER_AN_EVENT = When(math.inf, on_event=True, reason="after an event")


@attrs.frozen
class Says:
    """A user's own policy, without any base class: always the same answer, until its time has come."""

    answer: When = NOW

    def initial_state(self):
        return 0

    def earliest(self, state, now, job, running):
        return NOW if self.answer.at <= now else self.answer

    def started(self, state, now, job, running):
        return state + 1

    def ended(self, state, now, job, outcome, running):
        return state + 10


@attrs.frozen
class Every:
    """Open for the first `length` seconds of each `period`: whole seconds, so that answers can be counted out."""

    period: int
    length: int

    def initial_state(self):
        return None

    def earliest(self, state, now, job, running):
        since = now % self.period
        return NOW if since < self.length else When(now - since + self.period, reason=f"every {self.period}")

    def started(self, state, now, job, running):
        return None

    def ended(self, state, now, job, outcome, running):
        return None


def ask(*answers):
    policy = AllOf(*map(Says, answers))
    return policy.earliest(policy.initial_state(), 0.0, JOB, 0)


# -- AllOf -----------------------------------------------------------------------------------------------------------


def test_any_policy_can_stand_on_either_side_as_long_as_one_of_ours_stands_on_the_other():
    ours, theirs = FixedPause(1), Says()
    assert (ours & theirs) == AllOf(ours, theirs)
    assert (theirs & ours) == AllOf(theirs, ours)
    assert (ours & TokenBucket(1) & theirs & Unpaced()) == AllOf(ours, TokenBucket(1), theirs, Unpaced())
    assert AllOf(AllOf(ours, AllOf(theirs)), theirs & ours) == AllOf(ours, theirs, theirs, ours)
    assert repr(ours & TokenBucket(1)) == f"AllOf({ours!r}, {TokenBucket(1)!r})"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (AllOf, ValueError, "AllOf: policies must be at least one"),
        (lambda: FixedPause(1) & 3, TypeError, "AllOf: policies must be a PacingPolicy .*, got 3"),
        (lambda: None & FixedPause(1), TypeError, "AllOf: policies must be a PacingPolicy .*, got None"),
        (lambda: FixedPause(1) & Unpaced, TypeError, "a class; call it"),
    ],
)
def test_what_is_no_policy_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_the_slowest_wins_and_says_why():
    assert ask(When(5.0, reason="five"), When(9.0, on_event=True, reason="nine"), NOW) == When(9.0, True, "nine")
    assert ask(When(9.0, reason="nine"), When(5.0, reason="five", lane=True)) == When(9.0, reason="nine")
    assert ask(NOW, NOW) is NOW


@pytest.mark.parametrize("order", [1, -1])
def test_never_is_above_an_event_and_an_event_above_all_times(order):
    answers = [NEVER, AFTER_AN_EVENT, When(5.0, reason="five")][::order]
    assert ask(*answers) == NEVER
    assert ask(*[answer for answer in answers if answer is not NEVER]) == AFTER_AN_EVENT


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("at", [5.0, math.inf])
def test_in_a_tie_the_answer_is_not_a_lane_s(at, order):
    answers = [When(at, True, "a lane", lane=True), When(at, True, "all")]
    assert ask(*answers[::order]) == When(at, True, "all")
    assert ask(answers[0], When(4.0, reason="all")) == answers[0]


def test_never_stops_no_lane_and_a_stop_by_hand_is_still_one():
    assert ask(When(5.0, reason="lane", lane=True), NEVER) == NEVER
    assert ask(When(math.inf, reason="never", lane=True)) == NEVER
    by_hand = When(math.inf, True, "by hand", by_hand=True)
    assert ask(When(5.0, reason="five"), by_hand) == by_hand


def test_on_the_way_to_a_time_that_suits_all_a_lane_s_own_step_is_remembered():
    """At 5 it is closed until 10; but other lanes may start now, so the whole answer is this lane's."""
    policy = Every(10, 4) & AllOf(Says(When(5.0, reason="lane", lane=True)))
    assert policy.earliest(policy.initial_state(), 0.0, JOB, 0) == When(10.0, reason="every 10", lane=True)


def test_on_the_way_to_a_time_that_suits_all_an_event_may_make_it_sooner():
    policy = Every(10, 4) & AllOf(Says(When(5.0, on_event=True, reason="until a job ends")))
    assert policy.earliest(policy.initial_state(), 0.0, JOB, 0) == When(10.0, on_event=True, reason="every 10")


@given(
    periods=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=3), now=st.integers(0, 99)
)
def test_the_answer_is_the_first_time_at_which_all_agree(periods, now):
    """Counted out second by second."""
    gates = [Every(period, min(length, period)) for period, length in periods]
    policy = AllOf(*gates)
    when = policy.earliest(policy.initial_state(), now, JOB, 0)
    both = [at for at in range(now, now + 12**3) if all(gate.earliest(None, at, JOB, 0).at <= at for gate in gates)]
    if both:
        assert max(when.at, now) == both[0]
    else:
        assert when.never


def test_a_pace_within_opening_hours():
    policy = OpeningHours("08:00", "08:01") & MinInterval(25)
    eight, day = 8 * 3600.0, 86400.0
    assert starts(policy, [Work() for _ in range(5)]) == [eight, eight + 25, eight + 50, day + eight, day + eight + 25]


@pytest.mark.anyio
async def test_policies_that_never_agree_are_found_out_at_once():
    night, day = OpeningHours("22:00", "06:00"), OpeningHours("08:00", "20:00")
    async with Scheduler(pacing=night & day) as scheduler:
        with pytest.raises(ImpossibleJobError, match="no time was found at which all of its pace allows it"):
            await scheduler.enqueue(anyio.sleep, 0)


def test_each_keeps_a_state_of_its_own():
    policy = Says() & FixedPause(10) & Says()
    state = policy.initial_state()
    assert state == [0, None, 0]
    running = policy.started(state, 5.0, JOB, 0)
    assert running == [1, None, 1]
    assert policy.ended(running, 7.0, JOB, SUCCESS, 0) == [11, 7.0, 11]
    assert state == [0, None, 0]


def test_what_is_said_of_the_policies_is_true_of_all_of_them():
    class Slows(Says):
        slows_on_throttle = True

    assert not (FixedPause(1) & Says()).slows_on_throttle
    assert (FixedPause(1) & Slows()).slows_on_throttle
    assert PerKey(Slows()).slows_on_throttle
    assert not PerKey(FixedPause(1)).slows_on_throttle


def test_those_that_speak_of_the_calendar_are_told_of_the_clock():
    hours = OpeningHours("08:00", "09:00")
    assert (Says() & hours & FixedPause(1)).on_clock(7.5) == AllOf(Says(), hours.on_clock(7.5), FixedPause(1))
    assert PerKey(hours & Says()).on_clock(7.5) == PerKey(hours.on_clock(7.5) & Says())
    assert PerKey(Says()).on_clock(7.5) == PerKey(Says())


@given(epoch=EPOCHS, jobs=works(requests=st.sampled_from([0.5, 1.0, 2.0])), concurrency=st.integers(1, 5))
def test_each_guarantees_what_it_guarantees_alone(epoch, jobs, concurrency):
    policy = SlidingWindow(5, per=20) & FixedPause(1) & CompletionWindow(3, per=7)
    ran = play(policy, jobs, epoch=epoch, concurrency=concurrency)
    assert most_in_half_open_window([(one.start, one.work.cost["requests"]) for one in ran], 20) <= 5
    ends = [(one.end, one.work.cost["requests"]) for one in ran]
    assert most_in_half_open_window(ends, 7) <= 3
    for one in ran:
        assert all(one.start >= other.end + 1 for other in ran if other.end_number < one.start_number)


# -- PerKey ----------------------------------------------------------------------------------------------------------


def keyed(key, **facts):
    return SampleJob(key=key, **facts)


def test_each_key_has_the_pace_to_itself():
    jobs = [Work(key=key) for key in ("a", "a", None, "b", None)]
    policy = PerKey(MinInterval(10))
    state = policy.initial_state()
    found = []
    for job in jobs:
        when = policy.earliest(state, 100.0, keyed(job.key), 3)
        found.append(when)
        if when.at <= 100:
            state = policy.started(state, 100.0, keyed(job.key), 3)
    waits = "10 s from start to start, for "
    assert found[1] == When(110.0, reason=waits + "key 'a'", lane=True)
    assert found[4] == When(110.0, reason=waits + "jobs without a key", lane=True)
    assert [found[index].at <= 100 for index in (0, 2, 3)] == [True, True, True]


def test_no_two_keys_are_one_lane():
    policy, state = PerKey(MinInterval(10)), {}
    for key in (None, "", ":", ":a", "a", "None", "null", "0"):
        assert policy.earliest(state, 0.0, keyed(key), 0).at <= 0, key
        state = stored(policy.started(state, 0.0, keyed(key), 0))
        assert policy.earliest(state, 0.0, keyed(key), 0).at == 10.0


def test_a_job_that_can_never_start_stops_no_lane():
    when = PerKey(TokenBucket(1)).earliest({}, 0.0, keyed("a", cost={"requests": 2.0}), 0)
    assert when.never
    assert not when.lane


def test_the_policy_is_told_how_many_jobs_of_the_key_run():
    told = []

    class Listens(Says):
        def earliest(self, state, now, job, running):
            told.append(("earliest", running))
            return NOW

        def started(self, state, now, job, running):
            told.append(("started", running))
            return state

        def ended(self, state, now, job, outcome, running):
            told.append(("ended", running))
            return state

    policy = PerKey(Listens())
    state = policy.started(policy.started({}, 0.0, keyed("a"), 0), 0.0, keyed("b"), 1)
    state = policy.started(state, 0.0, keyed("a"), 2)
    policy.earliest(state, 0.0, keyed("a"), 3)
    state = policy.ended(state, 0.0, keyed("a"), SUCCESS, 2)
    policy.earliest(state, 0.0, keyed("b"), 2)
    policy.ended(policy.initial_state(), 0.0, keyed("c"), SUCCESS, 0)
    calls = [("started", 0), ("started", 0), ("started", 1), ("earliest", 2), ("ended", 1), ("earliest", 1)]
    assert told == [*calls, ("ended", 0)]


def test_an_idle_lane_is_forgotten_and_one_that_is_needed_is_not():
    policy = PerKey(FixedPause(500), forget_after=100)
    state = {}
    for key in ("runs", "paused", "idle"):
        state = policy.started(state, 0.0, keyed(key), 0)
    state = policy.ended(state, 1.0, keyed("idle"), SUCCESS, 2)
    state = policy.ended(state, 300.0, keyed("paused"), SUCCESS, 1)
    state = policy.ended(state, 301.0, keyed("recent"), SUCCESS, 1)
    for now in (501.0, 502.0):
        state = policy.started(state, now, keyed("now"), 1)
    assert set(state) == {":runs", ":paused", ":recent", ":now"}
    assert policy.earliest(state, 502.0, keyed("paused"), 2).at == 800.0


@pytest.mark.parametrize(("end", "asked"), [(150.0, 200.0), (-50.0, 60.0)])
def test_idle_time_counts_from_the_last_start_or_end(end, asked):
    """Also where the clock was turned back between them."""
    policy = PerKey(MinInterval(1), forget_after=100)
    state = policy.started({}, 0.0, keyed("a"), 0)
    state = policy.ended(state, end, keyed("a"), SUCCESS, 0)
    for _ in range(3):
        state = policy.started(state, asked, keyed("b"), 0)
    assert set(state) == {":a", ":b"}
    assert set(policy.started(state, asked + 60, keyed("b"), 3)) == {":b"}


def test_a_lane_in_debt_is_not_forgotten_however_long_it_takes():
    policy = PerKey(Budget(600, per=60), forget_after=10)
    job = keyed("a", cost={"tokens": 1.0})
    state = policy.started({}, 0.0, job, 0)
    state = policy.ended(state, 0.0, job, Outcome(OutcomeKind.SUCCEEDED, cost={"tokens": 10_000.0}), 0)
    for now in range(900):
        state = policy.started(state, float(now), keyed(f"{now}", cost={"tokens": 1.0}), 0)
    assert policy.earliest(state, 900.0, job, 0).at > 900


@pytest.mark.parametrize(
    ("policy", "most"),
    [
        (FixedWindow(5, per=1000), 5),
        (SlidingWindow(5, per=1000), 5),
        (CompletionWindow(5, per=1000), 5),
        (TokenBucket(5, per=1000, burst=5), 8),
        (Budget(5, per=1000, dimension="requests"), 8),
        (Unpaced() & FixedWindow(5, per=1000), 5),
        (ServerGuided(FixedWindow(5, per=1000)), 5),
        (PerKey(FixedWindow(5, per=1000)), 5),
    ],
    ids=repr,
)
def test_what_is_used_up_in_part_is_not_forgotten(policy, most):
    """As the quota of a day by a tenant who comes every few hours. When all of it is there again the lane may go."""
    lanes, state, count = PerKey(policy, forget_after=100), {}, 0

    def run(key, now):
        nonlocal state
        if lanes.earliest(state, now, keyed(key), 0).at > now:
            return False
        state = lanes.started(state, now, keyed(key), 0)
        state = lanes.ended(state, now, keyed(key), SUCCESS, 0)
        return True

    for now in range(0, 900, 150):
        count += run("a", float(now)) + run("a", float(now))
        run("b", now + 120.0)
        run("c", now + 120.0)
    assert count == most
    state = lanes.started(lanes.started(state, 1e4, keyed("d"), 0), 1e4, keyed("d"), 0)
    assert ":a" not in state


def test_a_debt_is_not_forgotten_by_the_start_of_a_job_that_costs_nothing():
    policy = PerKey(Budget(600, per=60), forget_after=10)
    job = keyed("a", cost={"tokens": 1.0})
    state = policy.started({}, 0.0, job, 0)
    state = policy.ended(state, 0.0, job, Outcome(OutcomeKind.SUCCEEDED, cost={"tokens": 10_000.0}), 0)
    state = policy.started(state, 100.0, keyed("b"), 0)
    assert policy.earliest(state, 100.0, job, 1).at > 100


def test_a_rate_set_by_hand_is_not_forgotten():
    pace = ManualPace(5)
    policy = PerKey(pace, forget_after=10)
    state = policy.ended(policy.started({}, 0.0, keyed("a"), 0), 0.0, keyed("a"), SUCCESS, 0)
    running, last, own = state[":a"]
    state = {":a": [running, last, pace.with_rate(own, 0.0, 0.1)]}
    assert ":a" in policy.started(state, 1e6, keyed("b"), 0)


def test_the_state_holds_the_keys_of_the_last_while_only():
    """A new key each second: twice as many are kept as were there in the time after which they are forgotten."""
    policy, state, most = PerKey(TokenBucket(1), forget_after=50), {}, 0
    for now in range(2000):
        job = keyed(f"tenant-{now}")
        state = policy.ended(policy.started(state, float(now), job, 0), float(now), job, SUCCESS, 0)
        most = max(most, len(state))
    assert most <= 101


def test_a_start_after_a_long_idle_time_forgets_two_lanes_and_no_more():
    """So that no start takes long; those after it go on."""
    policy, state = PerKey(MinInterval(1), forget_after=50), {}
    for number in range(30):
        job = keyed(f"tenant-{number}")
        state = policy.ended(policy.started(state, 0.0, job, 0), 0.0, job, SUCCESS, 0)
    sizes = []
    for number in range(16):
        state = policy.started(state, 100.0 + number, keyed("now"), number)
        sizes.append(len(state))
    assert sizes == [*range(29, 0, -2), 1]


@given(
    epoch=EPOCHS,
    keys=st.lists(st.sampled_from([None, "", "a", "b"]), min_size=40, max_size=40),
    jobs=works(requests=st.sampled_from([0.5, 1.0])),
    lanes=st.sampled_from(
        [
            PerKey(TokenBucket(1, per=3)),
            PerKey(TokenBucket(1, per=3), forget_after=3.02),
            PerKey(FixedPause(4), forget_after=0.5),
            PerKey(MinInterval(5), forget_after=0.5),
            PerKey(CompletionWindow(1, per=5), forget_after=5),
            PerKey(SlidingWindow(2, per=30) & MinInterval(1), forget_after=30),
        ]
    ),
)
def test_a_lane_is_paced_as_if_it_were_alone(epoch, keys, jobs, lanes):
    """Each key through the policy itself, beside PerKey: the same answers, as long as nothing is forgotten too soon."""
    policy = lanes.policy
    state, alone, counts, now, running = lanes.initial_state(), {}, {}, epoch, []
    for key, work in zip(keys, jobs, strict=False):
        now += work.gap
        job = keyed(key, cost=work.cost, created_at=now, ready_at=now)
        for other in [one for one in running if one[0] <= now]:
            running.remove(other)
            counts[other[1].key] -= 1
            outcome = Outcome(other[2].kind)
            state = stored(lanes.ended(state, now, other[1], outcome, len(running)))
            alone[other[1].key] = policy.ended(alone[other[1].key], now, other[1], outcome, counts[other[1].key])
        mine, of_key = alone.setdefault(key, policy.initial_state()), counts.setdefault(key, 0)
        expected = policy.earliest(mine, now, job, of_key)
        found = lanes.earliest(state, now, job, len(running))
        assert max(found.at, now) == max(expected.at, now)
        assert found.on_event == expected.on_event
        if expected.at > now:
            continue
        alone[key] = policy.started(mine, now, job, of_key)
        state = stored(lanes.started(state, now, job, len(running)))
        counts[key] += 1
        running.append((now + work.duration, job, work))


@pytest.mark.anyio
async def test_a_lane_that_has_to_wait_does_not_stop_the_others():
    calls = []

    async def work(key):
        calls.append((anyio.current_time(), key))

    async with Scheduler(pacing=PerKey(MinInterval(10)) & MinInterval(1), concurrency=5) as scheduler:
        for key in ("a", "a", "a", "b", None, None):
            await scheduler.options(key=key).enqueue(work, key)
        await scheduler.drain()
    assert calls == [(0, "a"), (1, "b"), (2, None), (10, "a"), (12, None), (20, "a")]
