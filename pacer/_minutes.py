"""What has happened in each minute: a few numbers that a queue keeps for a day, for the charts that people look at."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

SECONDS: Final = 60.0
KEPT: Final = 1440
"""So many minutes are kept."""

Tally = Sequence[float]
"""The number of the minute on the store's clock, and then, of that minute: runs started, the seconds that they had
waited in all and at most, jobs succeeded, jobs failed for good, runs failed and to be retried, runs throttled."""

NOTHING: Final[Tally] = ()
_MINUTE, _STARTED, _WAITED, _LONGEST, _SUCCEEDED, _FAILED, _RETRIED, _THROTTLED = range(8)


def number_of(at: float) -> int:
    """The minute in which this time is."""
    return int(at // SECONDS)


def counted(
    minute: Tally,
    past: Sequence[Tally],
    now: float,
    *,
    waited: float | None = None,
    succeeded: bool = False,
    failed: bool = False,
    retried: bool = False,
    throttled: bool = False,
) -> tuple[Tally, Sequence[Tally]]:
    """The current minute, and those that are over and not put away yet, after something has happened.

    Args:
        minute: The current minute until now; `NOTHING` for none.
        past: Those that were over.
        now: When it happened. Before the current minute, it counts as part of that.
        waited: A run has started, which has waited for so many seconds.
        succeeded: A job has succeeded.
        failed: A job has failed for good.
        retried: A run has failed, and there will be another one.
        throttled: The upstream has sent a run back.
    """
    if not minute or now >= (minute[_MINUTE] + 1) * SECONDS:
        past = (*past, minute) if minute else past
        minute = (number_of(now), 0, 0.0, 0.0, 0, 0, 0, 0)
    number, runs, seconds, longest, good, bad, again, sent_back = minute
    if waited is not None:
        runs, seconds, longest = runs + 1, seconds + waited, max(longest, waited)
    return (
        number,
        runs,
        seconds,
        longest,
        good + succeeded,
        bad + failed,
        again + retried,
        sent_back + throttled,
    ), past


@attrs.frozen(kw_only=True)
class Minute:
    """What happened in one minute, over all processes.

    Attributes:
        at: When it began, as an aware UTC datetime.
        started: Runs that started.
        mean_wait: Seconds that they had waited since they were ready to start; 0 if none started.
        longest_wait: The longest of these waits.
        succeeded: Jobs that succeeded.
        failed: Jobs that failed for good.
        retried: Runs that failed, and were to be tried again.
        throttled: Runs that the upstream sent back.
    """

    at: datetime
    started: int
    mean_wait: float
    longest_wait: float
    succeeded: int
    failed: int
    retried: int
    throttled: int


def minute_of(tally: Tally, at: datetime) -> Minute:
    """For people."""
    started = int(tally[_STARTED])
    return Minute(
        at=at,
        started=started,
        mean_wait=tally[_WAITED] / started if started else 0.0,
        longest_wait=tally[_LONGEST],
        succeeded=int(tally[_SUCCEEDED]),
        failed=int(tally[_FAILED]),
        retried=int(tally[_RETRIED]),
        throttled=int(tally[_THROTTLED]),
    )


def without_gaps(tallies: Iterable[Tally], first: int, last: int) -> list[Tally]:
    """One for each of these minutes: with zeros where nothing happened."""
    known: Mapping[int, Tally] = {int(tally[_MINUTE]): tally for tally in tallies}
    return [known.get(number, (number, *[0.0] * _THROTTLED)) for number in range(first, last + 1)]


def usable(value: Any) -> bool:
    """Whether this can be the `Tally` of a minute, as found in a store."""
    if not isinstance(value, list | tuple) or len(value) != _THROTTLED + 1 or type(value[_MINUTE]) is not int:
        return False
    return all(type(one) in (int, float) and abs(one) <= sys.float_info.max for one in value)
