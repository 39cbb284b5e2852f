"""A simulation ends, with a result or an error that says why."""

from __future__ import annotations

from datetime import datetime

import attrs
import pytest

from pacer import BoundedQueue, Retry, Scheduler
from pacer.backoff import NoBackoff
from pacer.pacing import AdaptiveRate, TokenBucket, Unpaced
from pacer.protocols import When
from pacer.simulation import (
    Arrival,
    Backlog,
    BrownOut,
    Client,
    ClosedLoop,
    Constant,
    FixedWindowLimit,
    JobMix,
    LogNormal,
    Outage,
    Poisson,
    SimulationError,
    Upstream,
    simulate,
)

ROOMY = BoundedQueue(100_000)


@attrs.frozen
class Answering(Unpaced):
    """Whatever it is told to say."""

    answer: object

    def earliest(self, state, now, job, running):
        return self.answer(now) if callable(self.answer) else self.answer


def test_an_empty_workload_has_an_empty_result():
    result = simulate(Scheduler(), Backlog(0), Upstream())
    assert (result.arrived, result.makespan, result.goodput, result.utilisation, result.fairness) == (0, 0, 0, 0, 1)
    assert (result.wait.p99, result.throttled_share, result.stuck) == (0, 0, None)
    assert result.to_json()["timeline"]["arrived"] == (0,)


def test_a_policy_that_never_lets_a_job_start_leaves_all_of_them_and_says_why():
    result = simulate(Scheduler(pacing=Answering(When(float("inf"), reason="closed for good"))), Backlog(3), Upstream())
    assert (result.unfinished, result.succeeded, result.utilisation) == (3, 0, 0)
    assert result.stuck == "client 1: closed for good"


def test_a_policy_that_waits_for_an_end_while_nothing_runs_is_noted_and_does_not_hang():
    result = simulate(Scheduler(pacing=Answering(When(float("inf"), on_event=True))), Backlog(3), Upstream())
    assert result.succeeded == 3
    assert result.faults == ("Answering.earliest: waits for a job to end while none runs",)


def test_a_policy_that_names_ever_later_times_is_found_out():
    scheduler = Scheduler(pacing=Answering(lambda now: When(now + 0.001)))
    with pytest.raises(SimulationError, match="no job has entered or ended for 100,000 steps"):
        simulate(scheduler, Backlog(1), Upstream())


def test_a_policy_that_gives_no_usable_answer_slows_the_run_down_and_is_named():
    result = simulate(Scheduler(pacing=Answering("soon")), Backlog(3), Upstream(latency=0.1))
    assert result.succeeded == 3
    assert result.makespan == pytest.approx(2.3)
    assert result.faults == ("Answering.earliest: answered 'soon'",)


def test_an_upstream_that_answers_429_for_ever_costs_the_jobs_their_lives():
    upstream = Upstream(limits=FixedWindowLimit(1, per=1), retry_after=False)
    mix = JobMix(cost={"requests": 2})
    result = simulate(Scheduler(max_throttles=5), Backlog(3, mix=mix), upstream)
    assert (result.failed, result.asked, result.throttled, result.goodput) == (3, 18, 18, 0)


def test_an_upstream_that_answers_429_for_ever_and_a_scheduler_that_never_gives_up_are_found_out(impatient):
    upstream = Upstream(limits=FixedWindowLimit(1, per=1), retry_after=False, refusal=0.0)
    scheduler = Scheduler(max_throttles=10**9, pacing=AdaptiveRate(100.0))
    with pytest.raises(SimulationError, match="were answered 429"):
        simulate(scheduler, Backlog(1, mix=JobMix(cost={"requests": 2})), upstream)


def test_users_who_do_not_think_in_front_of_a_service_that_takes_no_time_are_found_out(impatient):
    with pytest.raises(SimulationError):
        simulate(Scheduler(), ClosedLoop(1, think=0, lasting=5), Upstream(latency=0.0))


def test_users_who_do_not_think_and_are_turned_away_are_found_out(impatient):
    with pytest.raises(SimulationError):
        simulate(Scheduler(queue=BoundedQueue(1)), ClosedLoop(5, think=0, lasting=5), Upstream(latency=1.0))


def test_a_job_that_could_never_start_is_turned_away():
    scheduler = Scheduler(pacing=TokenBucket(rate=1, burst=2))
    result = simulate(scheduler, Backlog(2, mix=JobMix(cost={"requests": 3})), Upstream())
    assert (result.refused, result.entered) == (2, 0)


def test_a_run_ends_with_its_time():
    result = simulate(Scheduler(), Poisson(2), Upstream(latency=1.0), until=50)
    assert (result.makespan, result.stuck) == (50, None)
    assert 40 < result.succeeded < 50
    assert result.unfinished > 0
    assert result.entered == result.succeeded + result.unfinished


def test_a_run_with_time_left_ends_with_its_last_job():
    assert simulate(Scheduler(), Backlog(3), Upstream(latency=1.0), until=50).makespan == 3


def test_nothing_is_lost():
    """Every job that arrived is in exactly one of the counts."""
    upstream = Upstream(
        limits=FixedWindowLimit(15, per=20), latency=LogNormal(1), troubles=(Outage(50, 20), BrownOut(errors=0.1))
    )
    client = Client(
        Scheduler(queue=BoundedQueue(12, "drop-oldest"), concurrency=2, max_throttles=1),
        retry=Retry(2, NoBackoff()),
        expires=15,
    )
    result = simulate(client, Poisson(1.2, lasting=300), upstream, until=290)
    counts = (result.dropped, result.expired, result.failed, result.succeeded, result.unfinished)
    assert all(counts)
    assert result.entered == sum(counts)
    assert result.arrived == result.entered + result.refused
    assert result.asked >= result.throttled + result.errors + result.succeeded


@pytest.mark.parametrize("timeout", [None, 6.5])
def test_enqueueing_may_wait_for_room(timeout):
    queue = BoundedQueue(2, "wait", timeout=timeout)
    result = simulate(Scheduler(queue=queue), Backlog(10), Upstream(latency=2.0), keep=100)
    assert result.succeeded == (10 if timeout is None else 6)
    assert result.refused == (0 if timeout is None else 4)
    assert [one.at for one in result.happenings if one.what == "started"] == [2.0 * n for n in range(result.succeeded)]
    assert result.wait.most == 2.0 * (result.succeeded - 1)  # from the arrival, not from the entry


def test_a_request_may_reach_the_upstream_some_time_after_the_start():
    upstream = Upstream(latency=1.0, troubles=Outage(2.5, 1))
    result = simulate(Client(Scheduler(), lead=3), Backlog(2), upstream, keep=10)
    assert [(one.at, one.what) for one in result.happenings if one.what not in ("arrived", "ended")] == [
        (0.0, "started"),
        (4.0, "failed"),
        (4.0, "started"),
        (8.0, "succeeded"),
    ]


def test_only_so_much_is_kept():
    result = simulate(Scheduler(), Backlog(10), Upstream(), keep=5)
    assert [one.job for one in result.happenings] == [0, 1, 2, 3, 4]


def test_a_seed_of_the_schedulers_own_draws_its_jitter():
    from pacer.backoff import ConstantBackoff, FullJitter

    upstream = Upstream(latency=0.1, troubles=BrownOut(errors=0.5))

    def makespan(own, seed):
        scheduler = Scheduler(queue=ROOMY, backoff=FullJitter(ConstantBackoff(9)), seed=own)
        return simulate(scheduler, Backlog(20), upstream, seed=seed).makespan

    assert makespan(None, 1) != makespan(7, 1) == makespan(7, 1)


@pytest.mark.parametrize(
    ("clients", "workload", "options", "message"),
    [
        ([], Backlog(1), {}, "at least one client"),
        (Scheduler(), None, {}, "has no workload of its own"),
        ([Client(Scheduler(), workload=Backlog(1))], Backlog(1), {}, "nobody would get the common one"),
        ([Client(Scheduler(), share=0)], Backlog(1), {}, "share above 0"),
        ([Client(Scheduler(), name="a"), Client(Scheduler(), name="a")], Backlog(1), {}, "same name: a, a"),
        (Scheduler(), Poisson(1), {}, r"Poisson\(rate=1.* never ends; give it an end, or give until="),
        (Scheduler(), Backlog(1), {"until": 0}, "until must be above 0"),
        (Scheduler(), Backlog(1), {"start": datetime(2024, 1, 1)}, "start must be aware"),  # noqa: DTZ001
    ],
)
def test_impossible_runs_are_refused(clients, workload, options, message):
    with pytest.raises(ValueError, match=message):
        simulate(clients, workload, Upstream(), **options)


def test_a_client_needs_a_scheduler():
    with pytest.raises(TypeError, match="scheduler must be a Scheduler"):
        Client(TokenBucket(rate=1))


class Two:
    endless = False

    def arrivals(self, random):
        yield Arrival(1.0)
        yield Arrival(2.0)


class OnlyOneBeforeTen:
    def initial_state(self):
        return 0

    def wait(self, state, now, request):
        return 5.0 if state and now < 10 else 0.0

    def take(self, state, now, request):
        return state + 1

    def report(self, state, now, request):
        raise AssertionError("nobody wants reports")

    def rate(self, now):
        return "requests", 0.1


class Slow:
    def seconds(self, now, request, in_flight, random):
        return 4.0


class Doubled:
    def strikes(self, now, random):
        return None

    def slowdown(self, now):
        return 2.0

    def over_at(self, now):
        return now


def test_parts_of_ones_own_will_do():
    """A workload, a limit, a latency and a trouble with the methods that the seams name, and nothing to inherit."""
    upstream = Upstream(limits=OnlyOneBeforeTen(), latency=Slow(), troubles=Doubled(), refusal=Constant(0.5))
    result = simulate(Scheduler(), Two(), upstream, keep=10)
    assert [(one.at, one.what) for one in result.happenings if one.what != "arrived"] == [
        (1.0, "started"),
        (9.0, "succeeded"),
        (9.0, "started"),
        (9.5, "throttled"),
        (14.5, "started"),
        (22.5, "succeeded"),
    ]
