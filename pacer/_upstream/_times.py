"""Times as upstreams write them: seconds, durations, dates."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

# What is further away is not meant as a time: a counter, a timestamp in another unit, a mistake.
LONGEST = 366 * 86400.0
# How far in the past a number still is a time stamp. It may just have passed, or the clocks may differ.
_STALE = 86400.0

_NUMBER = re.compile(r"\d{1,15}(?:\.\d{0,12})?", re.ASCII)
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_PART = re.compile(rf"(\d{{1,12}}(?:\.\d{{0,12}})?)({_UNIT})", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH = f"(?P<month>{'|'.join(_MONTHS)})"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_HTTP_DATES = (
    # RFC 9110, section 5.6.7: IMF-fixdate and RFC 850; and asctime. GMT is meant when it is not said.
    re.compile(
        rf"[A-Z][a-z]{{2,8}}, (?P<day>\d\d?)[ -]{_MONTH}[ -](?P<year>\d{{4}}|\d\d) {_TIME}(?: (?:GMT|UTC|[+-]0000))?",
        re.ASCII,
    ),
    re.compile(rf"[A-Z][a-z]{{2}} {_MONTH} +(?P<day>\d\d?) {_TIME} (?P<year>\d{{4}})", re.ASCII),
)


def number(text: str) -> float | None:
    """A decimal number, 0 or more; None for anything else."""
    return float(text) if _NUMBER.fullmatch(text) else None


def duration(text: str) -> float | None:
    """Seconds of a duration as Go and protobuf write it: "6m0s", "7.66s", "76ms", "1h2m3.5s"."""
    if not _DURATION.fullmatch(text):
        return None
    return plausible(sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text)))


def plausible(seconds: float) -> float | None:
    """The wait, if it can be meant as one."""
    return seconds if 0 <= seconds <= LONGEST else None


def date(text: str) -> float | None:
    """Unix time of a date: in one of the three formats of HTTP, or as RFC 3339 has it, with its zone."""
    try:
        if _RFC_3339.fullmatch(text):
            return datetime.fromisoformat(text.upper()).timestamp()
        for pattern in _HTTP_DATES:
            if found := pattern.fullmatch(text):
                return _http_date(found)
    except (ValueError, OverflowError):  # the 31st of February
        pass
    return None


def _http_date(found: re.Match[str]) -> float:
    year = int(found["year"])
    if len(found["year"]) == 2:
        year += 1900 if year >= 70 else 2000
    month = _MONTHS.index(found["month"]) + 1
    second = min(int(found["second"]), 59)  # a leap second
    return datetime(
        year, month, int(found["day"]), int(found["hour"]), int(found["minute"]), second, tzinfo=UTC
    ).timestamp()


def seconds_until(text: str, now: float | None) -> float | None:
    """Seconds from now, whichever way they are written; None for what is not a time, or cannot be one.

    A number is a wait in seconds, unless it is so large (over a year) that it must be a Unix time, in seconds or
    milliseconds. A date in the past is 0. Without `now`, dates and Unix times cannot be read.
    """
    value = number(text)
    if value is not None:
        return value if value <= LONGEST else _until_stamp(value, now)
    found = duration(text)
    if found is not None or now is None:
        return found
    at = date(text)
    return None if at is None else plausible(max(0.0, at - now))


def _until_stamp(value: float, now: float | None) -> float | None:
    if now is not None:
        for wait in (value - now, value / 1000 - now):
            if -_STALE <= wait <= LONGEST:
                return max(0.0, wait)
    return None


def unix_time(now: float | datetime | None) -> float | None:
    """Seconds since 1970 of a time that somebody's code gives.

    Raises:
        ValueError: Not a finite number, or a datetime without a zone.
    """
    if isinstance(now, datetime):
        if now.tzinfo is None:
            msg = f"now must be a Unix time or a datetime with a time zone, got {now!r}; pass datetime.now(UTC)"
            raise ValueError(msg)
        return now.timestamp()
    if now is not None and not math.isfinite(now):
        msg = f"now must be a Unix time or a datetime with a time zone, got {now!r}"
        raise ValueError(msg)
    return now
