"""The figures by which candidates are compared: where they come from, how they are written, which is best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import median
from typing import Final, Literal

import attrs

from pacer._compare._run import Trial
from pacer.simulation import Result

Measure = Literal["rate", "share", "count", "wait", "time", "index"]
"""What a figure is, which says how it is written. All of one measure have one unit."""


def _always(values: Sequence[float]) -> bool:
    return True


def _some(values: Sequence[float]) -> bool:
    return any(value > 0 for value in values)


def _unequal(values: Sequence[float]) -> bool:
    return any(value < 0.995 for value in values)


@attrs.frozen
class Figure:
    """One column.

    Attributes:
        key: Its name in the JSON report.
        title: Its name in tables; {} is the unit.
        measure: How it is written.
        most_is_best: Whether more is better.
        of: The number, from one run; None if it was not measured.
        wanted: Whether the table has room for it, given its numbers for all candidates.
    """

    key: str
    title: str
    measure: Measure
    most_is_best: bool
    of: Callable[[Result], float | None]
    wanted: Callable[[Sequence[float]], bool] = _always


def _lost(result: Result) -> int:
    return result.refused + result.dropped + result.expired + result.failed


def _wait(percentile: int) -> Callable[[Result], float | None]:
    """None if no job was done, so that nobody has waited for anything."""
    return lambda result: result.wait.percentiles[percentile] if result.wait.count else None


def _covered(result: Result) -> float | None:
    return None if result.promises is None else result.promises.covered


FIGURES: Final = (
    Figure("goodput_per_second", "done per {}", "rate", True, lambda result: result.goodput),
    Figure("utilisation", "of max, {}", "share", True, lambda result: result.utilisation),
    Figure("throttled_share", "429s, {}", "share", False, lambda result: result.throttled_share),
    Figure("lost", "jobs lost", "count", False, _lost, _some),
    Figure("unfinished", "jobs left", "count", False, lambda result: result.unfinished, _some),
    Figure("wait_p50_seconds", "wait p50, {}", "wait", False, _wait(50)),
    Figure("wait_p95_seconds", "wait p95, {}", "wait", False, _wait(95)),
    Figure("wait_p99_seconds", "wait p99, {}", "wait", False, _wait(99)),
    Figure("makespan_seconds", "ends after, {}", "time", False, lambda result: result.makespan),
    Figure("fairness", "fairness", "index", True, lambda result: result.fairness, _unequal),
    Figure("estimates_covered", "ETA held, {}", "share", True, _covered),
)


def numbers(figure: Figure, trial: Trial) -> list[float]:
    """One for each run; none if it was not measured."""
    return [value for value in map(figure.of, trial.results) if value is not None]


def middle(key: str, trial: Trial) -> float:
    """The median over a candidate's runs of the figure with this key; infinite if it was not measured."""
    figure = next(one for one in FIGURES if one.key == key)
    return median(numbers(figure, trial) or [math.inf])


# -- how numbers are written -----------------------------------------------------------------------------------------

UNITS: Final = ((1.0, "s"), (60.0, "min"), (3600.0, "h"))


def rate_unit(rates: Sequence[float]) -> tuple[float, str]:
    """The unit of time in which rates a second are easy to read: seconds that it has, and its sign."""
    most = max(rates, default=0.0)
    return next((one for one in UNITS if most * one[0] >= 1), UNITS[-1])


def time_unit(times: Sequence[float]) -> tuple[float, str]:
    """The unit in which times in seconds are easy to read."""
    most = max(times, default=0.0)
    return next((one for one in UNITS if most / one[0] < 1000), UNITS[-1])


def hundredths(value: float) -> str:
    """A share in percent. What is not all is never written as all, and what is something never as nothing."""
    if 0 < value < 0.001:
        return "<0.1"
    if 0.99 <= value < 1:
        return f"{math.floor(value * 1000 + 1e-9) / 10:.1f}"
    return f"{value * 100:.1f}" if 0 < value < 0.0995 else f"{value * 100:.0f}"


def percent(value: float) -> str:
    """The same, with its sign."""
    return f"{hundredths(value)} %"


def decimal(value: float) -> str:
    """Three digits, unless there are more before the point."""
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"


def duration(value: float) -> str:
    """A time in seconds, in the unit that suits it."""
    seconds, sign = time_unit([value])
    return f"{_short(value / seconds)} {sign}"


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def writer(measure: Measure, values: Sequence[float]) -> tuple[Callable[[float], str], str]:
    """How to write numbers of a measure, and the sign of their unit."""
    if measure == "rate":
        seconds, sign = rate_unit(values)
        return lambda value: decimal(value * seconds), sign
    if measure in ("wait", "time"):
        seconds, sign = time_unit(values)
        return lambda value: _short(value / seconds), sign
    if measure == "count":
        return lambda value: f"{value:.0f}", ""
    return (hundredths, "%") if measure == "share" else (decimal, "")
