"""Numbers and times as the page writes them, and the rate that it works out."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import pytest
from playwright.sync_api import Browser

CALL = """async ([module, name, calls]) => {
  const call = (await import(module))[name];
  return calls.map((one) => call(...one));
}"""


def called(chromium: Browser, module: str, function: str, *calls: list[Any]) -> list[Any]:
    """What this function of the page makes of each list of arguments."""
    code = (resources.files("pacer.dashboard") / "static" / module).read_bytes()
    address = f"data:text/javascript;base64,{base64.b64encode(code).decode()}"
    with chromium.new_context() as context:
        return list(context.new_page().evaluate(CALL, [address, function, list(calls)]))


def written(chromium: Browser, function: str, *values: Any) -> list[str]:
    """What this function of the page makes of each value."""
    return called(chromium, "format.js", function, *([value] for value in values))


def test_a_time_below_ten_minutes_is_as_exact_as_the_interval_beside_it(chromium: Browser) -> None:
    estimate = {"seconds": 196.0, "low": 186.0, "high": 210.0}
    assert written(chromium, "expected", estimate) == ["in about 3.3 min"]
    assert written(chromium, "interval", estimate) == ["80 % between 3.1 and 3.5 min"]


def test_times_have_no_more_digits_than_people_need(chromium: Browser) -> None:
    times = {
        0.02: "20 ms",
        7.24: "7.2 s",
        99.4: "99 s",
        99.5: "1.7 min",
        300.0: "5 min",
        596.9: "9.9 min",
        597.0: "10 min",
        3540.0: "59 min",
        3600.0: "1 h 00 min",
        35_940.0: "9 h 59 min",
        90_840.0: "25 h",
        200_000.0: "2 days",
    }
    assert dict(zip(times, written(chromium, "duration", *times), strict=True)) == times


def test_rates_have_two_digits_below_ten(chromium: Browser) -> None:
    rates = {3.324: "3.3", 0.0567: "0.057", 9.97: "10", 13.42: "13.4", 7.0: "7", 1204.0: "1\u202f204"}
    assert dict(zip(rates, written(chromium, "amount", *rates), strict=True)) == rates


def test_an_interval_whose_ends_are_the_same_to_people_is_not_told(chromium: Browser) -> None:
    assert written(chromium, "interval", {"seconds": 300.0, "low": 299.0, "high": 301.0}) == [""]


def rate_a_minute(chromium: Browser, started: list[int], current: float, *, busy: bool = True) -> float:
    """Of a queue whose last minutes saw so many starts, and none before; the last minute is so many seconds old."""
    minutes = [0] * (60 - len(started)) + started
    history = [{"at": f"2026-01-01T00:{minute:02}:00Z", "started": number} for minute, number in enumerate(minutes)]
    now = (datetime(2026, 1, 1, 0, 59, tzinfo=UTC) + timedelta(seconds=current)).timestamp() * 1000
    (rate,) = called(chromium, "rate.js", "rateOf", [history, busy, now])
    return float(rate) * 60


@pytest.mark.parametrize(
    ("started", "current", "rate"),
    [
        pytest.param([9], 20, 9, id="its first minute is not over"),
        pytest.param([9, 3], 30, 8, id="its second minute"),
        pytest.param([1, 1, 1], 0, 1.5, id="few starts, and not five minutes"),
        pytest.param([*[60] * 30, 30], 30, 60, id="a steady one"),
        pytest.param([*[60] * 30, 2, 2, 2, 0], 0, 2, id="one that has become slow"),
        pytest.param([1, *[0] * 4] * 12, 30, 6 / 29.5, id="one start in five minutes"),
        pytest.param([], 30, 0, id="none"),
    ],
)
def test_a_rate_counts_no_time_in_which_the_queue_was_not_there(
    started: list[int], current: float, rate: float, chromium: Browser
) -> None:
    assert rate_a_minute(chromium, started, current) == pytest.approx(rate)


def test_a_queue_without_jobs_has_no_rate_of_long_ago(chromium: Browser) -> None:
    assert rate_a_minute(chromium, [100, *[0] * 30], 30, busy=False) == 0
