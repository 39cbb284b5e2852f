"""Starts within opening hours only."""

from __future__ import annotations

import math
import re
import zoneinfo
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, NoReturn

import attrs

from pacer._job import Outcome
from pacer._validation import finite, seconds
from pacer.pacing._all_of import Combinable
from pacer.protocols import NOW, JobFacts, When

_WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MIDNIGHT = "24:00"
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 24 * 60
# One day of the week comes again after 7 days, and the change to summer time may swallow its hours once.
DAYS_AHEAD = 15


@attrs.frozen
class OpeningHours(Combinable):
    """Jobs start only from `opens` to `closes`, on the clock of a time zone; a job that has started runs on.

    `OpeningHours("22:00", "06:00", days="mon-fri", timezone="Europe/Berlin")` is five nights a week: hours that close
    before they open close on the next day, and belong to the day on which they open. `|` adds hours:
    `OpeningHours("18:00", "24:00") | OpeningHours("00:00", "24:00", days="sat,sun")`.

    Computed on the calendar, with summer time as RFC 5545 (2009, section 3.3.5) has it: a time of day that occurs twice
    means the first, one that is skipped counts from the offset before the gap (02:30 is 03:30 then). In Berlin the
    hours from 22:00 to 06:00 last 7 hours in the last night of March's change and 9 in that of October's.

    Not for a pace: at the moment of opening everything may start at once. Combine it with one:
    `OpeningHours("22:00", "06:00") & TokenBucket(60, per=60)`. Not for holidays, of which it knows nothing.

    State: none.

    Args:
        opens: A time of day, "00:00" to "23:59".
        closes: A time of day, "00:00" to "24:00"; jobs start before it. "00:00" to "24:00" is all day.
        days: On which days it opens: "mon-fri", "sat,sun", "mon,wed-fri"; every day by default.
        timezone: A name of the IANA time zone database; "UTC" by default.
        also: More hours, as `|` adds them; none by default.
        epoch: Unix time at which the clock shows 0; 0 by default. Whoever opens a store fills it in.

    Raises:
        ValueError: A setting cannot be read, or this machine does not know the time zone. Where there is no time zone
            database (Windows, small containers), install the `tzdata` package.
    """

    opens: str = attrs.field()
    closes: str = attrs.field()
    days: str = attrs.field(default="mon-sun", kw_only=True)
    timezone: str = attrs.field(default="UTC", kw_only=True)
    also: tuple[OpeningHours, ...] = attrs.field(default=(), kw_only=True)
    epoch: float = attrs.field(default=0.0, converter=seconds, validator=finite, kw_only=True, repr=False)

    starts_ahead = True

    @opens.validator
    def _check_opens(self, attribute: attrs.Attribute[Any], value: str) -> None:
        if not isinstance(value, str) or _minutes(value) is None or value == _MIDNIGHT:
            self._refuse(attribute, 'a time of day from "00:00" to "23:59"', value)

    @closes.validator
    def _check_closes(self, attribute: attrs.Attribute[Any], value: str) -> None:
        if not isinstance(value, str) or _minutes(value) is None:
            self._refuse(attribute, 'a time of day from "00:00" to "24:00"', value)
        if _minutes(value) == _minutes(self.opens):
            self._refuse(attribute, 'another time than opens ("00:00" to "24:00" is all day)', value)

    @days.validator
    def _check_days(self, attribute: attrs.Attribute[Any], value: str) -> None:
        if not isinstance(value, str) or not _weekdays(value):
            self._refuse(attribute, 'days such as "mon-fri" or "sat,sun"', value)

    @timezone.validator
    def _check_timezone(self, attribute: attrs.Attribute[Any], value: str) -> None:
        try:
            _zone(value)
        except (KeyError, ValueError, OSError, TypeError):
            rule = 'a name of the IANA time zone database such as "Europe/Berlin"'
            if not zoneinfo.available_timezones():
                rule += " (this machine has no such database: install the tzdata package)"
            self._refuse(attribute, rule, value)

    @also.validator
    def _check_also(self, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
        plain = isinstance(value, tuple) and all(isinstance(one, OpeningHours) and not one.also for one in value)
        if not plain:
            self._refuse(attribute, "a tuple of OpeningHours that have no `also` of their own", value)

    @staticmethod
    def _refuse(attribute: attrs.Attribute[Any], rule: str, value: object) -> NoReturn:
        msg = f"OpeningHours: {attribute.name} must be {rule}, got {value!r}"
        raise ValueError(msg) from None

    def __or__(self, other: OpeningHours) -> OpeningHours:
        """Both hours: open when one of them is."""
        if not isinstance(other, OpeningHours):
            return NotImplemented
        return attrs.evolve(self, also=(*self.also, attrs.evolve(other, also=()), *other.also))

    def on_clock(self, epoch: float) -> OpeningHours:
        """The same hours on a clock that showed 0 at this Unix time."""
        return attrs.evolve(self, epoch=epoch, also=tuple(attrs.evolve(hours, epoch=epoch) for hours in self.also))

    def initial_state(self) -> None:
        """There is no state."""
        return

    def earliest(self, state: None, now: float, job: JobFacts, running: int) -> When:
        """Now, or when it opens."""
        at, hours = self._next(now), self
        for more in self.also:
            if (sooner := more._next(now)) < at:
                at, hours = sooner, more
        if at <= now:
            return NOW
        return When(at, False, f"outside of opening hours: {hours.days} from {hours.opens}, {hours.timezone}")

    def started(self, state: None, now: float, job: JobFacts, running: int) -> None:
        """Nothing to charge."""
        return

    def ended(self, state: None, now: float, job: JobFacts, outcome: Outcome, running: int) -> None:
        """Nothing to learn."""
        return

    def _next(self, now: float) -> float:
        """When the hours that last now have begun, or else the next ones begin."""
        weekdays, zone = _weekdays(self.days), _zone(self.timezone)
        today = (_UNIX + timedelta(seconds=now + self.epoch)).astimezone(zone).toordinal()
        for day in range(today - 1, today + DAYS_AHEAD):
            # Ordinal 1 was a Monday.
            if (day - 1) % 7 in weekdays:
                opens, closes = _hours(self.opens, self.closes, self.timezone, day)
                # Compared on the clock that is asked about, so that it is open at the very time that is named.
                if now < closes - self.epoch and opens < closes:
                    return opens - self.epoch
        return math.inf


@lru_cache(maxsize=1024)
def _hours(opens: str, closes: str, timezone: str, day: int) -> tuple[float, float]:
    """From when to when, in Unix time, it is open if it opens on this day (counted from 1 January of the year 1)."""
    begin, end = _minutes(opens) or 0, _minutes(closes) or 0
    if end <= begin:
        end += DAY
    midnight, zone = datetime.fromordinal(day), _zone(timezone)
    first, last = ((midnight + timedelta(minutes=minutes)).replace(tzinfo=zone) for minutes in (begin, end))
    return first.timestamp(), last.timestamp()


@lru_cache(maxsize=256)
def _zone(name: str) -> tzinfo:
    """UTC needs no database."""
    return UTC if name == "UTC" else zoneinfo.ZoneInfo(name)


@lru_cache(maxsize=256)
def _minutes(time: str) -> int | None:
    """Minutes since midnight; None if it is no time of day."""
    if time == _MIDNIGHT:
        return DAY
    if not re.fullmatch(r"([01]?\d|2[0-3]):[0-5]\d", time, re.ASCII):
        return None
    hours, _, minutes = time.partition(":")
    return 60 * int(hours) + int(minutes)


@lru_cache(maxsize=256)
def _weekdays(days: str) -> frozenset[int]:
    """0 is Monday; empty if it cannot be read."""
    found = set[int]()
    for span in days.replace(" ", "").lower().split(","):
        first, dash, last = span.partition("-")
        if first not in _WEEK or (dash and last not in _WEEK):
            return frozenset()
        number = _WEEK.index(first)
        count = (_WEEK.index(last) - number) % 7 if dash else 0
        found |= {(number + step) % 7 for step in range(count + 1)}
    return frozenset(found)
