"""OpeningHours: hours on the calendar of a time zone."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pacing_runs import Work, starts

from pacer import Scheduler
from pacer.pacing import FixedPause, OpeningHours
from pacer.testing import SampleJob

JOB = SampleJob()
NIGHTS = OpeningHours("22:00", "06:00", days="mon-fri", timezone="Europe/Berlin")


def utc(text):
    """`2025-03-30 01:30` in UTC, as Unix time."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def opens(policy, now):
    """When it opens, in UTC; None if it is open."""
    at = policy.earliest(policy.initial_state(), utc(now), JOB, 0).at
    return None if at <= utc(now) else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-01-14 12:00", "2026-01-14 21:00"),  # Wednesday noon in winter: Berlin is an hour ahead
        ("2026-07-15 12:00", "2026-07-15 20:00"),  # in summer two
        ("2026-01-14 21:00", None),
        ("2026-01-15 04:59", None),
        ("2026-01-15 05:00", "2026-01-15 21:00"),
        ("2026-01-16 21:00", None),  # Friday night belongs to Friday
        ("2026-01-17 04:59", None),
        ("2026-01-17 05:00", "2026-01-19 21:00"),
        ("2026-01-18 22:00", "2026-01-19 21:00"),  # Sunday night does not
        ("2026-01-19 04:00", "2026-01-19 21:00"),
    ],
)
def test_nights_of_the_week_belong_to_the_day_on_which_they_begin(now, expected):
    assert opens(NIGHTS, now) == expected


@pytest.mark.parametrize(
    ("begin", "hours"),
    [("2025-03-28 21:00", 8), ("2025-03-31 20:00", 8), ("2025-03-29 21:00", 7), ("2025-10-25 20:00", 9)],
)
def test_a_night_is_an_hour_shorter_in_march_and_longer_in_october(begin, hours):
    nights = OpeningHours("22:00", "06:00", timezone="Europe/Berlin")
    end = f"{datetime.fromtimestamp(utc(begin) + hours * 3600 - 60, UTC):%Y-%m-%d %H:%M}"
    after = f"{datetime.fromtimestamp(utc(begin) + hours * 3600, UTC):%Y-%m-%d %H:%M}"
    before = f"{datetime.fromtimestamp(utc(begin) - 60, UTC):%Y-%m-%d %H:%M}"
    assert [opens(nights, at) for at in (before, begin, end)] == [begin, None, None]
    assert opens(nights, after) is not None


def test_a_time_that_is_skipped_counts_from_the_offset_before_the_gap():
    """02:30 does not occur in Berlin on 30 March 2025: it is 03:30 then, an hour and a half after midnight in UTC."""
    assert opens(OpeningHours("02:30", "05:00", timezone="Europe/Berlin"), "2025-03-30 00:00") == "2025-03-30 01:30"
    early = OpeningHours("01:00", "02:30", timezone="Europe/Berlin")
    assert [opens(early, f"2025-03-30 {time}") for time in ("00:00", "01:29")] == [None, None]
    assert opens(early, "2025-03-30 01:30") == "2025-03-30 23:00"


def test_a_time_that_occurs_twice_means_the_first():
    """02:30 occurs in Berlin on 26 October 2025 at 00:30 and at 01:30 in UTC."""
    assert opens(OpeningHours("02:30", "05:00", timezone="Europe/Berlin"), "2025-10-26 00:00") == "2025-10-26 00:30"
    early = OpeningHours("01:00", "02:30", timezone="Europe/Berlin")
    assert opens(early, "2025-10-26 00:29") is None
    assert opens(early, "2025-10-26 00:30") == "2025-10-27 00:00"


def test_hours_that_the_gap_swallows_do_not_open_that_day():
    """From 02:30, which is 03:30 then, to 03:15."""
    hours = OpeningHours("02:30", "03:15", days="sun", timezone="Europe/Berlin")
    assert opens(hours, "2025-03-30 00:00") == "2025-04-06 00:30"


@pytest.mark.parametrize(
    ("days", "open_on"),
    [
        ("mon-sun", "1111111"),
        ("mon-fri", "1111100"),
        ("sat,sun", "0000011"),
        ("fri-mon", "1000111"),
        ("mon, wed-thu, SUN", "1011001"),
        ("tue-tue", "0100000"),
    ],
)
def test_days_are_single_ones_or_spans(days, open_on):
    hours = OpeningHours("09:00", "17:00", days=days)
    monday = datetime(2026, 1, 12, 12, tzinfo=UTC)
    noons = [(monday + timedelta(days=day)).timestamp() for day in range(7)]
    assert "".join(str(int(hours.earliest(None, noon, JOB, 0).at <= noon)) for noon in noons) == open_on


def test_hours_can_be_added():
    hours = (
        OpeningHours("18:00", "24:00")
        | OpeningHours("00:00", "24:00", days="sat,sun")
        | (OpeningHours("07:00", "07:30") | OpeningHours("12:00", "12:30", days="wed"))
    )
    assert hours.also == (
        OpeningHours("00:00", "24:00", days="sat,sun"),
        OpeningHours("07:00", "07:30"),
        OpeningHours("12:00", "12:30", days="wed"),
    )
    expected = {
        "2026-01-14 06:00": "2026-01-14 07:00",
        "2026-01-14 07:15": None,
        "2026-01-14 07:30": "2026-01-14 12:00",
        "2026-01-15 07:30": "2026-01-15 18:00",
        "2026-01-16 23:59": None,
        "2026-01-17 09:00": None,
        "2026-01-19 00:00": "2026-01-19 07:00",
    }
    assert {now: opens(hours, now) for now in expected} == expected
    with pytest.raises(TypeError, match="unsupported operand"):
        OpeningHours("18:00", "24:00") | FixedPause(3)


def test_the_reason_names_the_hours_that_come_next():
    hours = NIGHTS | OpeningHours("12:00", "13:00", days="sat")
    friday, saturday = utc("2026-01-16 12:00"), utc("2026-01-17 10:00")
    assert hours.earliest(None, friday, JOB, 0).reason == "outside of opening hours: mon-fri from 22:00, Europe/Berlin"
    assert hours.earliest(None, saturday, JOB, 0).reason == "outside of opening hours: sat from 12:00, UTC"


def test_on_another_clock_the_hours_are_the_same():
    now = utc("2026-01-14 12:00")
    hours = (NIGHTS | OpeningHours("18:00", "19:00")).on_clock(now - 5.0)
    assert starts(hours, [Work(), Work(gap=2 * 3600.0)], epoch=5.0) == [6 * 3600 + 5.0, 6 * 3600 + 5.0]
    assert starts(NIGHTS.on_clock(now - 5.0), [Work()], epoch=5.0) == [9 * 3600 + 5.0]


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kolkata"]
DATES = st.one_of(
    st.dates(datetime(2024, 1, 1).date(), datetime(2026, 12, 31).date()),  # noqa: DTZ001 - a date has no zone
    st.sampled_from(["2025-03-30", "2025-10-26", "2025-03-09", "2025-11-02", "2025-04-06", "2025-10-05"]).map(
        lambda text: datetime.fromisoformat(text).date()
    ),
)


def on_the_wall(zone, wall):
    """The first minute at which the clock on the wall shows this, by looking at it minute by minute.

    If it never does, the hands have jumped over it: they would have shown it had they not been moved yet.
    """
    offset = None
    for minute in range(48 * 60):
        at = wall.replace(tzinfo=UTC) + timedelta(minutes=minute - 24 * 60)
        shown = at.astimezone(zone)
        if shown.replace(tzinfo=None) == wall:
            return at.timestamp()
        if shown.replace(tzinfo=None) > wall and offset is not None:
            return (wall - offset).replace(tzinfo=UTC).timestamp()
        offset = shown.utcoffset()
    raise AssertionError(wall)


@given(
    zone=st.sampled_from(ZONES),
    date=DATES,
    opening=st.sampled_from([0, 60, 119, 120, 150, 179, 180, 240, 1380]),
    length=st.sampled_from([1, 30, 45, 61, 240, 480, 1440 - 1]),
    minute=st.integers(-300, 2000),
)
def test_it_is_open_as_the_clock_on_the_wall_shows(zone, date, opening, length, minute):
    """An oracle that looks at the wall, minute by minute, for the hours of one date."""
    first = datetime(date.year, date.month, date.day) + timedelta(minutes=opening)  # noqa: DTZ001 - on the wall
    last = first + timedelta(minutes=length)
    hours = OpeningHours(f"{first:%H:%M}", f"{last:%H:%M}", days=f"{first:%a}".lower(), timezone=zone)
    begin, end = on_the_wall(ZoneInfo(zone), first), on_the_wall(ZoneInfo(zone), last)
    now = begin + 60.0 * minute
    at = hours.earliest(None, now, JOB, 0).at
    if begin <= now < end:
        assert at <= now
    elif now < begin < end:
        assert at == begin
    else:
        assert at > now + 86400


@given(
    spans=st.lists(
        st.tuples(
            st.sampled_from(["00:00", "06:30", "12:00", "23:59"]),
            st.sampled_from(["00:01", "08:00", "23:00", "24:00"]),
            st.sampled_from(["mon-sun", "mon-fri", "wed", "sat,sun"]),
            st.sampled_from(ZONES),
        ),
        min_size=1,
        max_size=3,
    ),
    now=st.floats(1.6e9, 1.9e9),
    epoch=st.sampled_from([0.0, 1e9 + 1 / 3]),
    share=st.floats(0, 1),
)
def test_until_the_time_it_names_it_is_closed_and_then_it_is_open(spans, now, epoch, share):
    hours = [OpeningHours(begin, end, days=days, timezone=zone) for begin, end, days, zone in spans]
    policy = hours[0]
    for more in hours[1:]:
        policy |= more
    policy, now = policy.on_clock(epoch), now - epoch
    at = policy.earliest(None, now, JOB, 0).at
    if at > now:
        assert at <= now + 15 * 86400
        assert policy.earliest(None, at, JOB, 0).at <= at
        between = now + share * (at - now)
        assert between >= at or policy.earliest(None, between, JOB, 0).at == at


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"opens": "24:00"}, 'opens must be a time of day from "00:00" to "23:59", got \'24:00\''),
        ({"opens": "7 pm"}, "opens must be a time of day"),
        ({"opens": ["22:00"]}, "opens must be a time of day"),
        ({"opens": 22}, "opens must be a time of day .*, got 22"),
        ({"closes": "24:01"}, 'closes must be a time of day from "00:00" to "24:00", got \'24:01\''),
        ({"closes": "6"}, "closes must be a time of day"),
        ({"closes": "22:00"}, "closes must be another time than opens"),
        ({"days": "monday"}, "days must be days such as"),
        ({"days": ""}, "days must be days such as"),
        ({"days": "mon-"}, "days must be days such as"),
        ({"days": ["mon"]}, "days must be days such as"),
        ({"days": 5}, "days must be days such as"),
        ({"timezone": "Berlin"}, "timezone must be a name of the IANA time zone database .*, got 'Berlin'"),
        ({"timezone": "Europe"}, "timezone must be a name"),
        ({"timezone": "/etc/passwd"}, "timezone must be a name"),
        ({"timezone": ""}, "timezone must be a name"),
        ({"timezone": None}, "timezone must be a name"),
        ({"also": [1]}, "also must be a tuple of OpeningHours"),
        ({"also": (1,)}, "also must be a tuple of OpeningHours"),
        ({"also": (NIGHTS | NIGHTS,)}, "also must be a tuple of OpeningHours that have no `also` of their own"),
        ({"epoch": float("nan")}, "epoch must be a finite number, got nan"),
    ],
)
def test_a_setting_that_cannot_be_read_is_refused(settings, message):
    with pytest.raises(ValueError, match=f"OpeningHours: {message}"):
        OpeningHours(**{"opens": "22:00", "closes": "06:00", **settings})


def without_time_zones(code):
    """Runs on a machine that has no time zone database."""
    block = "import sys; sys.modules['tzdata'] = None; "
    return subprocess.run(
        [sys.executable, "-c", block + code], env={"PYTHONTZPATH": ""}, capture_output=True, text=True, check=False
    )


def test_where_there_is_no_time_zone_database_the_error_says_what_to_install():
    done = without_time_zones("from pacer.pacing import OpeningHours as O; O('1:00', '2:00', timezone='Europe/Berlin')")
    assert "this machine has no such database: install the tzdata package" in done.stderr


def test_utc_needs_no_database():
    done = without_time_zones(
        "from pacer.pacing import OpeningHours as O; print(O('1:00', '2:00').earliest(None, 0.0, None, 0).at)"
    )
    assert done.stdout.strip() == "3600.0"


# -- at work ---------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_scheduler_waits_until_it_opens():
    """On the memory store's clock, which does not count from 1970."""
    later = datetime.now(UTC) + timedelta(hours=2)
    hours = OpeningHours(f"{later:%H:%M}", f"{later + timedelta(hours=1):%H:%M}")
    async with Scheduler(pacing=hours & FixedPause(1)) as scheduler:
        receipt = await scheduler.enqueue(anyio.sleep, 0)
        assert "outside of opening hours" in (await scheduler.status()).waiting_for
        await scheduler.drain()
        started = (await scheduler.job(receipt.job_id)).started_at
    assert f"{started:%H:%M}" == hours.opens
