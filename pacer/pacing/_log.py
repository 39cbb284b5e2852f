"""A log of what has happened in the last so many seconds: which times, and how much was used."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from operator import itemgetter

from pacer.pacing._cost import ROUNDING

# Pairs of a time and of all that was used up to and including it, from some beginning. Sums are found by looking at
# two of them, so no question costs more than a search. The first pair may have left the window: the sums build on it.
Log = list[list[float]]

_time, _total = itemgetter(0), itemgetter(1)


def room_at(log: Log, cost: float, limit: float, per: float) -> float:
    """When so much more fits, in every half-open window of `per` seconds; `-inf` for at once."""
    if not log:
        return -math.inf
    has_to_leave = log[-1][1] + cost - limit - ROUNDING
    if has_to_leave <= 0:
        return -math.inf
    return log[bisect_left(log, has_to_leave, key=_total)][0] + per


def is_over(log: Log, now: float, per: float) -> bool:
    """Whether all of it has left the window."""
    return not log or log[-1][0] + per <= now


def noted(log: Log, at: float, cost: float, per: float) -> Log:
    """The log with this cost at this time, without what has left the window by then.

    Costs below 1 share a pair as long as they make no more than 1 together, so that the log holds at most two pairs for
    each unit of the limit. The earlier one then leaves with the later one: later than it might, never sooner.
    """
    if cost <= 0:
        return log
    if is_over(log, at, per):
        return [[at, cost]]
    last, total = log[-1]
    at = max(at, last)
    gone = bisect_right(log, at, key=lambda pair: pair[0] + per)
    kept = log[max(gone - 1, 0) :]
    before = kept[-2][1] if len(kept) > 1 else 0.0
    if total - before + cost <= 1:
        kept.pop()
    kept.append([at, total + cost])
    return kept


def without(log: Log, at: float, cost: float, now: float, per: float) -> Log:
    """The log as if this cost had not been noted at this time; as it is, if that cannot be told, or makes no odds."""
    first = bisect_left(log, at, key=_time)
    for index in range(first, len(log)):
        if at + per <= now or log[index][0] > log[first][0]:
            break  # it has left the window, or is not there
        # The sums build on a pair that has left the window, if one has; then this is not the first.
        own = log[index][1] - (log[index - 1][1] if index else 0.0)
        if own >= cost - ROUNDING:
            rest = [[time, total - cost] for time, total in log[index:]]
            return log[:index] + (rest if own > cost + ROUNDING else rest[1:])
    return log
