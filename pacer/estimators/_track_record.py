"""How good the foretold means have been: from that, the spread of one duration and the uncertainty of the mean.

A sample says too little of this by itself. Of skewed durations, a sample that happens to have a low mean has a low
deviation too, and it is then surest when it is most wrong; and no sample shows how fast the mean moves. So each
duration, and each row of BLOCK durations, is compared with the mean that was foretold before it, and the result is
remembered for longer than the mean itself.
"""

from __future__ import annotations

import math

from typing_extensions import TypedDict

from pacer._durations import LEAST_DURATION

# So many durations in a row are compared with the mean that was foretold before them.
BLOCK = 20
# The spread is remembered so many times longer than the mean.
_LONGER = 10
# So many rows are remembered.
_ROWS_REMEMBERED = 20
# From so many durations on their own quantiles say more than a log-normal distribution.
ENOUGH = 10
# While the mean is still being found its errors say nothing of how it moves.
_SETTLED = 20.0
# Deviations beyond a hundredfold are counted as that; their squares would outweigh everything for ever.
_MOST = 100.0
LONGEST = 1e9


class _Row(TypedDict):
    foretold: float
    squares: float
    sum: float
    size: int


_NO_ROW: _Row = {"foretold": 0.0, "squares": 0.0, "sum": 0.0, "size": 0}


class TrackRecord(TypedDict):
    """What came of the means that were foretold, all relative to them.

    `spread` is the mean square of `duration / mean - 1`, over `seen` durations; `drift` that of `log(mean of a row /
    mean before it)`, less what chance explains, over `rows`. Of the row that is under way: `sum` is that of its `size`
    durations, `foretold` that of the means which were foretold for them before it, and `squares` that of their squares.
    One mapping, made anew as a whole: this is on the path of each job.
    """

    spread: float
    seen: int
    drift: float
    rows: int
    foretold: float
    squares: float
    sum: float
    size: int


def blank() -> TrackRecord:
    """Nothing has come true yet: a deviation as large as the mean."""
    return {"spread": 1.0, "seen": 0, "drift": 0.0, "rows": 0, **_NO_ROW}


def came_true(
    record: TrackRecord,
    mean: float,
    duration: float,
    effective: float,
    remembered: float | None = None,
    settled: float = _SETTLED,
    before_row: float | None = None,
) -> TrackRecord:
    """The record after a duration of which `mean` was foretold.

    `effective` is the number of durations that the mean stands for: `spread` is freed from the mean's own error, a
    share `1 / (1 + effective)` of it. It is an average over ten times as many durations, or ten times `remembered`; at
    first later ones weigh more, for they were foretold with less of the prior. Rows begin after `settled` durations.
    `before_row` is what was foretold for this job before the row began, by default the same as for the row's first.
    """
    mean = max(mean, LEAST_DURATION)
    off = min(duration / mean - 1, _MOST)
    seen, size = record["seen"] + 1, record["size"]
    pace = max(2 / (seen + 2), 1 / (_LONGER * (remembered or effective)))
    new = record.copy()
    new["spread"] += pace * (off * off * effective / (1 + effective) - new["spread"])
    new["seen"] = seen
    if seen <= settled:
        return new
    if before_row is None:
        before_row = record["foretold"] / size if size else mean
    new["foretold"] += before_row
    new["squares"] += before_row * before_row
    new["sum"] += duration
    new["size"] = size + 1
    return new if size + 1 < BLOCK else _row_ended(new, effective)


def _row_ended(record: TrackRecord, effective: float) -> TrackRecord:
    ratio = min(max(record["sum"] / record["foretold"], 1 / _MOST), _MOST)
    chance = record["spread"] * (record["squares"] / record["foretold"] ** 2 + 1 / effective)
    pace = max(1 / (record["rows"] + 1), 1 / _ROWS_REMEMBERED)
    drift = record["drift"] + pace * (math.log(ratio) ** 2 - chance - record["drift"])
    return {**record, "drift": drift, "rows": record["rows"] + 1, **_NO_ROW}


def spread_and_uncertainty(record: TrackRecord, mean: float, effective: float, prior: float) -> tuple[float, float]:
    """Standard deviations of one duration and of the mean, in seconds, for a mean over `effective` durations.

    The first is `mean * sqrt(spread)`. The second has three parts: the mean's own error, `mean * sqrt(spread /
    effective)`; that it moves, `mean * sqrt(exp(drift) - 1)`; and the seconds of the `prior` that are still in it, of
    which nothing is known but their size.
    """
    spread = record["spread"]
    drift = math.expm1(min(max(record["drift"], 0.0), 4.0))
    sd = mean * math.sqrt(spread)
    return min(sd, LONGEST), min(math.hypot(mean * math.sqrt(spread / effective + drift), prior), LONGEST)


def prior_share(seen: int) -> float:
    """The share of the prior after so many durations: it halves with each of them."""
    return 0.5**seen


def faded(initial: float, mean: float, seen: int) -> float:
    """A mean of so many durations, blended with the prior."""
    share = prior_share(seen)
    return share * initial + (1 - share) * mean
