"""The pictures of the docs can be made anew. What is on them is not compared: they show times."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from browser.looking import OpenPage, go
from browser.pictures import PAPERS, TITLE, fill, keep
from browser.served import AT_ONCE, Serve, Site, anybody, leave_running

DESK = {"viewport": {"width": 1180, "height": 820}, "device_scale_factor": 1.5}
LOW = {"viewport": {"width": 1180, "height": 560}, "device_scale_factor": 1.5}
PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True}
LARGEST = 150_000
"""Bytes that readers of the docs may have to load for one picture."""


@pytest.fixture
def busy(serve: Serve, tmp_path: Path) -> Site:
    leave_running(tmp_path / "jobs.db", "8-1176", "8-1181")
    site = serve(parts=AT_ONCE, options={"auth": anybody, "title": TITLE})
    fill(site)
    return site


def overview(page: Page) -> None:
    expect(page.locator("#upcoming > li")).to_have_count(len(PAPERS))
    expect(page.get_by_role("region", name="Stale jobs")).to_contain_text("8-1176")


def job(page: Page) -> None:
    go(page, "#/jobs/8-1284")
    expect(page.locator("#job")).to_contain_text("jobs are ahead of it")


def stale(page: Page) -> None:
    go(page, "#/jobs?state=stale")
    expect(page.get_by_role("table").get_by_role("row")).to_have_count(3)


def numbers(page: Page) -> None:
    go(page, "#/numbers")
    expect(page.get_by_label("pacing.seconds", exact=True)).to_have_value("60")


VIEWS: dict[str, tuple[dict[str, object], Callable[[Page], None]]] = {
    "queue-light": ({**DESK, "color_scheme": "light"}, overview),
    "queue-dark": ({**DESK, "color_scheme": "dark"}, overview),
    "queue-phone": (PHONE, overview),
    "queue-job": (LOW, job),
    "queue-stale": (LOW, stale),
    "queue-numbers": (DESK, numbers),
}


def test_pictures_of_the_docs_can_be_made(busy: Site, open_page: OpenPage, tmp_path: Path) -> None:
    for name, (options, view) in VIEWS.items():
        page = open_page(busy.url, **options)
        expect(page.locator("#link")).to_have_text("Live")
        view(page)
        path = keep(page, name, tmp_path)
        page.close()
        with Image.open(path) as image:
            colours = image.convert("L").getextrema()
        assert path.stat().st_size < LARGEST
        assert colours[1] - colours[0] > 200, "there is something on it"
