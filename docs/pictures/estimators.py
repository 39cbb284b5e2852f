"""How intervals follow durations that change, and durations that depend on the job."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import attrs

from chart import Chart, Panel
from pacer import JobRecord, Outcome, OutcomeKind
from pacer.estimators import (
    ByCost,
    Calibrated,
    MovingAverage,
    PerKind,
    StreamingQuantile,
    WindowedQuantile,
)
from pacer.protocols import DurationEstimator, JobFacts
from pacer.simulation import LogNormal

SUCCESS = Outcome(OutcomeKind.SUCCEEDED)
SHIFTED: dict[str, DurationEstimator[Any]] = {
    "MovingAverage(20)": MovingAverage(20),
    "WindowedQuantile(20)": WindowedQuantile(20),
    "StreamingQuantile(20)": StreamingQuantile(20),
    "Calibrated(WindowedQuantile(20))": Calibrated(WindowedQuantile(20)),
}
JOBS, SHIFT = 400, 200
MIXED: dict[str, DurationEstimator[Any]] = {
    "WindowedQuantile(20)": WindowedQuantile(20),
    "PerKind(WindowedQuantile(20))": PerKind(WindowedQuantile(20)),
    "PerKind(ByCost(20))": PerKind(ByCost(20)),
}


@attrs.frozen
class Seen:
    """A duration, and what had been foretold of it: 10 %, mean, 90 %."""

    duration: float
    low: float
    mean: float
    high: float


def level_shift() -> str:
    """Jobs of 20 seconds become jobs of 40."""
    chart = Chart(720, 480, "The 80 % interval of four estimators before and after durations double")
    chart.legend(40, 14, [("main", "mean and 80 % interval, foretold before each job")])
    chart.dots([(362, 10)], "faint")
    chart.text(370, 14, "how long it took, in seconds", kind="small")
    random = Random(0)
    jobs = [_job(number) for number in range(JOBS)]
    durations = [LogNormal(20 if number < SHIFT else 40, 0.5).draw(random) for number in range(JOBS)]
    for index, (code, estimator) in enumerate(SHIFTED.items()):
        left, top = 34 + 352 * (index % 2), 54 + 220 * (index // 2)
        panel = Panel(chart, left, top, left + 316, top + 160, 0, JOBS, 0, 120)
        found = _foretold(estimator, jobs, durations)
        whole, after = _covered(found), _covered(found[SHIFT : SHIFT + 50])
        chart.text(left, top - 10, code, kind="code")
        panel.y_axis((0, 40, 80, 120))
        panel.dots([(number, one.duration) for number, one in enumerate(found)], "faint")
        shown = list(enumerate(found))[::3]
        panel.band([(number, one.low, one.high) for number, one in shown], "main")
        panel.line([(number, one.mean) for number, one in shown], "main")
        words = f"jobs; {whole:.0f} % inside, {after:.0f} % of the 50 after the change"
        panel.x_axis(range(0, JOBS + 1, 100), words)
    return chart.svg()


def mixture() -> str:
    """Jobs of two functions, one of which takes as long as its tokens say."""
    chart = Chart(720, 272, "What three estimators say of jobs that differ in kind and size")
    chart.legend(34, 14, [("main", "80 % interval for summarise"), ("second", "80 % interval for embed")])
    random = Random(1)
    jobs, durations = [], []
    for number in range(300):
        tokens = round(Random(number).uniform(200, 3000))
        embed = number % 2 == 0
        jobs.append(_job(number, "embed" if embed else "summarise", tokens))
        usual = 3.0 if embed else 4 + 0.012 * tokens
        durations.append(LogNormal(usual, 0.25).draw(random))
    for index, (code, estimator) in enumerate(MIXED.items()):
        left = 34 + 230 * index
        panel = Panel(chart, left, 54, left + 196, 222, 0, 3000, 0, 60)
        state = _state_after(estimator, jobs, durations)
        chart.text(left, 44, code, kind="code")
        panel.y_axis((0, 20, 40, 60))
        panel.dots([(job.cost["tokens"], duration) for job, duration in zip(jobs, durations, strict=True)], "faint")
        for task, kind in (("summarise", "main"), ("embed", "second")):
            edges = []
            for tokens in range(200, 3001, 100):
                predicted = estimator.predict(state, _job(0, task, tokens))
                edges.append((float(tokens), predicted.quantile(0.1), predicted.quantile(0.9)))
            panel.band(edges, kind)
        panel.x_axis((0, 1000, 2000, 3000), "tokens; seconds at the left")
    return chart.svg()


def _job(number: int, task: str = "work", tokens: float = 1000) -> JobRecord:
    return JobRecord(id=str(number), task=task, cost={"requests": 1.0, "tokens": tokens})


def _foretold(estimator: DurationEstimator[Any], jobs: Sequence[JobFacts], durations: Sequence[float]) -> list[Seen]:
    state, found = estimator.initial_state(), []
    for job, duration in zip(jobs, durations, strict=True):
        predicted = estimator.predict(state, job)
        found.append(Seen(duration, predicted.quantile(0.1), predicted.mean, predicted.quantile(0.9)))
        state = estimator.observed(state, job, duration, SUCCESS)
    return found


def _covered(found: Sequence[Seen]) -> float:
    """Percent of the durations that were within their interval."""
    return 100 * sum(one.low <= one.duration <= one.high for one in found) / len(found)


def _state_after(estimator: DurationEstimator[Any], jobs: Sequence[JobFacts], durations: Sequence[float]) -> Any:
    state = estimator.initial_state()
    for job, duration in zip(jobs, durations, strict=True):
        state = estimator.observed(state, job, duration, SUCCESS)
    return state
