"""When the times of a schedule are: an interval on the store's clock, or a cron expression on a calendar."""

from __future__ import annotations

import math
import zoneinfo
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Protocol

import attrs

from pacer._extras import needed
from pacer._validation import seconds
from pacer.protocols import Ledger

if TYPE_CHECKING:
    from cronsim import CronSim

LEAST_INTERVAL = 0.01
# Sums of seconds that are not binary fractions would wander off, and look odd in the ids of jobs.
_DIGITS = 6
_FIRST_SPAN = 60.0


class Plan(Protocol):
    """The times of a schedule, on a clock of its own."""

    @property
    def kind(self) -> str:
        """One word, which says on which clock its times are."""

    @property
    def timespec(self) -> str:
        """How exactly its times have to be said so that no two of them look the same, as in `datetime.isoformat`."""

    @property
    def comes_again(self) -> bool:
        """Whether two times can look the same for people, because clocks on walls are set back."""

    def now(self, ledger: Ledger) -> float:
        """Its clock."""

    def utc(self, ledger: Ledger, at: float) -> datetime:
        """A time on its clock, for people."""

    def next(self, last: float) -> float:
        """The first time after this one; `inf` if there is none."""

    def due(self, last: float, now: float, most: int) -> Sequence[float]:
        """The times after `last` and up to `now`, in order; of many only the last `most`."""


def _rounded(value: float | timedelta) -> float:
    return round(seconds(value), _DIGITS)


@attrs.frozen
class Interval:
    """So many seconds after the last time, on the store's clock, which never goes back."""

    seconds: float = attrs.field(converter=_rounded)

    @seconds.validator
    def _check_seconds(self, attribute: attrs.Attribute[float], value: float) -> None:
        if not (LEAST_INTERVAL <= value < math.inf):
            msg = f"every: seconds must be a finite number, {LEAST_INTERVAL:g} or more, got {value!r}"
            raise ValueError(msg)

    kind = "every"
    comes_again = True

    @property
    def timespec(self) -> str:
        """To the second, if there cannot be two times in one."""
        return "seconds" if self.seconds >= 2 else "microseconds"

    def now(self, ledger: Ledger) -> float:
        """The store's clock."""
        return ledger.now()

    def utc(self, ledger: Ledger, at: float) -> datetime:
        """The store's own answer."""
        return ledger.utc(at)

    def next(self, last: float) -> float:
        """One interval later."""
        return round(last + self.seconds, _DIGITS)

    def due(self, last: float, now: float, most: int) -> Sequence[float]:
        """Found by dividing."""
        if now < self.next(last):
            return ()
        count = math.floor((now - last) / self.seconds) + 1  # one more, for what dividing may have lost
        times = (round(last + number * self.seconds, _DIGITS) for number in range(max(1, count - most), count + 1))
        return [at for at in times if at <= now][-most:]

    def __str__(self) -> str:
        return f"every {self.seconds:g} s"


@attrs.frozen
class Cron:
    """The times of a cron expression on the clock of a time zone, in Unix time."""

    expression: str
    tz: str = "UTC"

    kind = "cron"
    comes_again = False
    timespec = "seconds"

    def __attrs_post_init__(self) -> None:
        """Raises ValueError if one of them cannot be read, or there is no such time."""
        if len(self.expression.split()) != 5:
            names = "write @hourly as '0 * * * *', @daily as '0 0 * * *', @weekly as '0 0 * * 0'"
            advice = names if self.expression.lstrip().startswith("@") else "for less than a minute pass seconds"
            msg = (
                f"every: cron must have five fields (minute, hour, day, month, day of the week), got "
                f"{self.expression!r}; {advice}"
            )
            raise ValueError(msg)
        if math.isinf(self.next(0.0)):
            msg = f"every: cron={self.expression!r} names a time that never comes"
            raise ValueError(msg)

    def now(self, ledger: Ledger) -> float:
        """Unix time, by the store's clock."""
        return ledger.utc(ledger.now()).timestamp()

    def utc(self, ledger: Ledger, at: float) -> datetime:
        """It is Unix time already."""
        return datetime.fromtimestamp(at, UTC)

    def next(self, last: float) -> float:
        """The first time after this one."""
        return next(self._after(last), math.inf)

    def due(self, last: float, now: float, most: int) -> Sequence[float]:
        """Looked for among the last minutes, hours, days: after a long time there may be too many to go through."""
        span = _FIRST_SPAN
        while True:
            since = max(last, now - span)
            times = list(takewhile(lambda at: at <= now, self._after(since)))
            if since == last or len(times) >= most:
                return times[-most:]
            span *= 4

    def _after(self, last: float) -> Iterator[float]:
        times: Iterator[datetime] = self._simulated(datetime.fromtimestamp(last, zone(self.tz)))
        for one in times:
            at = one.timestamp()
            # In the hour that comes twice, it goes on from the first of them, although we are in the second.
            if at > last:
                yield at

    def _simulated(self, start: datetime) -> CronSim:
        with needed("cron"):
            from cronsim import CronSim, CronSimError  # noqa: PLC0415 - it may be missing
        try:
            return CronSim(self.expression, start)
        except CronSimError as error:
            msg = f"every: cron={self.expression!r} cannot be read: {str(error).lower()}"
            raise ValueError(msg) from None

    def __str__(self) -> str:
        return f"{self.expression} ({self.tz})"


@lru_cache(maxsize=256)
def zone(name: str) -> tzinfo:
    """A time zone; UTC needs no database. Raises ValueError."""
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError, TypeError):
        msg = f'every: tz must be a name of the IANA time zone database such as "Europe/Berlin", got {name!r}'
        if not zoneinfo.available_timezones():
            msg += " (this machine has no such database: install the tzdata package)"
        raise ValueError(msg) from None
