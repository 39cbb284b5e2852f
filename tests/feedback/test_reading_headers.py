"""Headers are read for what they say, and never for what they cannot mean."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta, timezone
from email.message import Message
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict
from requests.structures import CaseInsensitiveDict

from pacer.feedback import limits, retry_after
from pacer.protocols import LimitReport

NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
# What hypothesis draws has no zone yet.
EARLY, SOON, LATER = (datetime(*date) for date in ((1900, 1, 1), (2027, 1, 1), (2027, 6, 1)))  # noqa: DTZ001
YEAR = 366 * 86400


def report(name: str, **said: float) -> LimitReport:
    return LimitReport(name=name, **said)


# -- Retry-After -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("12", 12.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("3.", 3.0),
        ("6m0s", 360.0),
        ("76ms", 0.076),
        ("26s", 26.0),
        ("1h2m3.5s", 3723.5),
        ("7.66s", 7.66),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("250\u03bcs", 0.00025),
        ("2000000ns", 0.002),
        ("1d", 86400.0),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30.0),  # IMF-fixdate
        ("Wednesday, 21-Oct-26 07:28:30 GMT", 30.0),  # RFC 850
        ("Wed Oct 21 07:28:30 2026", 30.0),  # asctime
        ("Sun Nov  1 07:28:00 2026", 11 * 86400.0),
        ("Wed, 21 Oct 2026 07:28:30", 30.0),  # no GMT
        ("Wed, 21 Oct 2026 07:28:30 +0000", 30.0),
        ("Wed, 21 Oct 2026 07:28:60 GMT", 59.0),  # a leap second
        ("Wed, 21 Oct 2026 07:27:00 GMT", 0.0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("2026-10-21T09:28:45.5+02:00", 45.5),
        ("2026-10-21t07:28:45z", 45.0),
        (str(YEAR), float(YEAR)),
        (f"{YEAR}s", float(YEAR)),
        (str(int(NOW.timestamp()) + 90), 90.0),  # a Unix time, against the RFC
        (str(int(NOW.timestamp() + 90) * 1000), 90.0),  # in milliseconds
        (str(int(NOW.timestamp()) - 10), 0.0),
    ],
)
def test_a_wait_is_read_however_it_is_written(value: str, seconds: float) -> None:
    assert retry_after({"Retry-After": value}, now=NOW) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "-1",
        "-5s",
        "+5",
        "nan",
        "inf",
        "-inf",
        "1e3",
        "1_000",
        "0x10",
        "²",
        "١٢",
        "1,5",
        "5 s",
        "5 minutes",
        "s",
        "6m0",
        "6.0.0s",
        str(YEAR + 1),
        f"{YEAR + 1}s",
        "1000000000000",  # 10^12: no wait, and as a Unix time in milliseconds in 2001
        "9" * 5000,
        f"{10**11}s",
        "Wed, 31 Feb 2026 07:28:30 GMT",
        "Wed, 21 Oct 2026 25:28:30 GMT",
        "Wed, 21 Oct 9999 07:28:30 GMT",
        "Wed, 00 Oct 2026 07:28:30 GMT",
        "21 Oct 2026",
        "2026-10-21T07:28:45",  # no zone
        "2026-10-21",
        "0001-01-01T00:00:00+23:59x",
    ],
)
def test_what_cannot_be_meant_as_a_wait_is_none(value: str) -> None:
    expected = 5.0 if value == "1,5" else None  # two values, joined
    assert retry_after({"Retry-After": value}, now=NOW) == expected


def test_milliseconds_are_more_exact_and_go_first() -> None:
    assert retry_after({"Retry-After": "1", "Retry-After-Ms": "121"}) == 0.121
    assert retry_after({"retry-after": "3", "retry-after-ms": "soon"}) == 3.0
    assert retry_after({"retry-after": "3", "retry-after-ms": "-1"}) == 3.0
    assert retry_after({"retry-after": "3", "retry-after-ms": "9" * 14}) == 3.0


def test_of_several_values_the_longest_wait_counts() -> None:
    assert retry_after([("Retry-After", "5"), ("retry-after", "9"), ("Retry-After", "junk")]) == 9.0
    assert retry_after({"retry-after": ["5", "9"]}) == 9.0
    assert retry_after({"retry-after": "5, 9"}) == 9.0
    assert retry_after({"retry-after-ms": ["1500", "900"]}) == 1.5
    date = "Wed, 21 Oct 2026 07:28:30 GMT"
    assert retry_after([("retry-after", date), ("retry-after", "7")], now=NOW) == 30.0


def test_dates_need_a_clock_and_numbers_do_not() -> None:
    date = "Wed, 21 Oct 2026 07:28:30 GMT"
    assert retry_after({"retry-after": date}) is None
    assert retry_after({"retry-after": "1792567710"}) is None
    assert retry_after({"retry-after": "30"}) == 30.0
    assert retry_after({"retry-after": date}, now=NOW.timestamp()) == 30.0
    assert retry_after({"retry-after": date}, now=NOW.astimezone(timezone(timedelta(hours=9)))) == 30.0


def test_the_answers_own_date_goes_before_a_clock_that_may_be_wrong() -> None:
    headers = {"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2026 07:28:30 GMT"}
    assert retry_after(headers) == 30.0
    assert retry_after(headers, now=NOW + timedelta(hours=5)) == 30.0
    assert retry_after({**headers, "Age": "600"}, now=NOW + timedelta(seconds=10)) == 20.0
    assert retry_after({**headers, "Date": "yesterday"}, now=NOW + timedelta(seconds=10)) == 20.0


@pytest.mark.parametrize(
    ("two_digits", "four_digits"),
    [
        ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:27 GMT"),
        ("Thursday, 01-Jan-70 00:00:10 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Tuesday, 01-Jan-69 00:00:10 GMT", "Tue, 01 Jan 2069 00:00:00 GMT"),
    ],
)
def test_a_year_of_two_digits_is_of_the_century_that_is_near(two_digits: str, four_digits: str) -> None:
    assert retry_after({"Date": four_digits, "Retry-After": two_digits}) == 10.0


def test_numbers_are_unix_times_from_yesterday_until_a_year_from_now() -> None:
    at = int(NOW.timestamp())
    waits = [retry_after({"retry-after": str(at + wait)}, now=NOW) for wait in (-86_401, -86_400, YEAR, YEAR + 1)]
    assert waits == [None, 0.0, YEAR, None]


@pytest.mark.parametrize("now", [math.nan, math.inf, datetime(2026, 10, 21)])  # noqa: DTZ001 - the point
def test_a_clock_that_tells_no_time_is_a_mistake_and_said_so(now: float | datetime) -> None:
    with pytest.raises(ValueError, match="Unix time or a datetime with a time zone"):
        retry_after({}, now=now)
    with pytest.raises(ValueError, match="Unix time or a datetime with a time zone"):
        limits({}, now=now)


def test_without_a_retry_after_the_latest_reset_of_the_limits_that_are_used_up_counts() -> None:
    openai = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "12s",
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert retry_after(openai) == 360.0
    assert retry_after({**openai, "x-ratelimit-remaining-tokens": "1"}) == 12.0
    assert retry_after({**openai, "retry-after": "2"}) == 2.0
    assert retry_after({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "30"}) is None


def test_retry_after_takes_precedence_over_the_drafts_t() -> None:
    assert retry_after({"RateLimit": '"default";r=0;t=30'}) == 30.0
    assert retry_after({"RateLimit": '"default";r=0;t=30', "Retry-After": "5"}) == 5.0


# -- limits ----------------------------------------------------------------------------------------------------------


def test_openais_requests_and_tokens() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert limits(headers) == (
        report("requests", limit=60.0, remaining=59.0, reset_in=1.0),
        report("tokens", limit=150_000.0, remaining=149_984.0, reset_in=360.0),
    )


@pytest.mark.parametrize(("reset", "seconds"), [("1792567710", 30.0), ("30", 30.0), ("1792567710123", 30.123)])
def test_a_plain_reset_is_a_unix_time_or_a_wait_by_its_size(reset: str, seconds: float) -> None:
    headers = {"X-RateLimit-Limit": "5000", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}
    (found,) = limits(headers, now=NOW)
    assert (found.name, found.limit, found.remaining) == ("requests", 5000.0, 0.0)
    assert found.reset_in == pytest.approx(seconds, abs=1e-3)


def test_anthropics_dates_and_dimensions() -> None:
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "0",
        "anthropic-ratelimit-requests-reset": "2026-10-21T07:28:12Z",
        "anthropic-ratelimit-input-tokens-remaining": "29000",
        "anthropic-ratelimit-output-tokens-reset": "2026-10-21T09:29:00+02:00",
        "anthropic-ratelimit-tokens-limit": "38000",
        "anthropic-priority-output-tokens-remaining": "7",
        "anthropic-ratelimit-unified-status": "allowed",
    }
    assert limits(headers, now=NOW) == (
        report("requests", limit=50.0, remaining=0.0, reset_in=12.0),
        report("input_tokens", remaining=29_000.0),
        report("output_tokens", reset_in=60.0),
        report("tokens", limit=38_000.0),
        report("priority_output_tokens", remaining=7.0),
    )


def test_the_drafts_policies_meet_their_reports_and_the_tightest_bears_the_dimensions_name() -> None:
    headers = {
        "RateLimit-Policy": '"burst";q=100;w=60, "daily";q=1000;w=86400;pk=:cHI=:, "size";q=9;qu="content-bytes"',
        "RateLimit": '"burst";r=50;t=30, "daily";r=10;t=5000, "size";r=8',
    }
    assert limits(headers) == (
        report("requests", limit=1000.0, remaining=10.0, reset_in=5000.0, window=86_400.0),
        report("requests/burst", limit=100.0, remaining=50.0, reset_in=30.0, window=60.0),
        report("content_bytes", limit=9.0, remaining=8.0),
    )


@pytest.mark.parametrize(
    ("policies", "reported", "tightest"),
    [
        ('"a";q=9,"b";q=5', '"a";r=3,"b";r=4', "a"),  # less is left
        ('"a";q=9,"b";q=5', '"a";r=3,"b";r=3', "b"),  # less in all
        ('"a";q=5,"b";q=5', '"a";r=3;t=10,"b";r=3;t=90', "b"),  # longer to wait
        ('"a";q=5', '"a";r=3,"b";r=3', "a"),
        ('"a";q=5,"b";q=9', '"b";r=3', "b"),
    ],
)
def test_which_limit_of_a_dimension_is_the_tightest(policies: str, reported: str, tightest: str) -> None:
    (other,) = {"a", "b"} - {tightest}
    assert [one.name for one in limits({"RateLimit-Policy": policies, "RateLimit": reported})] == [
        "requests",
        f"requests/{other}",
    ]


@pytest.mark.parametrize(
    "field",
    [
        '"default";r=50;t=30,',
        '"default";r=50;t=30 "other";r=1',
        '"default;r=50;t=30',
        '"default";r="50";t=30',
        '"default";r=-1;t=30',
        '"default";r=;t=30',
        '"default" ;r=50',
        '"default";R=50',
        '"défaut";r=50',
        '"default";t=30',
        '"default";r=1234567890123456',
        "50",
        "limit=100, remaining=50, reset=30",
        "",
    ],
)
def test_a_malformed_field_of_the_draft_is_ignored(field: str) -> None:
    assert limits({"RateLimit": field}) == ()


def test_the_whole_syntax_of_structured_fields_is_passed_over_where_it_is_of_no_use() -> None:
    field = 'default; r=50 ;t=30,\t"a\\"b\\\\";r=1;flag;x=tok/en;y=:AA==:;z=?1;d=@1792567710;n=1.25;*=-3'
    assert limits({"RateLimit": field.replace(" ;", ";")}) == (
        report("requests", remaining=1.0),
        report("requests/default", remaining=50.0, reset_in=30.0),
    )


def test_a_policy_without_a_quota_is_none() -> None:
    headers = {"RateLimit-Policy": '"a";w=60, "b";q=9;w=0', "RateLimit": '"b";r=1'}
    assert limits(headers) == (report("requests", limit=9.0, remaining=1.0),)


def test_fields_that_came_twice_are_one_list() -> None:
    twice = [("RateLimit", '"a";r=5'), ("ratelimit", '"b";r=3;t=9')]
    assert limits(twice) == (report("requests", remaining=3.0, reset_in=9.0), report("requests/a", remaining=5.0))


def test_windows_in_names_of_fields() -> None:
    kong = {
        "X-RateLimit-Limit-Minute": "10",
        "X-RateLimit-Remaining-Minute": "9",
        "X-RateLimit-Limit-Hour": "60",
        "X-RateLimit-Remaining-Hour": "4",
    }
    assert limits(kong) == (
        report("requests", limit=60.0, remaining=4.0, window=3600.0),
        report("requests/minute", limit=10.0, remaining=9.0, window=60.0),
    )
    cerebras = {"x-ratelimit-limit-tokens-minute": "60000", "x-ratelimit-reset-tokens-minute": "3.5"}
    assert limits(cerebras) == (report("tokens", limit=60_000.0, reset_in=3.5, window=60.0),)
    assert limits({"X-RateLimit-Reset-After": "1.25"}) == (report("requests", reset_in=1.25),)


def test_the_drafts_early_fields() -> None:
    headers = {"RateLimit-Limit": "100, 100;w=60, 5000;w=3600", "RateLimit-Remaining": "7", "RateLimit-Reset": "45"}
    assert limits(headers) == (report("requests", limit=100.0, remaining=7.0, reset_in=45.0),)


def test_of_several_values_the_most_cautious_counts() -> None:
    headers = [("x-ratelimit-remaining", "7, 3"), ("x-ratelimit-remaining", "5"), ("x-ratelimit-reset", "2, 60")]
    assert limits(headers) == (report("requests", remaining=3.0, reset_in=60.0),)


@pytest.mark.parametrize("value", ["-1", "nan", "inf", "many", "", "1e9", "9" * 20])
def test_numbers_that_are_none_are_no_report(value: str) -> None:
    assert limits({"x-ratelimit-remaining": value, "x-ratelimit-limit-tokens": value}) == ()


def test_what_a_cache_answers_says_nothing_of_now() -> None:
    headers = {"RateLimit": '"default";r=0;t=30', "x-ratelimit-remaining": "0", "Age": "3"}
    assert limits(headers) == ()
    assert limits({**headers, "Age": "0"}) != ()


# -- any shape of headers --------------------------------------------------------------------------------------------


def message(*pairs: tuple[str, str]) -> Message:
    found = Message()
    for name, value in pairs:
        found[name] = value
    return found


@pytest.mark.parametrize(
    "headers",
    [
        {"RETRY-AFTER": "5", "X-RateLimit-Remaining": "1"},
        {"retry-after": 5, "x-ratelimit-remaining": 1},
        {b"Retry-After": b"5", b"X-RateLimit-Remaining": b"1"},
        [("Retry-After", "5"), ("X-RateLimit-Remaining", "1")],
        [[b"retry-after", b"5"], [b"x-ratelimit-remaining", b"1"], "nonsense", None],
        httpx.Headers({"Retry-After": "5", "X-RateLimit-Remaining": "1"}),
        CaseInsensitiveDict({"Retry-After": "5", "X-RateLimit-Remaining": "1"}),
        CIMultiDict([("Retry-After", "5"), ("X-RateLimit-Remaining", "1")]),
        message(("Retry-After", "5"), ("X-RateLimit-Remaining", "1")),
    ],
    ids=lambda headers: type(headers).__name__,
)
def test_headers_of_every_library_are_read(headers: object) -> None:
    assert retry_after(headers) == 5.0
    assert limits(headers) == (report("requests", remaining=1.0),)


class Hostile:
    def items(self) -> list[object]:
        raise RuntimeError("no headers for you")


@pytest.mark.parametrize("headers", [None, (), 5, "Retry-After: 5", b"", object(), Hostile(), {None: None}, [5], [()]])
def test_what_is_no_header_at_all_says_nothing(headers: object) -> None:
    assert retry_after(headers) is None
    assert limits(headers) == ()


def test_endless_headers_are_not_read_to_their_end() -> None:
    assert retry_after([(f"x-{number}", "1") for number in range(500)] + [("retry-after", "5")]) is None
    assert retry_after([("retry-after", "5")] + [(f"x-{number}", "1") for number in range(500)]) == 5.0


def test_a_date_with_its_comma_survives_headers_that_repeat() -> None:
    headers = httpx.Headers([("retry-after", "Wed, 21 Oct 2026 07:28:30 GMT"), ("retry-after", "10")])
    assert retry_after(headers, now=NOW) == 30.0


# -- properties ------------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        "retry-after",
        "retry-after-ms",
        "date",
        "age",
        "ratelimit",
        "ratelimit-policy",
        "ratelimit-reset",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-reset",
        "x-ratelimit-reset-after",
        "x-ratelimit-remaining-tokens",
        "x-ratelimit-reset-tokens",
        "x-ratelimit-remaining-minute",
        "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-requests-remaining",
    ]
)
TEXTS = st.one_of(
    st.text(max_size=40),
    st.text("0123456789.,-+eEnaifsmhdµ;=\"':TZ \t", max_size=40),
    st.floats().map(str),
    st.integers().map(str),
    st.datetimes(timezones=st.timezones()).map(lambda at: at.isoformat()),
    st.datetimes(min_value=EARLY).map(lambda at: format_datetime(at.replace(tzinfo=UTC), usegmt=True)),
    st.builds('"{}";r={};t={}'.format, st.text("abc", max_size=3), st.integers(), st.floats()),
    st.builds('"{}";q={};w={}'.format, st.text("abc", max_size=3), st.integers(), st.integers()),
)
VALUES = st.one_of(TEXTS, TEXTS.map(lambda text: text.encode("utf-8", "ignore")), st.lists(TEXTS, max_size=3))


@given(st.lists(st.tuples(NAMES, VALUES)), st.one_of(st.none(), st.floats(-1e18, 1e18), st.just(NOW.timestamp())))
@example([("retry-after", "9" * 400)], None)
@example([("anthropic-ratelimit-requests-reset", "0001-01-01T00:00:00+23:59")], 0.0)
def test_nothing_that_is_sent_raises_or_gives_a_number_that_is_none(headers: list[object], now: float | None) -> None:
    wait = retry_after(headers, now=now)
    assert wait is None or 0 <= wait <= YEAR
    for one in limits(headers, now=now):
        assert all(value is None or 0 <= value < math.inf for value in (one.limit, one.remaining))
        assert all(value is None or 0 <= value <= YEAR for value in (one.reset_in, one.window))


@given(st.lists(st.tuples(NAMES, VALUES)))
def test_every_report_has_a_name_of_its_own(headers: list[object]) -> None:
    names = [one.name for one in limits(headers, now=NOW)]
    assert len(names) == len(set(names))


@given(st.integers(0, YEAR), st.sampled_from(["{}", "{}s", "{}.0", " {} "]))
def test_whole_seconds_are_read_exactly(seconds: int, form: str) -> None:
    assert retry_after({"retry-after": form.format(seconds)}) == seconds


@given(st.integers(0, 8000), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_durations_as_go_prints_them_are_read(hours: int, minutes: int, seconds: int, milliseconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}.{milliseconds:03}s"
    expected = hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    assert retry_after({"retry-after": text}) == pytest.approx(expected)


@given(st.datetimes(SOON, LATER))
def test_the_three_forms_of_a_date_mean_the_same(at: datetime) -> None:
    at = at.replace(microsecond=0, tzinfo=UTC)
    expected = (at - NOW).total_seconds()
    forms = [format_datetime(at, usegmt=True), at.strftime("%A, %d-%b-%y %H:%M:%S GMT"), at.ctime(), at.isoformat()]
    assert [retry_after({"retry-after": form}, now=NOW) for form in forms] == [expected] * 4
