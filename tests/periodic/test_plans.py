"""When the times of a schedule are: calendars, summer time, month ends; and which are due after a long time."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacer._periodic._plans import Cron, Interval


def unix(text: str, tz: str = "UTC") -> float:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(tz))).timestamp()


def times(cron: Cron, after: str) -> Iterator[str]:
    """From this time on the clock of its zone, as that clock shows them, with its offset."""
    at = unix(after, cron.tz)
    while True:
        at = cron.next(at)
        yield datetime.fromtimestamp(at, ZoneInfo(cron.tz)).isoformat(timespec="minutes")


def first(count: int, expression: str, tz: str, after: str) -> list[str]:
    return [*itertools.islice(times(Cron(expression, tz), after), count)]


def test_weekdays_have_names():
    assert first(3, "0 7 * * mon-fri", "UTC", "2026-11-26T08:00") == [
        "2026-11-27T07:00+00:00",
        "2026-11-30T07:00+00:00",
        "2026-12-01T07:00+00:00",
    ]


def test_a_time_of_day_that_summer_time_skips_comes_once_when_the_hour_is_over():
    assert first(3, "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00") == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
        "2026-03-31T02:30+02:00",
    ]


def test_a_time_of_day_that_comes_twice_in_autumn_is_the_first_of_them():
    assert first(3, "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00") == [
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
        "2026-10-27T02:30+01:00",
    ]


def test_a_schedule_that_is_first_seen_in_the_hour_that_comes_again_does_not_go_back():
    """At 02:15 for the second time, 02:30 for the first time is over."""
    assert first(1, "30 2 * * *", "Europe/Berlin", "2026-10-25T02:15+01:00") == ["2026-10-26T02:30+01:00"]


def test_times_within_an_hour_go_by_elapsed_time():
    assert first(4, "*/30 * * * *", "Europe/Berlin", "2026-03-29T01:10") == [
        "2026-03-29T01:30+01:00",
        "2026-03-29T03:00+02:00",
        "2026-03-29T03:30+02:00",
        "2026-03-29T04:00+02:00",
    ]
    assert first(4, "*/30 * * * *", "Europe/Berlin", "2026-10-25T02:10+02:00") == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:30+01:00",
        "2026-10-25T03:00+01:00",
    ]


def test_a_zone_without_summer_time_has_a_day_like_any_other():
    assert first(2, "30 2 * * *", "Asia/Tokyo", "2026-03-28T12:00") == [
        "2026-03-29T02:30+09:00",
        "2026-03-30T02:30+09:00",
    ]


def test_a_midnight_that_is_skipped_comes_at_one():
    assert first(2, "0 0 * * *", "Africa/Cairo", "2026-04-23T12:00") == [
        "2026-04-24T01:00+03:00",
        "2026-04-25T00:00+03:00",
    ]


def test_leap_days_and_month_ends():
    assert first(2, "0 0 29 2 *", "UTC", "2026-01-01T00:00") == ["2028-02-29T00:00+00:00", "2032-02-29T00:00+00:00"]
    assert first(3, "0 0 31 * *", "UTC", "2026-01-31T00:00") == [
        "2026-03-31T00:00+00:00",
        "2026-05-31T00:00+00:00",
        "2026-07-31T00:00+00:00",
    ]
    assert first(2, "0 0 L * *", "UTC", "2028-01-31T12:00") == ["2028-02-29T00:00+00:00", "2028-03-31T00:00+00:00"]


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu"]


@given(
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    start=st.datetimes(datetime(2015, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - it wants them so
)
@settings(deadline=None, max_examples=30)
def test_a_daily_job_comes_once_on_each_day_of_the_calendar(zone: str, hour: int, minute: int, start: datetime) -> None:
    cron, at = Cron(f"{minute} {hour} * * *", zone), start.replace(tzinfo=ZoneInfo(zone)).timestamp()
    found = []
    for _ in range(400):
        at = cron.next(at)
        found.append(datetime.fromtimestamp(at, ZoneInfo(zone)).date())
    assert all(later - earlier == timedelta(days=1) for earlier, later in itertools.pairwise(found))


PLANS = st.one_of(
    st.builds(Interval, st.integers(50_000, 5_000_000_000).map(lambda micros: micros / 1e6)),
    st.builds(
        Cron,
        st.sampled_from(["* * * * *", "*/7 * * * *", "30 2 * * *", "0 0 1 * *", "0 7 * * mon-fri", "0 0 29 2 *"]),
        st.sampled_from(ZONES),
    ),
)


@given(
    plan=PLANS, last=st.floats(1.5e9, 1.8e9), steps=st.integers(0, 60), most=st.integers(1, 20), more=st.floats(0, 1)
)
@settings(deadline=None, max_examples=200)
def test_what_is_due_is_the_last_of_the_times_one_after_the_other(
    plan: Interval | Cron, last: float, steps: int, most: int, more: float
) -> None:
    last = round(last, 6)
    expected = [last]
    for _ in range(steps):
        expected.append(plan.next(expected[-1]))
    now = expected[-1] + 1e-4 + more * (plan.next(expected[-1]) - expected[-1]) * 0.99
    assert list(plan.due(last, now, most)) == pytest.approx(expected[1:][-most:], abs=2e-4)


def test_after_very_long_the_last_times_are_found_without_going_through_all():
    cron, now = Cron("* * * * *"), unix("2026-11-24T07:00:30")
    assert cron.due(0.0, now, 1) == [now - 30]
    found = cron.due(0.0, now, 1000)
    assert len(found) == 1000
    assert found[0] == now - 30 - 999 * 60
    assert Interval(0.2).due(0.0, 1e9 + 0.1, 2) == pytest.approx([1e9 - 0.2, 1e9])


def test_a_yearly_time_is_found():
    assert Cron("0 7 1 1 *").due(0.0, unix("2026-11-24T00:00"), 2) == [
        unix("2025-01-01T07:00"),
        unix("2026-01-01T07:00"),
    ]


def test_nothing_is_due_before_its_time_and_one_is_at_it():
    for plan, last, due in (
        (Interval(60), 100.0, 160.0),
        (Cron("0 7 * * *"), unix("2026-11-23T07:00"), unix("2026-11-24T07:00")),
    ):
        assert list(plan.due(last, due - 0.001, 5)) == []
        assert list(plan.due(last, due, 5)) == [due]


def test_times_of_cron_are_said_in_utc():
    at = unix("2026-11-24T07:00", "Europe/Berlin")
    assert datetime.fromtimestamp(at, UTC).isoformat() == "2026-11-24T06:00:00+00:00"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cron("61 * * * *"), "cron='61 \\* \\* \\* \\*' cannot be read: bad minute"),
        (lambda: Cron("0 7 * *"), "cron must have five fields"),
        (lambda: Cron("0 0 7 * * *"), "for less than a minute pass seconds"),
        (lambda: Cron("@daily"), "got '@daily'; write @hourly as '0 \\* \\* \\* \\*', @daily as '0 0 \\* \\* \\*'"),
        (lambda: Cron("0 0 30 2 *"), "cannot be read: bad day-of-month"),
        (lambda: Cron("0 0 */20 * 1L"), "names a time that never comes"),
        (
            lambda: Cron("0 7 * * *", "Berlin"),
            'tz must be a name of the IANA time zone database such as "Europe/Berlin"',
        ),
        (lambda: Interval(0.001), "seconds must be a finite number, 0.01 or more, got 0.001"),
    ],
)
def test_what_cannot_be_read_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_without_the_package_for_cron_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cronsim", None)
    with pytest.raises(ImportError, match=r"pip install 'pacer-scheduler\[cron\]'"):
        Cron("* * * * *")
