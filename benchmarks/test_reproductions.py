"""Experiments of others, made again with pacer's parts, their numbers beside ours."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from statistics import fmean
from typing import Any

import attrs
import pytest

from benchmarks.contest import Contest, Figures
from pacer import BoundedQueue, JobRecord, Scheduler
from pacer.backoff import DecorrelatedJitter, EqualJitter, ExponentialBackoff, FullJitter, NoBackoff
from pacer.pacing import GradientLimit, TokenBucket, Unpaced, VegasLimit
from pacer.protocols import BackoffPolicy, Failure, PacingPolicy
from pacer.simulation import Arrival, Backlog, Bursts, GcraLimit, LoadedLatency, LogNormal, Result, Upstream, simulate

# -- "Exponential Backoff And Jitter", M. Brooker, AWS Architecture Blog, 2015 ----------------------------------------
#
# Clients contend for one row under optimistic concurrency: each reads its version, then writes if nobody has written
# meanwhile, and otherwise waits and tries again. Each message takes abs(N(10, 2)) ms. The article's delays begin at
# 10 ms (5 ms doubled once) and are cut off at 2000 ms. The figures in brackets are those of a port of its simulator,
# with the same settings and 100 trials (20 for "none" among 190): time until all are done in ms, and calls (writes).

PORTED = {
    10: {
        "none": (377, 50),
        "exponential": (3515, 51),
        "equal": (723, 43),
        "decorrelated": (452, 38),
        "full": (459, 39),
    },
    50: {
        "none": (1146, 689),
        "exponential": (36095, 623),
        "equal": (4361, 348),
        "decorrelated": (2295, 374),
        "full": (2985, 333),
    },
    100: {
        "none": (2024, 2423),
        "exponential": (63513, 1855),
        "equal": (6509, 812),
        "decorrelated": (4622, 1001),
        "full": (4828, 795),
    },
}
_EXPONENTIAL = ExponentialBackoff(10, maximum=2000)
BACKOFFS: dict[str, BackoffPolicy] = {
    "none": NoBackoff(),
    "exponential": _EXPONENTIAL,
    "equal": EqualJitter(_EXPONENTIAL),
    "decorrelated": DecorrelatedJitter(5, maximum=2000),
    "full": FullJitter(_EXPONENTIAL),
}


@attrs.define(eq=False)
class Contender:
    """One client: the version it has read, and its failures so far."""

    version: int = 0
    failures: int = 0
    first_failed_at: float = 0.0
    delay: float = 0.0


def contend(policy: BackoffPolicy, clients: int, random: Random) -> tuple[float, int]:
    """When the last of them is done, in ms, and how many writes that took."""
    count, version, calls, left, now = 0, 0, 0, clients, 0.0
    events: list[tuple[float, int, str, Contender]] = []

    def send(what: str, client: Contender, wait: float = 0.0) -> None:
        nonlocal count
        count += 1
        heapq.heappush(events, (now + wait + abs(random.gauss(10, 2)), count, what, client))

    for _ in range(clients):
        send("read", Contender())
    while left:
        now, _, what, client = heapq.heappop(events)
        if what == "read":
            client.version = version
            send("was read", client)
        elif what == "was read":
            send("write", client)
        elif what == "write":
            calls += 1
            done = client.version == version
            version += done
            send("was written" if done else "was refused", client)
        elif what == "was written":
            left -= 1
        else:
            client.failures += 1
            if client.failures == 1:
                client.first_failed_at = now
            failure = Failure(client.failures, previous=client.delay, elapsed=now - client.first_failed_at)
            client.delay = policy.delay(failure, random) or 0.0
            send("read", client, client.delay)
    return now, calls


def contest_of(policy: BackoffPolicy, clients: int, trials: int, ported: tuple[int, int]) -> Figures:
    runs = [contend(policy, clients, Random(f"{clients}/{trial}")) for trial in range(trials)]
    return {
        "time_ms": fmean(time for time, _ in runs),
        "ported_time_ms": ported[0],
        "calls": fmean(calls for _, calls in runs),
        "ported_calls": ported[1],
    }


@pytest.mark.parametrize("clients", sorted(PORTED))
def test_exponential_backoff_and_jitter(contest: Contest, clients: int) -> None:
    trials = contest.size(100, 10)
    table = contest.run(
        f"{clients} clients that write one row, {trials} trials",
        {
            name: partial(contest_of, policy, clients, trials, PORTED[clients][name])
            for name, policy in BACKOFFS.items()
        },
        rounds=1,
        ratios=False,
    )
    time, calls = ({name: table.values(name, figure)[0] for name in BACKOFFS} for figure in ("time_ms", "calls"))
    jitters = ("equal", "decorrelated", "full")
    assert min(time, key=lambda name: time[name]) == "none"
    assert max(time, key=lambda name: time[name]) == "exponential"
    assert time["exponential"] > 3 * max(time[name] for name in jitters)
    assert max(jitters, key=lambda name: time[name]) == "equal"
    assert all(calls[name] < calls["exponential"] for name in jitters)
    if clients >= 50:
        assert max(calls, key=lambda name: calls[name]) == "none"
        assert calls["full"] < calls["decorrelated"]
    if not contest.short:
        for name, (ported_time, ported_calls) in PORTED[clients].items():
            assert time[name] == pytest.approx(ported_time, rel=0.15)
            assert calls[name] == pytest.approx(ported_calls, rel=0.1)


# -- Netflix, "Performance Under Load", 2018: limits that find the concurrency of a server ----------------------------
#
# A server answers in 0.1 s while it has no more requests than it has capacity for, and more slowly in proportion
# beyond: past its capacity more requests at once buy nothing but waiting. The capacity is 20, then 10, then 40. No
# numbers were published; what is claimed is that the limits find the capacity, keep the queue at the server short, and
# follow. Both take a long answer for a sign of a queue, so it matters how much answers differ without one: by nothing,
# or by a log-normal factor (sigma 0.2).

PHASES = ((0.0, 20.0), (120.0, 10.0), (240.0, 40.0))
PHASE, SERVICE = 120.0, 0.1
LIMITS: dict[str, PacingPolicy[Any]] = {
    "no limit (200 slots)": Unpaced(),
    "GradientLimit": GradientLimit(20, maximum=200),
    "VegasLimit": VegasLimit(20, maximum=200),
}


@attrs.define(eq=False)
class Watched:
    """A latency that notes how many requests were in flight, and how long this one takes."""

    latency: LoadedLatency
    seen: list[tuple[float, int, float]] = attrs.field(factory=list)

    def seconds(self, now: float, request: Arrival, in_flight: int, random: Random) -> float:
        seconds = self.latency.seconds(now, request, in_flight, random)
        self.seen.append((now, in_flight + 1, seconds))
        return seconds


def phases(policy: PacingPolicy[Any], sigma: float) -> Figures:
    """Of the last two thirds of each phase."""
    latency = Watched(LoadedLatency(LogNormal(SERVICE, sigma), capacity=PHASES))
    end = PHASE * len(PHASES)
    scheduler = Scheduler(queue=BoundedQueue(200_000), pacing=policy, concurrency=200)
    result = simulate(scheduler, Backlog(150_000), Upstream(latency=latency), until=end)
    figures = {}
    for start, capacity in PHASES:
        since, until = start + PHASE / 3, start + PHASE
        seen = [(at, flight, took) for at, flight, took in latency.seen if since <= at < until]
        figures |= {
            f"{capacity:g}: in_flight": fmean(flight for _, flight, _ in seen),
            f"{capacity:g}: of_best": throughput(result, since, until) / (capacity / SERVICE),
            f"{capacity:g}: latency_x": fmean(took for _, _, took in seen) / SERVICE,
        }
    return figures


def throughput(result: Result, since: float, until: float) -> float:
    return result.timeline.between(since, until).goodput


@pytest.mark.parametrize("sigma", [0.0, 0.2])
def test_adaptive_limits_follow_a_step_in_capacity(contest: Contest, sigma: float) -> None:
    table = contest.run(
        f"a server whose capacity is 20, then 10, then 40; answers differ by sigma {sigma:g}",
        {name: partial(phases, policy, sigma) for name, policy in LIMITS.items()},
        rounds=1,
        ratios=False,
    )
    for _, capacity in PHASES:
        unlimited = table.values("no limit (200 slots)", f"{capacity:g}: latency_x")[0]
        for name in ("GradientLimit", "VegasLimit"):
            assert table.values(name, f"{capacity:g}: latency_x")[0] < 0.6 * unlimited
            if name == "GradientLimit" or sigma == 0:
                assert table.values(name, f"{capacity:g}: of_best")[0] > 0.85


# -- GCRA: the table of throttled (Go), which redis-cell has too, and the bound of a closed window ---------------------

# Limit 5 = burst 4 + 1, one a second: now, amount, seconds to wait (0: admitted, inf: never).
GCRA_TABLE = (
    *((0.0, 6, math.inf), (0.0, 1, 0), (0.0, 1, 0), (0.0, 1, 0), (0.0, 1, 0), (0.0, 1, 0), (0.0, 1, 1), (3.0, 1, 0)),
    *((3.1, 1, 0), (4.0, 1, 0), (8.0, 1, 0), (9.5, 1, 0), (9.5, 0, 0), (9.5, 2, 0), (9.5, 5, 3), (15.0, 6, math.inf)),
)


def waits_of_token_bucket() -> list[float]:
    bucket, waits = TokenBucket(rate=1, burst=5), []
    state = bucket.initial_state()
    for now, amount, _ in GCRA_TABLE:
        job = JobRecord("1", "job", cost={"requests": amount}, created_at=now, ready_at=now)
        waits.append(max(0.0, bucket.earliest(state, now, job, 0).at - now))
        if waits[-1] == 0:
            state = bucket.started(state, now, job, 0)
    return waits


def waits_of_gcra_limit() -> list[float]:
    limit, waits = GcraLimit(1, per=1, burst=5), []
    state = limit.initial_state()
    for now, amount, _ in GCRA_TABLE:
        request = Arrival(now, cost={"requests": amount})
        waits.append(limit.wait(state, now, request))
        if waits[-1] == 0:
            state = limit.take(state, now, request)
    return waits


def rows(waits: Callable[[], Sequence[float]]) -> Figures:
    published = [wait for _, _, wait in GCRA_TABLE]
    same = sum(ours == pytest.approx(theirs) for ours, theirs in zip(waits(), published, strict=True))
    return {"rows": len(published), "as_published": same}


def test_gcra_conforms_to_the_published_table(contest: Contest) -> None:
    table = contest.run(
        "the table of throttled's rate_test.go",
        {"TokenBucket": partial(rows, waits_of_token_bucket), "GcraLimit": partial(rows, waits_of_gcra_limit)},
        rounds=1,
        ratios=False,
    )
    for name in table.rounds:
        assert table.values(name, "as_published") == [len(GCRA_TABLE)]


# Burst, interval, window, and the most that a closed window of this length can hold: floor(W / T) + B.
BOUNDS = ((1, 1.0, 60.0, 61), (10, 1.0, 60.0, 70), (5, 2.5, 60.0, 29), (3, 0.7, 10.0, 17))


def most_in_a_window(burst: int, interval: float, window: float, bound: int) -> Figures:
    """Starts of a client with this bucket, in front of an upstream with the same one, after idle times."""
    scheduler = Scheduler(queue=BoundedQueue(10_000), pacing=TokenBucket(1 / interval, burst=burst), concurrency=100)
    upstream = Upstream(limits=GcraLimit(1, per=interval, burst=burst), latency=0.01)
    size = int(window / interval) + 2 * burst + 5
    workload = Bursts(size, every=(size + 5 * burst) * interval, jobs=10 * size)
    result = simulate(scheduler, workload, upstream, keep=100_000)
    starts = [one.at for one in result.happenings if one.what == "started"]
    # Sums of floats end up beside the edge of the window, which belongs to it.
    most = max(sum(start <= at <= start + window + 1e-6 for at in starts) for start in starts)
    return {"most": most, "bound": bound, "throttled": result.throttled, "of_oracle": result.utilisation}


def test_no_window_holds_more_than_the_bound_of_gcra(contest: Contest) -> None:
    table = contest.run(
        "starts in a closed window",
        {f"burst {one[0]}, every {one[1]:g} s, window {one[2]:g} s": partial(most_in_a_window, *one) for one in BOUNDS},
        rounds=1,
        ratios=False,
    )
    for name in table.rounds:
        assert table.values(name, "most") == table.values(name, "bound")
        assert table.values(name, "throttled") == [0]
        assert table.values(name, "of_oracle")[0] > 0.999
