"""What headers say of limits, and of when to come back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import attrs

from pacer._upstream._headers import Headers
from pacer._upstream._structured import read_list
from pacer._upstream._times import date, number, plausible, seconds_until
from pacer.protocols import LimitReport

_WINDOWS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
# x-ratelimit-remaining, x-ratelimit-remaining-tokens (OpenAI), x-ratelimit-remaining-minute (Kong),
# x-ratelimit-limit-requests-day (Cerebras), x-ratelimit-reset-after (Discord), ratelimit-remaining (the draft, up to 6)
_PLAIN = re.compile(
    r"(?:x-)?ratelimit-(limit|remaining|reset)(?:-(?!after|(?:second|minute|hour|day)$)([a-z]+(?:-[a-z]+)??))?"
    r"(?:-(second|minute|hour|day))?(?:-after)?"
)
_ANTHROPIC = re.compile(
    r"anthropic-(?:ratelimit|(priority))-(requests|(?:input-|output-)?tokens)-(limit|remaining|reset)"
)
# The units of the draft's `qu`, by the names that costs go by.
_DEFAULT_UNIT = "requests"
# Counts beyond this are not counts.
_MOST = 1e15


@attrs.define
class _Limit:
    """One limit, while its parts come together."""

    dimension: str
    policy: str = ""
    limit: float | None = None
    remaining: float | None = None
    reset_in: float | None = None
    window: float | None = None

    @property
    def tightness(self) -> tuple[float, float, float]:
        """Smaller is tighter: less left, then less in all, then longer to wait."""
        return (
            _MOST if self.remaining is None else self.remaining,
            _MOST if self.limit is None else self.limit,
            -(self.reset_in or 0.0),
        )

    def report(self, name: str) -> LimitReport:
        return LimitReport(
            name=name, limit=self.limit, remaining=self.remaining, reset_in=self.reset_in, window=self.window
        )


def server_time(headers: Headers, now: float | None) -> float | None:
    """The upstream's clock at its answer, from which its dates count; ours, if it does not tell or a cache did."""
    if _is_cached(headers):
        return now
    dates = [at for value in headers.get("date", ()) if (at := date(value)) is not None]
    return dates[0] if dates else now


def _is_cached(headers: Headers) -> bool:
    return any((number(age) or 0.0) > 0 for age in headers.get("age", ()))


def said_wait(headers: Headers, now: float | None) -> float | None:
    """The wait that `retry-after-ms` or Retry-After names; the longest, if there are several."""
    milliseconds = [number(value) for value in _each(headers, "retry-after-ms")]
    exact = [wait for ms in milliseconds if ms is not None and (wait := plausible(ms / 1000)) is not None]
    if exact:
        return max(exact)
    clock = server_time(headers, now)
    waits = [seconds_until(value, clock) for value in _each(headers, "retry-after")]
    return max((wait for wait in waits if wait is not None), default=None)


def wait_for_used_up(reports: Iterable[LimitReport]) -> float | None:
    """Seconds until the last of the limits that are used up is not any more; None if none is said to be."""
    waits = [one.reset_in for one in reports if one.remaining == 0 and one.reset_in is not None]
    return max(waits, default=None)


def read_limits(headers: Headers, now: float | None) -> tuple[LimitReport, ...]:
    """All limits that are reported, each under a name of its own; none from a cache, which knows only the past."""
    if _is_cached(headers):
        return ()
    found: dict[tuple[str, str], _Limit] = {}
    clock = server_time(headers, now)
    _read_fields(found, headers, clock)
    _read_draft(found, headers)
    return tuple(_named(found.values()))


def _each(headers: Headers, name: str) -> Iterator[str]:
    """The values of a field, also of one that was joined by commas; a date has a comma of its own."""
    for value in headers.get(name, ()):
        if "," in value and date(value) is None:
            yield from (part.strip() for part in value.split(","))
        else:
            yield value


def _read_fields(found: dict[tuple[str, str], _Limit], headers: Headers, clock: float | None) -> None:
    for name in headers:
        if plain := _PLAIN.fullmatch(name):
            part, dimension, policy = plain[1], plain[2] or _DEFAULT_UNIT, plain[3] or ""
        elif anthropic := _ANTHROPIC.fullmatch(name):
            part, dimension, policy = anthropic[3], "-".join(filter(None, anthropic.group(1, 2))), ""
        else:
            continue
        read = [_value(part, value, clock) for value in _each(headers, name)]
        values = [value for value in read if value is not None]
        if not values:
            continue
        one = _of(found, dimension.replace("-", "_"), policy)
        if policy:
            one.window = _WINDOWS[policy]
        match part:  # of several values the most cautious counts
            case "limit":
                one.limit = min(values)
            case "remaining":
                one.remaining = min(values)
            case _:
                one.reset_in = max(values)


def _value(part: str, text: str, clock: float | None) -> float | None:
    # "100;w=60" is how the draft's early versions wrote a limit.
    return seconds_until(text, clock) if part == "reset" else number(text.partition(";")[0].strip())


def _of(found: dict[tuple[str, str], _Limit], dimension: str, policy: str) -> _Limit:
    return found.setdefault((dimension, policy), _Limit(dimension, policy))


def _read_draft(found: dict[tuple[str, str], _Limit], headers: Headers) -> None:
    """`RateLimit-Policy: "burst";q=100;w=60` and `RateLimit: "burst";r=50;t=30`."""
    units: dict[str, str] = {}
    for name, parameters in read_list(", ".join(headers.get("ratelimit-policy", ()))):
        quota, window = _count(parameters.get("q")), parameters.get("w")
        if quota is None:
            continue
        units[name] = str(parameters.get("qu", _DEFAULT_UNIT)).replace("-", "_")
        one = _of(found, units[name], name)
        one.limit = quota
        one.window = plausible(window) if isinstance(window, float) and window > 0 else None
    for name, parameters in read_list(", ".join(headers.get("ratelimit", ()))):
        remaining, wait = _count(parameters.get("r")), parameters.get("t")
        if remaining is None:
            continue
        one = _of(found, units.get(name, _DEFAULT_UNIT), name)
        one.remaining = remaining
        one.reset_in = plausible(wait) if isinstance(wait, float) else None


def _count(value: float | str | None) -> float | None:
    return value if isinstance(value, float) and 0 <= value < _MOST else None


def _named(limits: Iterable[_Limit]) -> Iterator[LimitReport]:
    """The tightest limit of a dimension bears its name; the others add that of their policy, if they have one."""
    by_dimension: dict[str, list[_Limit]] = {}
    for one in limits:
        by_dimension.setdefault(one.dimension, []).append(one)
    for dimension, several in by_dimension.items():
        tightest, *others = sorted(several, key=lambda one: one.tightness)
        yield tightest.report(dimension)
        for one in others:
            if one.policy:
                yield one.report(f"{dimension}/{one.policy}")
