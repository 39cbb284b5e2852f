"""How the figures of a result are made."""

from __future__ import annotations

import json
import math
import tracemalloc
from array import array
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacer import BoundedQueue, Scheduler
from pacer.estimators import MovingAverage
from pacer.pacing import TokenBucket
from pacer.queues import FairShare
from pacer.simulation import (
    Arrival,
    Backlog,
    Client,
    FixedWindowLimit,
    GcraLimit,
    JobMix,
    LogNormal,
    Outage,
    PerKeyLimit,
    Poisson,
    Upstream,
    simulate,
)
from pacer.simulation._fairness import jain
from pacer.simulation._oracle import oracle
from pacer.simulation._samples import KEPT, Samples
from pacer.simulation._timeline import BINS, FOLD, Recording

ROOMY = BoundedQueue(100_000)


# -- spreads ---------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(values=st.lists(st.floats(0, 1e6), min_size=1, max_size=300))
def test_few_numbers_are_spread_exactly(values):
    samples = Samples()
    for value in values:
        samples.add(value)
    spread, ordered = samples.spread(), sorted(values)
    assert (spread.count, spread.percentiles[0], spread.most) == (len(values), ordered[0], ordered[-1])
    assert spread.mean == pytest.approx(math.fsum(values) / len(values))
    for percent in range(1, 101):
        assert spread.percentiles[percent] == ordered[math.ceil(percent * len(values) / 100) - 1]


def test_many_numbers_are_spread_to_half_a_percent_in_bounded_memory():
    random = Random(1)
    values = [random.lognormvariate(0, 2) if random.random() > 0.1 else 0.0 for _ in range(3 * KEPT + 7)]
    samples = Samples()
    samples.extend(array("d", values))
    spread, ordered = samples.spread(), sorted(values)
    assert (spread.count, spread.most) == (len(values), ordered[-1])
    assert spread.mean == pytest.approx(sum(values) / len(values))
    for percent in range(1, 100):
        exact = ordered[math.ceil(percent * len(values) / 100) - 1]
        assert spread.percentiles[percent] == pytest.approx(exact, rel=0.0051)
    assert len(samples._buckets) < 2500
    assert len(samples._fresh) <= KEPT


def test_spreads_of_several_clients_add_up():
    left, right, both = Samples(), Samples(), Samples()
    random = Random(2)
    for _ in range(KEPT + 100):
        for one in (left, right):
            value = random.random()
            one.add(value)
            both.add(value)
    left.merge(right)
    assert left.spread().count == both.spread().count
    assert left.spread().p95 == pytest.approx(both.spread().p95, rel=0.011)
    assert left.spread().mean == pytest.approx(both.spread().mean)


def test_nothing_is_spread_as_zeros():
    assert (Samples().spread().count, Samples().spread().p99) == (0, 0.0)


@pytest.mark.parametrize("keep", [0, 1], ids=["shorter way", "longer way"])
def test_the_memory_of_a_run_does_not_grow_with_its_finished_jobs(keep, monkeypatch):
    for module in ("_samples.KEPT", "_timeline.FOLD", "_calm.FOLD"):
        monkeypatch.setattr(f"pacer.simulation.{module}", 200)

    def peak(jobs):
        tracemalloc.start()
        try:
            simulate(Scheduler(pacing=TokenBucket(rate=3)), Poisson(2, jobs=jobs), Upstream(latency=0.1), keep=keep)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(100)  # what is made once
    assert peak(3000) < 1.1 * peak(1000)


def test_a_result_is_plain_data_too():
    upstream = Upstream(limits=FixedWindowLimit(5, per=10), latency=0.1)
    mix = JobMix(keys={"a": 1, "b": 1})
    result = simulate([Scheduler(), Scheduler()], Poisson(1, jobs=50, mix=mix), upstream, keep=9, estimates=9)
    data = json.loads(json.dumps(result.to_json()))
    assert data["clients"]["client 2"]["succeeded"] == result.clients["client 2"].succeeded
    assert (data["goodput"], data["throttled_share"]) == (result.goodput, result.throttled_share)
    assert data["happenings"][0]["what"] == "arrived"
    assert len(data["wait"]["percentiles"]) == 101


# -- timelines -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(gaps=st.lists(st.floats(0, 1000), max_size=200))
def test_a_timeline_counts_each_time_in_its_stretch(gaps):
    recording, at, times = Recording(), 0.0, []
    for gap in gaps:
        at += gap
        times.append(at)
        recording.add("asked", at)
    timeline = recording.timeline(lambda _: None, at)
    assert len(timeline.asked) <= BINS
    for index, found in enumerate(timeline.asked):
        assert found == sum(index * timeline.width <= one < (index + 1) * timeline.width for one in times)


def test_a_timeline_does_not_grow():
    recording = Recording()
    for number in range(2 * FOLD):
        recording.add("asked", number * 0.5)
    timeline = recording.timeline(lambda now: now, FOLD)
    assert sum(timeline.asked) == 2 * FOLD
    assert 512 <= len(timeline.asked) <= BINS
    assert timeline.between(0, 1024).asked == 2048
    assert timeline.limit[1] == timeline.width


def test_a_part_of_a_timeline_has_its_own_figures():
    upstream = Upstream(limits=FixedWindowLimit(10, per=10), latency=0.25, troubles=Outage(512, 100))
    result = simulate(Scheduler(queue=ROOMY, pacing=TokenBucket(rate=0.5)), Poisson(3, lasting=512), upstream)
    part = result.timeline.between(128, 384)
    assert part.seconds == 256
    assert part.goodput == pytest.approx(0.5, rel=0.01)
    assert part.of_oracle == pytest.approx(0.5, rel=0.05)
    assert part.throttled_share == 0
    assert result.timeline.limit[0] == 1.0
    assert result.timeline.present[60] > result.timeline.present[3] > 0


# -- the oracle ------------------------------------------------------------------------------------------------------


def sent(upstream, requests):
    times = []
    one = oracle(upstream, times.append)
    for request in requests:
        one.entered(request.at, request)
    one.succeeded(1e9)
    return times


def test_the_oracle_sends_as_soon_as_the_limit_admits():
    assert sent(Upstream(limits=FixedWindowLimit(2, per=60)), [Arrival(0.0)] * 5) == [0, 0, 60, 60, 120]
    assert sent(Upstream(limits=GcraLimit(1, per=1, burst=2)), [Arrival(0.0)] * 4) == pytest.approx([0, 0, 1, 2])


def test_the_oracle_sits_an_outage_out():
    upstream = Upstream(limits=GcraLimit(1, per=1, burst=1), troubles=Outage(1.5, 10))
    assert sent(upstream, [Arrival(0.0)] * 4) == pytest.approx([0, 1, 11.5, 12.5])


def test_the_oracle_leaves_out_what_can_never_be_sent():
    requests = [Arrival(0.0, cost={"requests": 9}), Arrival(1.0)]
    assert sent(Upstream(limits=FixedWindowLimit(2)), requests) == [1.0]


def test_where_keys_have_limits_of_their_own_the_oracle_keeps_no_key_waiting_for_another():
    upstream = Upstream(limits=PerKeyLimit(GcraLimit(1, per=10, burst=1)))
    requests = [Arrival(0.0, "a"), Arrival(0.0, "a"), Arrival(1.0, "b"), Arrival(2.0, "a")]
    assert sent(upstream, requests) == pytest.approx([0, 1, 10, 20])


@pytest.mark.parametrize("key_mix", [JobMix(), JobMix(keys={"a": 1, "b": 2, "c": 3})], ids=["one lane", "lanes"])
@settings(deadline=None)
@given(seed=st.integers(0, 50), rate=st.floats(0.3, 3), slots=st.integers(1, 4))
def test_nothing_is_faster_than_the_oracle(key_mix, seed, rate, slots):
    limit = GcraLimit(5, per=5, burst=3)
    upstream = Upstream(limits=PerKeyLimit(limit) if key_mix.keys else limit, latency=LogNormal(0.5))
    scheduler = Scheduler(queue=ROOMY, pacing=TokenBucket(rate=rate, burst=2), concurrency=slots)
    result = simulate(scheduler, Poisson(1.5, jobs=60, mix=key_mix), upstream, seed=seed)
    assert result.oracle_makespan <= result.makespan
    assert 0 < result.utilisation <= 1
    assert sum(result.timeline.oracle) == 60


# -- fairness --------------------------------------------------------------------------------------------------------


def test_jains_index():
    assert jain([1, 1, 1, 1]) == 1
    assert jain([1, 0, 0, 0]) == 0.25
    assert jain([4, 2]) == pytest.approx(0.9)
    assert jain([]) == jain([0, 0]) == 1


def test_a_fair_order_is_found_fairer():
    """One tenant sends ninety jobs at once, nine others send one each."""
    mix = JobMix(keys={"big": 91, **{f"small {number}": 1 for number in range(9)}})
    figures = {}
    for name, queue in {"fifo": ROOMY, "fair": BoundedQueue(100_000, order=FairShare())}.items():
        scheduler = Scheduler(queue=queue, pacing=TokenBucket(rate=1))
        figures[name] = simulate(scheduler, Backlog(300, mix=mix), Upstream(latency=0.5), until=200).fairness
    assert figures["fair"] > figures["fifo"]


def test_without_keys_clients_are_compared():
    fast, slow = (Scheduler(queue=ROOMY, pacing=TokenBucket(rate=rate)) for rate in (3, 1))
    clients = [Client(one, workload=Backlog(1000)) for one in (fast, slow)]
    result = simulate(clients, None, Upstream(latency=0.1), until=100)
    assert result.fairness == pytest.approx(16 / 20, rel=0.01)


# -- promises --------------------------------------------------------------------------------------------------------


def test_estimates_are_checked_against_what_came_true():
    scheduler = Scheduler(queue=ROOMY, estimator=MovingAverage(initial=1))
    result = simulate(scheduler, Poisson(0.8, jobs=2000), Upstream(latency=LogNormal(1, 0.4)), estimates=100)
    assert result.promises is not None
    assert 100 <= result.promises.count <= 200
    assert 0.6 < result.promises.covered <= 1
    assert 0 < result.promises.median_error < result.promises.median_wait


def test_estimates_do_not_change_what_happens():
    scheduler = Scheduler(queue=ROOMY, pacing=TokenBucket(rate=1))
    with_them, without = (
        simulate(scheduler, Poisson(0.8, jobs=300), Upstream(latency=0.3), estimates=number) for number in (50, 0)
    )
    assert (with_them.wait, with_them.timeline) == (without.wait, without.timeline)
