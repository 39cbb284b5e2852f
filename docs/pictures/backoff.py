"""How long backoff policies wait, and what an outage sees of them."""

from __future__ import annotations

from random import Random
from statistics import quantiles

from chart import Chart, Panel
from pacer import BoundedQueue, Scheduler
from pacer.backoff import (
    CappedDoublings,
    CircuitBreaker,
    ConstantBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    LinearBackoff,
    NoBackoff,
)
from pacer.pacing import MinInterval
from pacer.protocols import BackoffPolicy, Failure
from pacer.simulation import Bursts, LogNormal, Outage, Upstream, simulate
from runs import starts

FAILURES = range(1, 11)
FIXED: tuple[tuple[str, BackoffPolicy, str], ...] = (
    ("ConstantBackoff(30)", ConstantBackoff(30), "plain"),
    ("LinearBackoff(15)", LinearBackoff(15), "third"),
    ("CappedDoublings(15, doublings=2)", CappedDoublings(15, doublings=2), "second"),
    ("ExponentialBackoff(15)", ExponentialBackoff(15), "main"),
)
RANDOM: tuple[tuple[str, BackoffPolicy], ...] = (
    ("FullJitter", FullJitter(ExponentialBackoff(15))),
    ("EqualJitter", EqualJitter(ExponentialBackoff(15))),
    ("DecorrelatedJitter(15)", DecorrelatedJitter(15)),
)
WALKS = 2000

POLICIES: dict[str, BackoffPolicy] = {
    "NoBackoff()": NoBackoff(),
    "ConstantBackoff(30)": ConstantBackoff(30),
    "LinearBackoff(10)": LinearBackoff(10),
    "ExponentialBackoff(10)": ExponentialBackoff(10),
    "FullJitter(ExponentialBackoff(10))": FullJitter(ExponentialBackoff(10)),
    "CircuitBreaker(failures=3, open_for=60)": CircuitBreaker(failures=3, open_for=60),
}
BEGIN, END, UNTIL = 30.0, 210.0, 420.0
ROW = 24.0


def delays() -> str:
    """The delay by the number of failures in a row."""
    chart = Chart(720, 470, "Delay by the number of failures in a row, of policies without chance and with it")
    panel = Panel(chart, 40, 50, 700, 210, 0.7, 10.3, 0, 310)
    chart.legend(40, 14, [(kind, code) for code, _, kind in FIXED])
    panel.y_axis((0, 100, 200, 300), "seconds")
    for _, policy, kind in FIXED:
        points = [(float(count), policy.delay(Failure(count), Random(0)) or 0.0) for count in FAILURES]
        panel.line(points, kind)
        panel.dots(points, kind)
    panel.x_axis(FAILURES)
    chart.text(
        40,
        260,
        "With jitter, the first two around ExponentialBackoff(15): the median, and where 80 % of the delays lie",
        kind="small",
    )
    for index, (code, policy) in enumerate(RANDOM):
        left = 40 + index * 228
        small = Panel(chart, left, 300, left + 200, 420, 0.7, 10.3, 0, 310)
        chart.text(left, 284, code, kind="code")
        small.y_axis((0, 100, 200, 300))
        bands = _bands(policy)
        small.band([(count, low, high) for count, low, _, high in bands], "main")
        small.line([(count, middle) for count, _, middle, _ in bands], "main")
        small.x_axis(range(2, 11, 2), "failures in a row")
    return chart.svg()


def _bands(policy: BackoffPolicy) -> list[tuple[float, float, float, float]]:
    random, previous, found = Random(0), [0.0] * WALKS, []
    for count in FAILURES:
        previous = [policy.delay(Failure(count, previous=delay), random) or 0.0 for delay in previous]
        tenths = quantiles(previous, n=10, method="inclusive")
        found.append((float(count), tenths[0], tenths[4], tenths[8]))
    return found


def outage() -> str:
    """What an upstream that is down for three minutes sees of each policy."""
    chart = Chart(720, 120 + ROW * len(POLICIES), "Requests during an outage under each backoff policy")
    chart.text(0, 14, "Two jobs every 2 seconds; the upstream is away for three minutes (grey)")
    chart.legend(0, 36, [("main", "request, answered"), ("bad", "request in vain, its job has failed")])
    panel = Panel(chart, 284, 50, 610, 50 + ROW * len(POLICIES), 0, UNTIL)
    chart.box(panel.x(BEGIN), panel.top, panel.x(END), panel.bottom, "faint")
    for row, (code, policy) in enumerate(POLICIES.items()):
        top = panel.top + ROW * row
        good, bad = _outage(policy)
        chart.text(panel.left - 8, top + 16, code, kind="code", anchor="end")
        chart.marks(map(panel.x, good), top + 5, top + 19, "main")
        chart.marks(map(panel.x, bad), top + 5, top + 19, "bad")
        late = min(at for at in good if at >= END) - END
        chart.text(panel.right + 8, top + 16, f"{len(bad)} in vain, {late:.0f} s late", kind="small")
    panel.x_axis(
        range(0, int(UNTIL) + 1, 60), "seconds; at the right, how long after the outage the first request is answered"
    )
    return chart.svg()


def _outage(policy: BackoffPolicy) -> tuple[list[float], list[float]]:
    result = simulate(
        Scheduler(queue=BoundedQueue(10_000), pacing=MinInterval(1), backoff=policy, concurrency=4),
        Bursts(2, every=2, lasting=UNTIL),
        Upstream(latency=LogNormal(1, 0.3), troubles=Outage(BEGIN, END - BEGIN)),
        keep=10_000,
        until=UNTIL,
    )
    found = starts(result)
    return found["succeeded"], found["failed"]
