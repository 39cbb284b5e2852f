"""A simulation decides as a real scheduler does: same starts, same ends, at the same times to the last bit."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
import pytest
from twin import real_timeline, simulated_timeline

import pacer.backoff
import pacer.pacing
import pacer.queues
from pacer import BoundedQueue, Retry, Scheduler
from pacer.backoff import (
    CappedDoublings,
    CircuitBreaker,
    ConstantBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    GiveUpAfter,
    HonourRetryAfter,
    LinearBackoff,
    NoBackoff,
    RetryBudget,
)
from pacer.pacing import (
    AdaptiveRate,
    Budget,
    CompletionWindow,
    CubicRate,
    FixedPause,
    FixedWindow,
    GradientLimit,
    ManualPace,
    MinInterval,
    OpeningHours,
    PerKey,
    ServerGuided,
    SlidingWindow,
    TokenBucket,
    Unpaced,
    VegasLimit,
    WarmUp,
)
from pacer.queues import EarliestDeadline, FairShare, Fifo, Lifo, Priority, ShortestFirst
from pacer.simulation import (
    BrownOut,
    Client,
    FixedWindowLimit,
    GcraLimit,
    JobMix,
    LoadedLatency,
    LogNormal,
    Outage,
    Poisson,
    SlidingWindowLimit,
    Uniform,
    Upstream,
    simulate,
)

SEED = 3
START = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
JOBS = 150

# By the name of the policy: each that is exported, in a setting that has something to do here.
PACES = {
    "AdaptiveRate": AdaptiveRate(1.0),
    "AllOf": FixedPause(0.3) & TokenBucket(rate=0.8, burst=3),
    "Budget": Budget(6000, per=60, burst=900),
    "CompletionWindow": CompletionWindow(5, per=6),
    "CubicRate": CubicRate(),
    "FixedPause": FixedPause(1.5),
    "FixedWindow": FixedWindow(6, per=7, offset=1.3),
    "GradientLimit": GradientLimit(2, maximum=3, window=10),
    "ManualPace": ManualPace(0.9),
    "MinInterval": MinInterval(1.1),
    "OpeningHours": OpeningHours("22:00", "22:14", also=(OpeningHours("22:15", "21:00"),)),
    "PerKey": PerKey(TokenBucket(rate=0.4, burst=2)),
    "ServerGuided": ServerGuided(fallback=TokenBucket(rate=1)),
    "SlidingWindow": SlidingWindow(5, per=6),
    "TokenBucket": TokenBucket(rate=1.1, burst=2),
    "Unpaced": Unpaced(),
    "VegasLimit": VegasLimit(2, maximum=3),
    "WarmUp": WarmUp(1.0, seconds=20),
}
BACKOFFS = {
    "CappedDoublings": CappedDoublings(1, maximum=20, doublings=2),
    "CircuitBreaker": CircuitBreaker(failures=2, open_for=7),
    "ConstantBackoff": ConstantBackoff(2.5),
    "DecorrelatedJitter": DecorrelatedJitter(1, maximum=20),
    "EqualJitter": EqualJitter(ExponentialBackoff(1, maximum=20)),
    "ExponentialBackoff": ExponentialBackoff(1.5, maximum=20, after=2),
    "FullJitter": FullJitter(ExponentialBackoff(1, maximum=20)),
    "GiveUpAfter": GiveUpAfter(ConstantBackoff(1), attempts=2),
    "HonourRetryAfter": HonourRetryAfter(ConstantBackoff(1)),
    "LinearBackoff": LinearBackoff(1, maximum=5),
    "NoBackoff": NoBackoff(),
    "RetryBudget": RetryBudget(ConstantBackoff(0.5)),
}
ORDERS = {
    "EarliestDeadline": EarliestDeadline(),
    "FairShare": FairShare(weights={"a": 2}),
    "Fifo": Fifo(),
    "Lifo": Lifo(),
    "Priority": Priority(ageing=20),
    "ShortestFirst": ShortestFirst(),
}

MIX = JobMix(
    keys={"a": 5, "b": 2, "c": 1},
    cost={"requests": 1, "tokens": Uniform(50, 150)},
    priorities={0: 3, 1: 1},
    size=Uniform(0.5, 1.5),
)
WORKLOAD = Poisson(0.9, jobs=JOBS, mix=MIX)
TROUBLES = (Outage(60, 8, after=Uniform(0.1, 0.2)), BrownOut(errors=0.15, after=Uniform(0.1, 0.9)))
UPSTREAM = Upstream(
    limits=(FixedWindowLimit(30, per=31), GcraLimit(7000, per=60, burst=800, of="tokens")),
    latency=LoadedLatency(LogNormal(1.2), capacity=2),
    troubles=TROUBLES,
    refusal=Uniform(0.02, 0.1),
    reports=True,
)
SILENT = attrs.evolve(UPSTREAM, limits=SlidingWindowLimit(10, per=13), retry_after=False, reports=False)


@pytest.fixture(autouse=True)
def wall_clock(monkeypatch):
    """What the wall clock shows when the store is opened: some policies speak of the calendar."""
    monkeypatch.setattr("pacer.stores._memory.time.time", START.timestamp)


def assert_same(client: Client, upstream: Upstream = UPSTREAM, workload: Poisson = WORKLOAD) -> set[str]:
    real = real_timeline(client, workload, upstream, SEED)
    result = simulate(client, workload, upstream, seed=SEED, start=START, keep=1_000_000)
    simulated = simulated_timeline(list(result.happenings))
    for number, (theirs, ours) in enumerate(zip(real, simulated, strict=False)):
        assert ours == theirs, (
            f"step {number}: {simulated[number - 2 : number + 2]} for {real[number - 2 : number + 2]}"
        )
    assert len(simulated) == len(real)
    return {step.what for step in real}


@pytest.mark.parametrize("upstream", [UPSTREAM, SILENT], ids=["told", "silent"])
@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("name", sorted(pacer.pacing.__all__))
def test_every_pacing_policy_gives_the_same_timeline(name, concurrency, upstream):
    scheduler = Scheduler(
        queue=BoundedQueue(60, order=Priority(ageing=20)),
        pacing=PACES[name],
        backoff=ExponentialBackoff(0.7, maximum=10, after=2),
        concurrency=concurrency,
        max_throttles=5,
        seed=11,
    )
    client = Client(scheduler, retry=Retry(3, FullJitter(ExponentialBackoff(2, maximum=10))))
    assert {"started", "succeeded", "failed"} <= assert_same(client, upstream)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("name", sorted(pacer.backoff.__all__))
def test_every_backoff_policy_gives_the_same_timeline_for_the_queue_and_for_its_retries(name, concurrency):
    scheduler = Scheduler(
        queue=BoundedQueue(200), pacing=Unpaced(), backoff=BACKOFFS[name], concurrency=concurrency, seed=12
    )
    seen = assert_same(Client(scheduler, retry=Retry(4, BACKOFFS[name])), SILENT)
    assert {"started", "succeeded", "failed", "throttled"} <= seen


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize("name", sorted(pacer.queues.__all__))
def test_every_order_gives_the_same_timeline(name, concurrency):
    queue = BoundedQueue(200, order=ORDERS[name])
    scheduler = Scheduler(queue=queue, pacing=TokenBucket(rate=0.8), concurrency=concurrency, seed=13)
    assert_same(Client(scheduler, retry=Retry(3, ConstantBackoff(3))))


@pytest.mark.parametrize(
    ("queue", "expires", "expected"),
    [
        (BoundedQueue(5), None, "refused"),
        (BoundedQueue(5, "drop-oldest"), None, "dropped"),
        (BoundedQueue(100), 4.0, "expired"),
    ],
)
def test_jobs_that_leave_undone_give_the_same_timeline(queue, expires, expected):
    scheduler = Scheduler(queue=queue, pacing=FixedPause(0.4), concurrency=2, seed=14)
    assert expected in assert_same(Client(scheduler, expires=expires))


@pytest.mark.parametrize(
    ("module", "table"),
    [(pacer.pacing, PACES), (pacer.backoff, BACKOFFS), (pacer.queues, ORDERS)],
    ids=["pacing", "backoff", "queues"],
)
def test_the_tables_name_every_part_by_its_name(module, table):
    assert set(table) == set(module.__all__)
    assert [name for name, part in table.items() if type(part).__name__ != name] == []
