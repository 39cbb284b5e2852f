"""Whether the intervals of forecasts cover what they promise, and by how much they have to be wider or narrower."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from pacer._forecast import forecast_start
from pacer._job import JobRecord
from pacer._snapshot import QueueState, Snapshot

if TYPE_CHECKING:
    from pacer._rules import Rules

# A forecast costs a few milliseconds, so not every job is promised something: one a second, and one in ten seconds
# where it is a long way to the front.
EVERY, SELDOM, LONG_WAY = 1.0, 10.0, 200
# How far a miss moves a bound, and how far one can be moved: as logarithms of a factor on its distance from the mean.
STEP = 0.1
NARROWEST, WIDEST = -2.0, 4.0
# The share of starts that may be beyond each bound.
MISS = 0.1
# What is narrower is a point, and a timer that is late by less does not make it untrue.
LATE = 0.05


def promised(
    rules: Rules, state: QueueState, job: JobRecord, position: int, snapshot: Callable[[], Snapshot]
) -> QueueState:
    """Now and then, note with a job that has just come in when it is expected to start: `promised_low` and `_high`."""
    now = job.created_at
    since = now - state.promised_at
    if not rules.calibrated or 0 <= since < (EVERY if position <= LONG_WAY else SELDOM):
        return state
    found = forecast_start(rules, snapshot(), job, position)
    if found is not None and found.high > 0:
        job.promised_low, job.promised_high = now + found.low, now + found.high
    return attrs.evolve(state, promised_at=now)


def kept(state: QueueState, now: float, job: JobRecord) -> QueueState:
    """The job starts: both bounds are moved by what has come of the promise, if there was one and this is its start.

    `bound += STEP * (missed - MISS)`, for each of them: adaptive conformal inference (Gibbs and Candes 2021) on the
    scale of the interval. In the long run a share MISS of the starts is beyond each bound, whatever jobs and rules do,
    as long as a factor between NARROWEST and WIDEST can bring that about. A point that comes true says nothing of the
    scale.
    """
    low, high = job.promised_low, job.promised_high
    if low is None or high is None or job.fence > 1:  # it has started before, and was put back
        return state
    if high - low < LATE and low - LATE < now < high + LATE:
        return state
    return attrs.evolve(
        state,
        low_scale=_moved(state.low_scale, now < low),
        high_scale=_moved(state.high_scale, now > high),
    )


def _moved(scale: float, missed: bool) -> float:
    return min(max(scale + STEP * (missed - MISS), NARROWEST), WIDEST)
