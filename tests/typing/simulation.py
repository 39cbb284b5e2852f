"""How the simulator is used, for mypy to read; nobody runs it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, assert_type

from pacer import Retry, Scheduler
from pacer.backoff import NoBackoff
from pacer.protocols import LimitReport
from pacer.simulation import (
    Arrival,
    Backlog,
    BrownOut,
    Bursts,
    ChangingLimit,
    Client,
    ClosedLoop,
    CostLatency,
    DayCurve,
    Distribution,
    Exponential,
    FixedWindowLimit,
    GcraLimit,
    History,
    JobMix,
    Latency,
    Limit,
    LoadedLatency,
    LogNormal,
    Outage,
    PerKeyLimit,
    Poisson,
    Promises,
    Result,
    SlidingWindowLimit,
    Spread,
    Timeline,
    Totals,
    Trace,
    Trouble,
    Uniform,
    Upstream,
    Workload,
    simulate,
)

mix = JobMix(keys={"a": 1}, cost={"requests": 1, "tokens": LogNormal(1800)}, priorities={1: 2}, size=Uniform(1, 2))
workloads: list[Workload] = [
    Backlog(10),
    Poisson(3, per=timedelta(minutes=1), lasting=timedelta(hours=1), mix=mix),
    Bursts(10, every=60, jobs=100),
    DayCurve(1, lasting=86_400),
    ClosedLoop(5, think=Exponential(3), jobs=2),
    Trace("trace.csv", at="time", cost={"tokens": ("in", "out"), "images": "n"}),
    History(Path("jobs.db"), queue="mail"),
]
limits: list[Limit] = [
    GcraLimit(60, burst=5),
    FixedWindowLimit(60, per=60, of="tokens"),
    SlidingWindowLimit(60),
    ChangingLimit([(0, GcraLimit(60)), (300, FixedWindowLimit(60))]),
    PerKeyLimit(GcraLimit(1)),
]
latencies: list[Latency] = [LoadedLatency(1.0, 20), CostLatency(0.5, {"tokens": 0.03}, noise=LogNormal(1, 0.3))]
troubles: list[Trouble] = [Outage(10, 5), BrownOut(errors=0.1)]
upstream = Upstream(limits, latencies[0], troubles, retry_after=False, reports=True, refusal=0.1)
Upstream(GcraLimit(60), 2, Outage(10, 5))
Upstream(latency=timedelta(seconds=1))
Upstream(latency=LogNormal(2.0))

client = Client(Scheduler(), name="a", share=2, retry=Retry(3, NoBackoff()), lead=0.1, expires=timedelta(minutes=5))
result = simulate(client, workloads[0], upstream, seed=1, until=timedelta(hours=1), start=datetime.now(UTC))
assert_type(result, Result)
simulate([Scheduler(), client], workloads[1], upstream, keep=10, estimates=100)
simulate(Client(Scheduler(), workload=Backlog(1)), None, upstream)
assert_type(result.wait, Spread)
assert_type(result.timeline, Timeline)
assert_type(result.clients["a"], Totals)
assert_type(result.promises, Promises | None)
assert_type(result.wait.p95, float)
assert_type(result.to_json(), dict[str, Any])


class Mine:
    """A workload, a distribution, a latency, a limit and a trouble of one's own."""

    endless = False

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        yield Arrival(1.0, key="a")

    def draw(self, random: Random) -> float:
        return random.random()

    def seconds(self, now: float, request: Arrival, in_flight: int, random: Random) -> float:
        return 1.0 + in_flight

    def initial_state(self) -> int:
        return 0

    def wait(self, state: int, now: float, request: Arrival) -> float:
        return 1.0 if state > request.amount("requests") else 0.0

    def take(self, state: int, now: float, request: Arrival) -> int:
        return state + 1

    def report(self, state: int, now: float, request: Arrival) -> LimitReport:
        return LimitReport(name="requests", remaining=state)

    def rate(self, now: float) -> tuple[str, float]:
        return "requests", 1.0

    def strikes(self, now: float, random: Random) -> float | None:
        return None

    def slowdown(self, now: float) -> float:
        return 1.0

    def over_at(self, now: float) -> float:
        return now


workload: Workload = Mine()
distribution: Distribution = Mine()
latency: Latency = Mine()
limit: Limit = Mine()
trouble: Trouble = Mine()
