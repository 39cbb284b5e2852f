"""Every strategy, codec and observer of pacer keeps its contract."""

from __future__ import annotations

import pytest

from pacer import BoundedQueue, LoggingObserver, MaxWait
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
from pacer.codecs import InProcessCodec, JsonCodec
from pacer.estimators import ByCost, Calibrated, MovingAverage, PerKind, StreamingQuantile, WindowedQuantile
from pacer.pacing import (
    AdaptiveRate,
    AllOf,
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
from pacer.testing import (
    BACKOFF_CHECKS,
    CODEC_CHECKS,
    ESTIMATOR_CHECKS,
    ORDER_CHECKS,
    PACING_CHECKS,
    QUEUE_CHECKS,
    Recorder,
    check_observer,
)

PACING = [
    Unpaced(),
    FixedPause(0),
    FixedPause(10),
    FixedPause(1 / 3),
    TokenBucket(1),
    TokenBucket(90, per=60, burst=10),
    TokenBucket(3, per=7),
    TokenBucket(5000),
    MinInterval(0),
    MinInterval(10),
    MinInterval(1 / 3),
    SlidingWindow(1, per=1 / 3),
    SlidingWindow(5, per=60),
    SlidingWindow(600, per=60),
    CompletionWindow(1, per=1 / 3),
    CompletionWindow(5, per=60),
    CompletionWindow(600, per=60),
    FixedWindow(1, per=1 / 3),
    FixedWindow(5, per=60, offset=7.5),
    FixedWindow(600, per=86400),
    Budget(2000, per=60),
    Budget(100_000, per=60, burst=10_000),
    Budget(2000, per=60, default=500),
    Budget(3, per=7, dimension="requests", default=1),
    WarmUp(5, seconds=5),
    WarmUp(1 / 3, seconds=60, cold_factor=10),
    WarmUp(1000, per=60, seconds=0.1, cold_factor=1),
    OpeningHours("00:00", "24:00"),
    OpeningHours("22:00", "06:00", days="mon-fri", timezone="Europe/Berlin"),
    OpeningHours("09:00", "12:30") | OpeningHours("14:00", "24:00", days="sat,sun", timezone="America/New_York"),
    PerKey(FixedPause(10)),
    PerKey(TokenBucket(3, per=7), forget_after=60),
    PerKey(CompletionWindow(1, per=10)),
    PerKey(AdaptiveRate(1)),
    PerKey(Budget(2000, per=60) & OpeningHours("22:00", "06:00")),
    ManualPace(3, per=7),
    ManualPace(5000),
    TokenBucket(600, per=60) & Budget(100_000, per=60),
    TokenBucket(3, per=7) & FixedWindow(9, per=60) & OpeningHours("22:00", "06:00", timezone="Europe/Berlin"),
    PerKey(TokenBucket(1)) & PerKey(MinInterval(5)) & SlidingWindow(3, per=10),
    AllOf(Unpaced()),
    TokenBucket(3, per=7) & FixedPause(1 / 3) & TokenBucket(90, per=60, burst=10),
    AdaptiveRate(1),
    AdaptiveRate(5, minimum=5, maximum=5),
    AdaptiveRate(0.01, maximum=0.02) & FixedPause(1),
    CubicRate(),
    CubicRate(minimum=0.01),
    GradientLimit(),
    GradientLimit(1, maximum=3, tolerance=1, queue_size=0.5, window=1),
    VegasLimit(),
    VegasLimit(1, maximum=3),
    ServerGuided(),
    ServerGuided(headroom=0.5),
    ServerGuided(TokenBucket(1)),
    ServerGuided(AdaptiveRate(3)) & FixedPause(1 / 3),
]
BACKOFFS = [
    NoBackoff(),
    ConstantBackoff(0),
    ConstantBackoff(30),
    ExponentialBackoff(15, maximum=300, after=2),
    ExponentialBackoff(0.1, maximum=0.1, factor=1),
    ExponentialBackoff(1e-6, maximum=86400, factor=1.5),
    LinearBackoff(10),
    LinearBackoff(0, step=1e-3, maximum=86400, after=3),
    CappedDoublings(10, maximum=300, doublings=3),
    CappedDoublings(1e-9, maximum=86400, doublings=10**6),
    CappedDoublings(5, maximum=5, doublings=0),
    FullJitter(ExponentialBackoff(15, maximum=300, after=2)),
    FullJitter(GiveUpAfter(NoBackoff(), attempts=3)),
    EqualJitter(ExponentialBackoff(15, maximum=300, after=2)),
    EqualJitter(FullJitter(ConstantBackoff(7))),
    DecorrelatedJitter(1, maximum=60),
    DecorrelatedJitter(2, maximum=2),
    HonourRetryAfter(NoBackoff()),
    HonourRetryAfter(FullJitter(ExponentialBackoff(1))),
    GiveUpAfter(ExponentialBackoff(1), attempts=5),
    GiveUpAfter(EqualJitter(LinearBackoff(1)), seconds=600),
    GiveUpAfter(DecorrelatedJitter(1), attempts=8, seconds=3600),
    CircuitBreaker(),
    CircuitBreaker(FullJitter(ExponentialBackoff(1)), failures=3, open_for=60),
    CircuitBreaker(CircuitBreaker(failures=100, open_for=600), failures=1000, open_for=6000),
    FullJitter(CircuitBreaker(failures=1, open_for=5)),
    RetryBudget(HonourRetryAfter(EqualJitter(CircuitBreaker()))),
    RetryBudget(ConstantBackoff(5), share=1, at_least=0),
]
ESTIMATORS = [
    MovingAverage(),
    MovingAverage(initial=1, weight=1),
    MovingAverage(initial=0.01, weight=0.001),
    WindowedQuantile(),
    WindowedQuantile(initial=0.01, window=2),
    WindowedQuantile(initial=1e6, window=1000),
    StreamingQuantile(),
    StreamingQuantile(initial=1, weight=1, accuracy=0.5, buckets=2),
    StreamingQuantile(weight=0.001, accuracy=0.001, buckets=50),
    ByCost(),
    ByCost(initial=0.01, dimension="requests", weight=1),
    ByCost(initial=1e6, dimension="frames", weight=0.001),
    PerKind(MovingAverage()),
    PerKind(WindowedQuantile(), kinds=1),
    PerKind(Calibrated(ByCost())),
    Calibrated(MovingAverage()),
    Calibrated(WindowedQuantile(), coverage=0.99, step=2),
    Calibrated(StreamingQuantile(), coverage=0.5, step=0.01),
    Calibrated(PerKind(ByCost()), coverage=0.83),
]
ORDERS = [
    Fifo(),
    Lifo(),
    Priority(),
    Priority(ageing=0.001),
    EarliestDeadline(),
    EarliestDeadline(patience=600),
    ShortestFirst(),
    ShortestFirst(ageing=0.001),
    ShortestFirst(ageing=1e15),
    FairShare(),
    FairShare({"tenant": 3, None: 0.5}, dimension="tokens", default=500),
    FairShare({"tenant": 1e-300}, dimension=None, keys=2),
]
QUEUES = [
    BoundedQueue(50),
    BoundedQueue(1),
    BoundedQueue(3, "drop-oldest"),
    BoundedQueue(10, "wait", timeout=5),
    BoundedQueue(10, "wait", order=Priority()),
    BoundedQueue(10, "drop-oldest", order=FairShare({"tenant": 3})),
    MaxWait(600),
    MaxWait(0.001, capacity=1),
    MaxWait(1e9, capacity=7, order=ShortestFirst()),
]
CODECS = [JsonCodec(), InProcessCodec()]


def each(parts, checks):
    """Every check on every part."""
    return pytest.mark.parametrize(
        ("part", "check"),
        [pytest.param(part, check, id=f"{part}-{check.__name__}") for part in parts for check in checks],
    )


@each(PACING, PACING_CHECKS)
def test_pacing_policies(part, check):
    check(part)


@each(BACKOFFS, BACKOFF_CHECKS)
def test_backoff_policies(part, check):
    check(part)


@each(ESTIMATORS, ESTIMATOR_CHECKS)
def test_duration_estimators(part, check):
    check(part)


@each(ORDERS, ORDER_CHECKS)
def test_job_orders(part, check):
    check(part)


@each(QUEUES, QUEUE_CHECKS)
def test_job_queues(part, check):
    check(part)


@each(CODECS, CODEC_CHECKS)
def test_codecs(part, check):
    check(part)


@pytest.mark.parametrize(
    "observer", [Recorder(), LoggingObserver(), print], ids=["Recorder", "LoggingObserver", "print"]
)
def test_observers(observer):
    check_observer(observer)
