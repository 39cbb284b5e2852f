"""While all goes well a run takes a shorter way; where it leaves that makes no difference."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_like_a_scheduler import PACES

import pacer.pacing
from pacer import BoundedQueue, Retry, Scheduler
from pacer.backoff import ConstantBackoff, RetryBudget
from pacer.pacing import TokenBucket, Unpaced
from pacer.simulation import (
    Backlog,
    BrownOut,
    Bursts,
    Client,
    Exponential,
    FixedWindowLimit,
    JobMix,
    LogNormal,
    Outage,
    Poisson,
    Upstream,
    simulate,
)
from pacer.simulation._calm import Calm


@pytest.fixture
def handovers(monkeypatch):
    """How many jobs each shorter way has seen succeed before it gave over."""
    seen = []
    longer = Calm._hand_over

    def hand_over(self):
        seen.append(self.station.tally.succeeded)
        longer(self)

    monkeypatch.setattr(Calm, "_hand_over", hand_over)
    return seen


def both_ways(client, workload, upstream, **options):
    """The result, after a look that the longer way, on which things that happen are kept, has the same one."""
    shorter = simulate(client, workload, upstream, **options)
    longer = simulate(client, workload, upstream, keep=1, **options)
    assert shorter == attrs.evolve(longer, happenings=())
    return shorter


def scheduler(**parts):
    return Scheduler(queue=BoundedQueue(30), **parts)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("name", sorted(pacer.pacing.__all__))
def test_both_ways_have_the_same_result_with_every_pacing_policy(name, concurrency):
    upstream = Upstream(limits=FixedWindowLimit(20, per=30), latency=LogNormal(0.6), troubles=Outage(150, 9))
    result = both_ways(scheduler(pacing=PACES[name], concurrency=concurrency), Poisson(0.5, jobs=120), upstream)
    assert result.succeeded > 60


@pytest.mark.parametrize(
    ("workload", "upstream", "options"),
    [
        (Poisson(1, jobs=300), Upstream(latency=Exponential(0.5), troubles=Outage(100, 5)), {}),
        (Poisson(1, jobs=300), Upstream(latency=Exponential(0.5), troubles=BrownOut(errors=0.01)), {}),
        (Poisson(1, jobs=300), Upstream(limits=FixedWindowLimit(70, per=60), latency=Exponential(0.5)), {}),
        (Poisson(1.9, jobs=300), Upstream(latency=Exponential(0.5)), {"until": 77.7}),
        (Poisson(1, jobs=300, mix=JobMix(keys={"a": 1, "b": 1})), Upstream(latency=0.5), {}),
        (Poisson(1, jobs=300, mix=JobMix(cost={"requests": 2})), Upstream(latency=0.5), {}),
        (Bursts(35, every=100, jobs=200), Upstream(latency=1.0), {}),
        (Backlog(0), Upstream(), {}),
        (Backlog(30), Upstream(latency=0.0), {}),
    ],
    ids=["outage", "errors", "429", "until", "keys", "cost", "full", "empty", "instant"],
)
def test_whatever_ends_the_calm_changes_nothing(workload, upstream, options, handovers):
    client = Client(
        scheduler(pacing=Unpaced(), backoff=RetryBudget(ConstantBackoff(3))), retry=Retry(3, ConstantBackoff(2))
    )
    both_ways(client, workload, upstream, **options)
    assert len(handovers) == 1


def test_the_shorter_way_is_really_taken(handovers):
    simulate(scheduler(pacing=TokenBucket(rate=2)), Poisson(1, jobs=500), Upstream(latency=0.1))
    assert handovers == [500]


def test_an_error_half_way_ends_it_there(handovers):
    upstream = Upstream(latency=0.5, troubles=Outage(100, 5))
    simulate(scheduler(pacing=TokenBucket(rate=2)), Poisson(1, jobs=500), upstream)
    assert 60 < handovers[0] < 140


@pytest.mark.parametrize("seed", range(20))
def test_jobs_that_run_beside_the_first_refused_one_go_on(seed):
    upstream = Upstream(limits=FixedWindowLimit(5, per=5), latency=LogNormal(0.5))
    both_ways(scheduler(concurrency=3, pacing=TokenBucket(rate=2, burst=2)), Poisson(1.5, jobs=60), upstream, seed=seed)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    slots=st.integers(1, 5),
    capacity=st.integers(1, 20),
    outage=st.floats(0, 200),
    rate=st.floats(0.2, 5),
)
def test_both_ways_agree_on_any_run(seed, slots, capacity, outage, rate):
    one = Scheduler(queue=BoundedQueue(capacity), pacing=TokenBucket(rate=rate), concurrency=slots)
    upstream = Upstream(latency=LogNormal(0.7), troubles=Outage(outage, 3))
    both_ways(one, Poisson(1, jobs=150), upstream, seed=seed)
