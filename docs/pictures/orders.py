"""Who waits how long when one of two tenants floods the queue."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from statistics import median
from typing import Any

import attrs

from chart import Chart, Panel
from pacer import BoundedQueue, Scheduler
from pacer.estimators import ByCost
from pacer.protocols import JobOrder
from pacer.queues import FairShare, Fifo, Lifo, Priority, ShortestFirst
from pacer.simulation import Arrival, CostLatency, LogNormal, Upstream, simulate

ORDERS: dict[str, JobOrder[Any]] = {
    "Fifo()": Fifo(),
    "Lifo()": Lifo(),
    "Priority(ageing=600)": Priority(ageing=600),
    "ShortestFirst(ageing=60)": ShortestFirst(ageing=60),
    "FairShare()": FairShare(),
}
FLOOD, SMALL = "flood", "small"
KINDS = {FLOOD: "second", SMALL: "main"}
ROW = 44.0


@attrs.frozen
class TwoTenants:
    """One sends a job every minute, the other sixty at once after five minutes."""

    endless: bool = False

    def arrivals(self, random: Random) -> Iterator[Arrival]:
        """In order of time."""
        trickle = [Arrival(60.0 * minute, SMALL, {"requests": 1, "tokens": 500}, priority=1) for minute in range(18)]
        flood = [Arrival(300.0, FLOOD, {"requests": 1, "tokens": 1000}) for _ in range(60)]
        yield from sorted([*trickle, *flood], key=lambda arrival: arrival.at)


def two_tenants() -> str:
    """The waits of both under each order."""
    chart = Chart(720, 116 + ROW * len(ORDERS), "Waits of two tenants under each order, one of which floods the queue")
    chart.text(
        0, 14, "small: a job of 6 s every minute, priority 1. flood: 60 jobs of 12 s at once. One runs at a time"
    )
    chart.legend(
        0, 36, [("main", "small, waits from least to greatest"), ("second", "flood, the same; the disc is the median")]
    )
    panel = Panel(chart, 190, 50, 690, 50 + ROW * len(ORDERS), 0, 900)
    for tick in range(0, 901, 150):
        chart.path([(panel.x(tick), panel.top), (panel.x(tick), panel.bottom)], "grid")
    for row, (code, order) in enumerate(ORDERS.items()):
        top = panel.top + ROW * row
        chart.text(panel.left - 10, top + 27, code, kind="code", anchor="end")
        for y, (key, waits) in zip((top + 15, top + 30), _waits(order).items(), strict=True):
            chart.box(panel.x(min(waits)), y - 3, panel.x(max(waits)), y + 3, KINDS[key])
            chart.dots([(panel.x(median(waits)), y)], KINDS[key])
    panel.x_axis(range(0, 901, 150), "seconds from arrival to start")
    return chart.svg()


def _waits(order: JobOrder[Any]) -> dict[str, list[float]]:
    workload = TwoTenants()
    result = simulate(
        Scheduler(queue=BoundedQueue(200, order=order), estimator=ByCost(10), concurrency=1),
        workload,
        Upstream(latency=CostLatency(0, {"tokens": 0.012}, noise=LogNormal(1, 0.1))),
        keep=10_000,
    )
    arrivals = list(workload.arrivals(Random(0)))
    waits: dict[str, list[float]] = {SMALL: [], FLOOD: []}
    for one in result.happenings:
        if one.what == "started":
            arrival = arrivals[one.job]
            waits[str(arrival.key)].append(one.at - arrival.at)
    return waits
