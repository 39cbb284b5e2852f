"""Numbers and times as the page writes them."""

from __future__ import annotations

import base64
from importlib import resources
from typing import Any

from playwright.sync_api import Browser

FORMAT = (resources.files("pacer.dashboard") / "static" / "format.js").read_bytes()
MODULE = f"data:text/javascript;base64,{base64.b64encode(FORMAT).decode()}"
EACH = """async ([module, name, values]) => {
  const write = (await import(module))[name];
  return values.map((value) => write(value));
}"""


def written(chromium: Browser, function: str, *values: Any) -> list[str]:
    """What this function of the page makes of each value."""
    context = chromium.new_context()
    try:
        return list(context.new_page().evaluate(EACH, [MODULE, function, list(values)]))
    finally:
        context.close()


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
        200_000.0: "2 days",
    }
    assert dict(zip(times, written(chromium, "duration", *times), strict=True)) == times


def test_rates_have_two_digits_below_ten(chromium: Browser) -> None:
    rates = {3.324: "3.3", 0.0567: "0.057", 9.97: "10", 13.42: "13.4", 7.0: "7", 1204.0: "1\u202f204"}
    assert dict(zip(rates, written(chromium, "amount", *rates), strict=True)) == rates
