"""ServerGuided: what is made of the upstream's reports, in arithmetic and in front of real limits."""

from __future__ import annotations

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacer import BoundedQueue, Scheduler
from pacer._job import JobRecord, Outcome, OutcomeKind
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import AdaptiveRate, FixedPause, ServerGuided, TokenBucket
from pacer.protocols import LimitReport
from pacer.simulation import (
    Backlog,
    ChangingLimit,
    Client,
    FixedWindowLimit,
    GcraLimit,
    JobMix,
    LogNormal,
    Uniform,
    Upstream,
    simulate,
)
from pacer.testing._expect import SampleJob

JOB = SampleJob()
SUCCESS = Outcome(OutcomeKind.SUCCEEDED)


def report(name="requests", limit=100.0, remaining=50.0, reset_in=10.0, window=None):
    return LimitReport(name=name, limit=limit, remaining=remaining, reset_in=reset_in, window=window)


def job_of(started_at=None, **cost):
    return SampleJob(started_at=started_at, cost=cost or {"requests": 1.0})


def told(policy, state, now, *reports, started_at=None, kind=OutcomeKind.SUCCEEDED, retry_after=None):
    """A job ends now with these reports; it started just then unless said otherwise."""
    outcome = Outcome(kind, limits=reports, retry_after=retry_after)
    return policy.ended(state, now, job_of(now if started_at is None else started_at), outcome, 0)


def after(*reports, policy=None, now=100.0):
    """The policy and its state after one job that brought these reports."""
    policy = policy or ServerGuided()
    state = policy.started(policy.initial_state(), now, JOB, 0)
    return policy, told(policy, state, now, *reports), now


def starts(policy, state, now, count, job=JOB):
    """The times at which jobs start if there are no more reports."""
    found = []
    for _ in range(count):
        now = max(now, policy.earliest(state, now, job, 0).at)
        state = policy.started(state, now, job, 0)
        found.append(now)
    return found, state


# -- before the first report ------------------------------------------------------------------------------------------


def test_until_the_first_report_one_job_runs_at_a_time():
    policy = ServerGuided()
    state = policy.initial_state()
    assert policy.earliest(state, 5.0, JOB, 0).at <= 5
    when = policy.earliest(policy.started(state, 5.0, JOB, 0), 5.0, JOB, 1)
    assert (when.at, when.on_event) == (math.inf, True)
    assert when.reason == "one job at a time until the upstream reports its limits"


def test_until_the_first_report_the_fallback_decides_and_after_it_the_reports():
    policy = ServerGuided(FixedPause(7))
    state = policy.started(policy.initial_state(), 5.0, JOB, 0)
    state = policy.ended(state, 6.0, job_of(5.0), SUCCESS, 0)
    assert policy.earliest(state, 6.0, JOB, 0).at == 13.0
    state = told(policy, state, 6.0, report())
    assert policy.earliest(state, 6.0, JOB, 0).at <= 6.0


def test_the_fallback_learns_all_the_time():
    policy = ServerGuided(AdaptiveRate(1))
    state = policy.initial_state()
    for now in range(60):
        state = policy.started(state, float(now), JOB, 0)
        state = told(policy, state, float(now), report(remaining=90))
    assert state["fallback"]["rate"] > 2


def test_a_throttle_that_no_report_explains_holds_the_queue_whatever_the_fallback():
    """Another limit is at work than those that are told, and the fallback is not asked while these are known."""
    policy = ServerGuided(AdaptiveRate(100))
    rules = Rules(BoundedQueue(5), policy, NoBackoff(), MovingAverage())
    state = told(policy, policy.started(policy.initial_state(), 5.0, JOB, 0), 5.0, report(remaining=90))
    record = JobRecord("job", "work", started_at=5.5)
    state, _, _ = rules.settle(rules.initial().with_pacing(state), 6.0, record, Outcome(OutcomeKind.THROTTLED), 0, None)
    assert rules.next_start(state, 6.0, record, 0).at == 7.0


# -- what is left is spread -------------------------------------------------------------------------------------------


def test_what_is_left_is_spread_over_the_time_to_the_reset():
    policy, state, now = after(report(remaining=5, reset_in=10))
    found, _ = starts(policy, state, now, 6)
    assert found == pytest.approx([100, 102, 104, 106, 108, 110], abs=1e-4)


def test_after_its_reset_the_limit_is_taken_to_be_whole_until_the_next_report():
    policy, state, now = after(report(limit=4, remaining=1, reset_in=10, window=8))
    found, _ = starts(policy, state, now, 6)
    assert found == pytest.approx([100, 110, 112, 114, 116, 118], abs=1e-4)


def test_without_a_window_the_longest_time_to_a_reset_stands_for_it():
    policy, state, now = after(report(limit=4, remaining=3, reset_in=8))
    state = told(policy, state, now, report(limit=4, remaining=1, reset_in=2))
    found, _ = starts(policy, state, now, 4)
    assert found == pytest.approx([100, 102, 104, 106], abs=1e-4)


def test_without_a_limit_nothing_is_known_after_the_reset():
    policy, state, now = after(report(limit=None, remaining=2, reset_in=10))
    assert policy.earliest(state, now + 9, JOB, 1).at <= now + 9
    assert policy.earliest(state, now + 11, JOB, 1).on_event
    assert policy.earliest(state, now + 11, JOB, 0).at <= now + 11


def test_nothing_left_waits_for_the_reset():
    policy, state, now = after(report(remaining=0, reset_in=30))
    when = policy.earliest(state, now, JOB, 0)
    assert when.at == pytest.approx(130, abs=1e-4)
    assert when.reason == "requests used up until the upstream's reset"
    assert policy.earliest(state, when.at, JOB, 0).at <= when.at


def test_a_reset_that_is_near_does_not_make_a_rush_of_a_large_rest():
    """10 000 left for 10 s of a window of 1000 s that allows 10 000: not 1000 a second, but 20."""
    policy, state, now = after(report(limit=10_000, remaining=10_000, reset_in=10, window=1000))
    found, _ = starts(policy, state, now, 21)
    assert found[-1] - found[0] == pytest.approx(1.0, rel=1e-3)


def test_a_policy_without_the_rest_counts_as_a_full_window():
    policy, state, now = after(LimitReport(name="requests", limit=10, window=60))
    found, _ = starts(policy, state, now, 3)
    assert found == pytest.approx([100, 106, 112], abs=1e-3)


def test_a_rest_without_a_reset_or_a_window_says_too_little():
    policy, state, now = after(LimitReport(name="requests", remaining=3))
    assert state["allowances"] == {}
    assert policy.earliest(state, now, JOB, 1).on_event


@pytest.mark.parametrize(("headroom", "count"), [(0.0, 20), (0.1, 18), (0.19, 17)])
def test_headroom_is_left_unused_in_whole_numbers(headroom, count):
    policy, state, now = after(report(limit=20, remaining=20, reset_in=60), policy=ServerGuided(headroom=headroom))
    found, _ = starts(policy, state, now, 20)
    assert sum(at < 159.99 for at in found) == count


# -- what the answer cannot have counted ------------------------------------------------------------------------------


def test_jobs_that_started_after_the_one_that_brings_the_report_are_taken_off():
    policy = ServerGuided(TokenBucket(1000))
    state = policy.initial_state()
    for now in (100.0, 101.0, 102.0, 103.0):
        state = policy.started(state, now, JOB, 0)
    state = told(policy, state, 104.0, report(remaining=10, reset_in=20), started_at=101.0)
    assert state["allowances"]["requests"]["remaining"] == 8
    assert state["allowances"]["requests"]["reset_at"] == pytest.approx(121.0, abs=1e-4)


def test_a_report_that_is_older_than_the_last_one_is_ignored():
    policy, state, now = after(report(remaining=10, reset_in=20))
    assert told(policy, state, now, report(remaining=90), started_at=50.0)["allowances"] == state["allowances"]


@pytest.mark.parametrize("rests", [(0.0, 9.0), (9.0, 0.0), (3.0, 0.0, 5.0)])
def test_of_jobs_that_started_together_the_least_rest_counts(rests):
    """Their answers come in any order, and the one that was counted last says what is left."""
    policy = ServerGuided(TokenBucket(1, burst=100))
    state = policy.initial_state()
    for _ in rests:
        state = policy.started(state, 0.0, JOB, 0)
    for number, rest in enumerate(rests):
        answer = Outcome(OutcomeKind.SUCCEEDED, limits=(report(limit=10.0, remaining=rest, reset_in=60.0),))
        state = policy.ended(state, 1.0 + number, job_of(0.0), answer, 0)
    assert policy.earliest(state, 5.0, JOB, 0).at == pytest.approx(60)


def test_a_later_report_of_one_of_them_counts_all_the_same():
    policy = ServerGuided(TokenBucket(1, burst=100))
    state = policy.started(policy.started(policy.initial_state(), 0.0, JOB, 0), 0.0, JOB, 1)
    for rest, at in ((0.0, 0.0), (9.0, 20.0)):
        news = attrs.evolve(report(limit=10.0, remaining=rest, reset_in=60.0), as_of=at)
        state = policy.ended(state, 1.0 + at, job_of(0.0), Outcome(OutcomeKind.SUCCEEDED, limits=(news,)), 0)
    assert state["allowances"]["requests"]["remaining"] == 9


def test_jobs_that_end_without_a_report_are_forgotten():
    policy = ServerGuided()
    state = policy.initial_state()
    for number in range(50):
        now = float(number)
        state = policy.started(state, now, JOB, 0)
        state = policy.ended(state, now + 0.5, job_of(now), Outcome(OutcomeKind.IGNORED), 0)
    assert state["sent"] == []
    for _ in range(50):  # in forecasts, where jobs have no start
        state = policy.ended(policy.started(state, 60.0, JOB, 0), 61.0, JOB, SUCCESS, 0)
    assert state["sent"] == []


# -- several dimensions -----------------------------------------------------------------------------------------------


def test_of_two_dimensions_the_later_time_counts():
    policy, state, now = after(report(remaining=0, reset_in=5), report("tokens", limit=1000, remaining=0, reset_in=40))
    when = policy.earliest(state, now, job_of(requests=1.0, tokens=10.0), 0)
    assert when.at == pytest.approx(140, abs=1e-4)
    assert when.reason.startswith("tokens used up")


def test_tokens_are_charged_by_the_job_s_cost():
    policy, state, now = after(report("tokens", limit=1000, remaining=1000, reset_in=10))
    found, _ = starts(policy, state, now, 5, job_of(requests=1.0, tokens=250.0))
    assert found == pytest.approx([100, 102.5, 105, 107.5, 110], abs=1e-3)


def test_a_job_that_costs_more_than_is_left_waits_for_the_reset():
    policy, state, now = after(report("tokens", limit=1000, remaining=300, reset_in=10))
    assert policy.earliest(state, now, job_of(tokens=301.0), 0).at == pytest.approx(110, abs=1e-4)
    assert policy.earliest(state, now, job_of(tokens=299.0), 0).at <= now


def test_a_job_that_costs_more_than_the_limit_starts_when_all_of_it_is_there():
    policy, state, now = after(report("tokens", limit=1000, remaining=900, reset_in=10))
    assert policy.earliest(state, now, job_of(tokens=5000.0), 0).at == pytest.approx(110, abs=1e-4)
    policy, state, now = after(report("tokens", limit=1000, remaining=1000, reset_in=10))
    assert policy.earliest(state, now, job_of(tokens=5000.0), 0).at <= now


@pytest.mark.parametrize(
    ("name", "cost", "charge"),
    [
        ("requests", {"tokens": 5.0}, 1.0),
        ("requests/daily", {"requests": 3.0}, 3.0),
        ("burst", {"requests": 3.0}, 3.0),
        ("input_tokens", {"tokens": 5.0}, 5.0),
        ("input_tokens", {"tokens": 5.0, "input_tokens": 2.0}, 2.0),
        ("tokens", {"requests": 1.0}, 0.0),
        ("requests", {"requests": 0.0}, 0.0),
    ],
)
def test_what_a_job_is_charged_in_a_dimension(name, cost, charge):
    policy, state, now = after(report(name, remaining=50))
    state = policy.started(state, now, SampleJob(cost=cost), 0)
    assert state["allowances"][name]["remaining"] == 50 - charge


def test_tokens_of_jobs_that_name_no_cost_stop_them_only_when_they_are_used_up():
    policy, state, now = after(report("tokens", remaining=1, reset_in=10))
    found, _ = starts(policy, state, now, 10)
    assert found == [100.0] * 10
    policy, state, now = after(report("tokens", remaining=0, reset_in=10))
    assert policy.earliest(state, now, JOB, 0).at == pytest.approx(110, abs=1e-4)


# -- throttles --------------------------------------------------------------------------------------------------------


def test_a_retry_after_goes_before_the_reset_of_what_is_used_up():
    policy, state, now = after(report(remaining=10))
    state = told(policy, state, now, report(remaining=0, reset_in=60), kind=OutcomeKind.THROTTLED, retry_after=2.0)
    assert policy.earliest(state, now, JOB, 0).at == pytest.approx(102)


def test_a_limit_that_changes_is_believed_at_once():
    policy, state, now = after(report(limit=10, remaining=0, reset_in=60, window=60))
    state = told(policy, state, now + 1, report(limit=100, remaining=99, reset_in=59, window=60))
    assert policy.earliest(state, now + 1, JOB, 0).at <= now + 1


# -- in front of limits -----------------------------------------------------------------------------------------------


def simulated(limits, *, policy=None, slots=8, until=480.0, mix=None, latency=None, lead=0.0, **upstream):
    scheduler = Scheduler(
        queue=BoundedQueue(20_000),
        pacing=policy or ServerGuided(),
        concurrency=slots,
        max_throttles=1_000_000,
        observers=(),
    )
    return simulate(
        Client(scheduler, lead=lead),
        Backlog(12_000, mix=mix or JobMix()),
        Upstream(limits, latency=latency or Uniform(0.08, 0.32), reports=True, refusal=0.01, **upstream),
        until=until,
    )


@pytest.mark.parametrize("slots", [1, 8])
@pytest.mark.parametrize(
    "limit",
    [
        FixedWindowLimit(10, per=1),
        FixedWindowLimit(600, per=60, offset=17),
        GcraLimit(10, per=1, burst=1),
        GcraLimit(600, per=60),
        GcraLimit(10, per=1, burst=3),
    ],
    ids=str,
)
def test_a_reported_limit_is_used_up_without_a_throttle(limit, slots):
    latency = Uniform(0.01, 0.09) if slots == 1 else None
    timeline = simulated(limit, slots=slots, latency=latency).timeline
    stretch = timeline.between(120, 420)
    assert stretch.succeeded / stretch.seconds >= 0.99 * 10
    assert sum(timeline.throttled) == 0


@pytest.mark.parametrize("factor", [0.5, 2])
@pytest.mark.parametrize(
    "make", [lambda rate: FixedWindowLimit(rate * 10, per=10), lambda rate: GcraLimit(rate, per=1, burst=1)]
)
def test_a_changed_limit_is_followed_within_seconds(make, factor):
    limit = ChangingLimit([(0, make(10)), (240, make(10 * factor))])
    timeline = simulated(limit).timeline
    stretch = timeline.between(250, 300)
    assert stretch.succeeded / stretch.seconds >= 0.95 * 10 * factor
    assert stretch.throttled_share <= 0.01


def test_jobs_that_last_longer_than_a_window_still_use_the_limit_up():
    timeline = simulated(FixedWindowLimit(10, per=10), latency=Uniform(10, 30), slots=40).timeline
    stretch = timeline.between(200, 400)
    assert stretch.succeeded / stretch.seconds >= 0.95
    assert sum(timeline.throttled) == 0


def test_requests_and_tokens_a_minute_hold_together():
    limits = (FixedWindowLimit(600, per=60), GcraLimit(30_000, per=60, of="tokens"))
    mix = JobMix(cost={"requests": 1.0, "tokens": LogNormal(100.0)})
    stretch = simulated(limits, mix=mix).timeline.between(120, 480)
    assert stretch.of_oracle >= 0.95
    assert stretch.throttled_share <= 0.01


def test_the_time_until_a_request_reaches_the_upstream_costs_few_throttles():
    stretch = simulated(FixedWindowLimit(100, per=10), lead=Uniform(0.0, 0.2)).timeline.between(120, 480)
    assert stretch.of_oracle >= 0.95
    assert stretch.throttled_share <= 0.01


@given(
    limit=st.integers(1, 200),
    window=st.floats(0.5, 100),
    first=st.floats(0, 100),
    costs=st.lists(st.integers(1, 5), min_size=1, max_size=80),
    idle=st.lists(st.floats(0, 10), min_size=80, max_size=80),
    epoch=st.sampled_from([0.0, 1.7e9]),
)
def test_no_window_of_a_reporting_upstream_is_ever_overspent(limit, window, first, costs, idle, epoch):
    """Jobs one after the other, with idle times, at an upstream that counts in fixed windows and says so."""
    policy = ServerGuided()
    state, now, spent = policy.initial_state(), epoch + first, {}
    for cost, pause in zip(costs, idle, strict=False):
        job = SampleJob(cost={"requests": float(min(cost, limit))})
        now += pause if pause > 9 else 0.0
        now = max(now, policy.earliest(state, now, job, 0).at)
        assert policy.earliest(state, now, job, 0).at <= now
        state = policy.started(state, now, job, 0)
        number = math.floor((now - epoch) / window + 1e-9)
        spent[number] = spent.get(number, 0) + min(cost, limit)
        assert spent[number] <= limit
        said = report(limit=limit, remaining=limit - spent[number], reset_in=epoch + (number + 1) * window - now)
        state = policy.ended(
            state, now, SampleJob(cost=job.cost, started_at=now), Outcome(OutcomeKind.SUCCEEDED, limits=(said,)), 0
        )


@pytest.mark.parametrize("headroom", [-0.1, 1, 1.5, math.nan])
def test_an_impossible_headroom_is_refused(headroom):
    with pytest.raises(ValueError, match="ServerGuided: headroom must be 0 or more and below 1"):
        ServerGuided(headroom=headroom)


def test_what_is_no_policy_is_no_fallback():
    with pytest.raises(TypeError, match=r"ServerGuided: fallback must be a PacingPolicy such as TokenBucket\(1\)"):
        ServerGuided(3)


def test_the_fallback_is_told_of_the_store_s_clock():
    class Calendar(TokenBucket):
        def on_clock(self, epoch):
            return FixedPause(epoch)

    assert ServerGuided(Calendar(1), headroom=0.1).on_clock(50.0) == ServerGuided(FixedPause(50), headroom=0.1)
    assert ServerGuided().on_clock(50.0) == ServerGuided()
