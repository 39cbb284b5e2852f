"""What pacing policies make of a burst, and of a limit that changes."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from chart import Chart, Panel
from pacer import BoundedQueue, Scheduler
from pacer.pacing import (
    AdaptiveRate,
    CompletionWindow,
    CubicRate,
    FixedPause,
    FixedWindow,
    GradientLimit,
    MinInterval,
    ServerGuided,
    SlidingWindow,
    TokenBucket,
    Unpaced,
    VegasLimit,
    WarmUp,
)
from pacer.protocols import PacingPolicy
from pacer.simulation import (
    Backlog,
    ChangingLimit,
    FixedWindowLimit,
    GcraLimit,
    LogNormal,
    Timeline,
    Upstream,
    simulate,
)
from runs import starts

JOBS = 60
PAST_THE_MINUTE = 40.0
POLICIES: dict[str, PacingPolicy[Any]] = {
    "Unpaced()": Unpaced(),
    "FixedPause(1)": FixedPause(1),
    "MinInterval(3)": MinInterval(3),
    "TokenBucket(20, per=60)": TokenBucket(20, per=60),
    "TokenBucket(10, per=60, burst=10)": TokenBucket(10, per=60, burst=10),
    "SlidingWindow(20, per=60)": SlidingWindow(20, per=60),
    "CompletionWindow(20, per=60)": CompletionWindow(20, per=60),
    "FixedWindow(20, per=60)": FixedWindow(20, per=60),
    "WarmUp(20, per=60, seconds=60)": WarmUp(20, per=60, seconds=60),
    "AdaptiveRate(0.2)": AdaptiveRate(0.2),
    "CubicRate()": CubicRate(),
    "GradientLimit()": GradientLimit(),
    "VegasLimit()": VegasLimit(),
    "ServerGuided()": ServerGuided(),
}
ROW = 24.0

SEEKERS: dict[str, PacingPolicy[Any]] = {
    "AdaptiveRate(2)": AdaptiveRate(2),
    "CubicRate()": CubicRate(),
    "ServerGuided()": ServerGuided(),
}
LIMITS = ((0.0, 20.0), (300.0, 10.0), (600.0, 20.0))
LASTING, STEP = 900.0, 10.0


def burst() -> str:
    """The same jobs under each policy, in front of 20 requests in each full minute."""
    chart = Chart(720, 120 + ROW * len(POLICIES), "Starts over time of the same burst under each pacing policy")
    chart.text(0, 14, f"{JOBS} jobs arrive at second {PAST_THE_MINUTE:g}; the upstream takes 20 in each full minute")
    chart.legend(0, 36, [("main", "request, answered"), ("bad", "request, refused with 429")])
    panel = Panel(chart, 236, 50, 610, 50 + ROW * len(POLICIES), PAST_THE_MINUTE, 390)
    minutes = range(60, 390, 60)
    for minute in minutes:
        chart.path([(panel.x(minute), panel.top), (panel.x(minute), panel.bottom)], "grid")
    for row, (code, policy) in enumerate(POLICIES.items()):
        top = panel.top + ROW * row
        good, bad = _burst(policy)
        chart.text(panel.left - 8, top + 16, code, kind="code", anchor="end")
        chart.marks(map(panel.x, good), top + 5, top + 19, "main")
        chart.marks(map(panel.x, bad), top + 5, top + 19, "bad")
        words = f"{max(good) - PAST_THE_MINUTE:.0f} s, {len(bad)} refused"
        chart.text(panel.right + 8, top + 16, words, kind="small")
    panel.x_axis(minutes, "seconds; at the right, how long after the burst the last job started")
    return chart.svg()


def _burst(policy: PacingPolicy[Any]) -> tuple[list[float], list[float]]:
    result = simulate(
        Scheduler(queue=BoundedQueue(JOBS), pacing=policy, concurrency=1 if isinstance(policy, FixedPause) else 10),
        Backlog(JOBS),
        Upstream(FixedWindowLimit(20, per=60, offset=60 - PAST_THE_MINUTE), LogNormal(4, 0.4), reports=True),
        keep=10_000,
        start=datetime(2026, 1, 1, 0, 0, int(PAST_THE_MINUTE), tzinfo=UTC),
    )
    found = starts(result)
    good, bad = ([PAST_THE_MINUTE + at for at in found[kind]] for kind in ("succeeded", "throttled"))
    return good, bad


def changing_limit() -> str:
    """Requests a second of the policies that find a limit, against one that is halved and doubled."""
    height = 130.0
    chart = Chart(720, 52 + (height + 30) * len(SEEKERS), "Rate of three pacing policies against a limit that changes")
    chart.legend(0, 14, [("limit", "what the upstream allows"), ("main", "answered"), ("bad", "refused with 429")])
    for row, (code, policy) in enumerate(SEEKERS.items()):
        top = 50 + (height + 30) * row
        panel = Panel(chart, 34, top, 700, top + height - 20, 0, LASTING, 0, 30)
        panel.y_axis((0, 10, 20, 30))
        chart.text(panel.left, top - 8, code, kind="code")
        edges = [*LIMITS, (LASTING, LIMITS[-1][1])]
        panel.line(
            [point for (at, rate), (end, _) in pairwise(edges) for point in ((at, rate), (end, rate))],
            "limit",
        )
        timeline = _changing(policy)
        for name, kind in (("succeeded", "main"), ("throttled", "bad")):
            panel.line([(at + STEP / 2, _rate(timeline, name, at)) for at in _steps()], kind)
        refused = timeline.between(60, LASTING).throttled_share
        share = timeline.between(60, LASTING).of_oracle
        words = f"after the first minute {100 * share:.0f} % of what was possible, {100 * refused:.1f} % refused"
        chart.text(panel.right, top - 8, words, kind="small", anchor="end")
        panel.x_axis(range(0, 901, 100), "seconds" if row == len(SEEKERS) - 1 else "")
    return chart.svg()


def _steps() -> list[float]:
    return [STEP * index for index in range(int(LASTING / STEP))]


def _rate(timeline: Timeline, name: str, at: float) -> float:
    part = timeline.between(at, at + STEP)
    return float(getattr(part, name)) / part.seconds


def _changing(policy: PacingPolicy[Any]) -> Timeline:
    limit = ChangingLimit([(at, GcraLimit(60 * rate, per=60, burst=rate)) for at, rate in LIMITS])
    return simulate(
        Scheduler(queue=BoundedQueue(20_000), pacing=policy, concurrency=200),
        Backlog(20_000),
        Upstream(limit, LogNormal(1, 0.4), reports=True),
        until=LASTING,
    ).timeline
