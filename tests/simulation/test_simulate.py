"""What a simulation finds, on workloads that can be worked out by hand."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pacer import BoundedQueue, Scheduler
from pacer.backoff import ConstantBackoff
from pacer.pacing import FixedPause, TokenBucket, Unpaced
from pacer.simulation import (
    Backlog,
    Client,
    FixedWindowLimit,
    GcraLimit,
    LogNormal,
    Outage,
    Poisson,
    Upstream,
    simulate,
)

ROOMY = BoundedQueue(100_000)


def test_jobs_of_one_slot_run_one_after_the_other():
    result = simulate(Scheduler(queue=ROOMY), Backlog(10), Upstream(latency=2.0))
    assert (result.succeeded, result.makespan) == (10, 20.0)
    assert [result.wait.percentiles[0], result.wait.p50, result.wait.most] == [0.0, 8.0, 18.0]
    assert result.turnaround.mean == 11.0
    assert result.goodput == 0.5


def test_a_pause_is_between_the_jobs():
    result = simulate(Scheduler(queue=ROOMY, pacing=FixedPause(10)), Backlog(3), Upstream(latency=2.0), keep=100)
    assert [one.at for one in result.happenings if one.what == "started"] == [0.0, 12.0, 24.0]


def test_an_unpaced_client_meets_the_limit_and_waits_as_long_as_it_is_told():
    upstream = Upstream(limits=FixedWindowLimit(2, per=60), latency=1.0, refusal=0.5)
    result = simulate(Scheduler(queue=ROOMY, pacing=Unpaced()), Backlog(3), upstream, keep=100)
    starts = [one.at for one in result.happenings if one.what == "started"]
    assert starts == pytest.approx([0.0, 1.0, 2.0, 60.5])  # a Retry-After of 58 s, heard at 2.5
    assert (result.asked, result.throttled, result.throttled_share) == (4, 1, 0.25)


def test_a_client_with_the_pace_of_the_limit_is_as_fast_as_the_oracle():
    upstream = Upstream(limits=GcraLimit(60, per=60, burst=1), latency=0.1)
    result = simulate(Scheduler(queue=ROOMY, pacing=TokenBucket(rate=1)), Backlog(100), upstream)
    assert (result.throttled, result.oracle_makespan, result.utilisation) == (0, 99.0, 1.0)


def test_a_client_at_half_the_pace_uses_half_of_what_the_oracle_uses():
    upstream = Upstream(limits=GcraLimit(60, per=60, burst=1), latency=0.1)
    result = simulate(Scheduler(queue=ROOMY, pacing=TokenBucket(rate=0.5)), Backlog(101), upstream)
    assert (result.oracle_makespan, result.utilisation) == (100.0, 0.5)


def test_what_finds_a_full_queue_is_refused():
    result = simulate(Scheduler(queue=BoundedQueue(3)), Backlog(10), Upstream(latency=1.0))
    assert (result.arrived, result.entered, result.refused, result.succeeded) == (10, 3, 7, 3)


def test_an_outage_fails_the_jobs_of_its_time():
    upstream = Upstream(latency=1.0, troubles=Outage(start=2.5, lasting=2))
    result = simulate(Scheduler(queue=ROOMY, backoff=ConstantBackoff(1)), Backlog(6), upstream)
    assert (result.succeeded, result.failed, result.errors) == (5, 1, 1)


def test_several_clients_share_one_upstream():
    upstream = Upstream(limits=FixedWindowLimit(10, per=10), latency=0.1)
    client = Scheduler(queue=ROOMY, pacing=TokenBucket(rate=1))
    result = simulate([Client(client, name="left"), Client(client, name="right")], Poisson(0.8, jobs=200), upstream)
    assert list(result.clients) == ["left", "right"]
    assert sum(one.succeeded for one in result.clients.values()) == result.succeeded == 200
    assert min(one.succeeded for one in result.clients.values()) > 70


def test_the_same_seed_gives_the_same_result_in_another_process_too():
    code = (
        "from pacer import Scheduler; from pacer.simulation import *\n"
        "from pacer.pacing import TokenBucket\n"
        "mix = JobMix(keys={'a': 1, 'b': 2}, cost={'requests': 1, 'tokens': LogNormal(100)})\n"
        "upstream = Upstream(limits=GcraLimit(1, per=1), latency=LogNormal(1))\n"
        "print(simulate([Scheduler(concurrency=2)] * 2, Poisson(1.5, jobs=300, mix=mix), upstream, keep=9).to_json())"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert "'throttled': 0" not in outputs.pop()


def test_another_seed_gives_another_result():
    upstream = Upstream(latency=LogNormal(1))
    first, again, other = (simulate(Scheduler(), Poisson(0.9, jobs=50), upstream, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != attrs_without_seed(other, first.seed)


def attrs_without_seed(result, seed):
    import attrs

    return attrs.evolve(result, seed=seed)
