"""Pages for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from browser.chromium import started
from browser.looking import OpenPage
from browser.served import Serve, Site, served
from browser.watching import Watch

PATIENCE = 15.0
"""Seconds in which anything that a test waits for has to happen."""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    expect.set_options(timeout=PATIENCE * 1000)
    with started() as browser:
        yield browser


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start a site on this test's file; it takes what `Site` takes."""
    with ExitStack() as sites:
        yield lambda **options: sites.enter_context(served(Site(tmp_path / "jobs.db", **options)))


@pytest.fixture
def watches() -> list[Watch]:
    """Of the pages that the test has opened."""
    return []


@pytest.fixture
def open_page(chromium: Browser, watches: list[Watch], serve: Serve) -> Iterator[OpenPage]:
    """Open an address in a context of its own, with options such as `color_scheme="dark"`. Closed before its server."""
    with ExitStack() as opened:

        def open_(url: str, **options: Any) -> Page:
            context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, "locale": "en-GB", **options})
            opened.callback(context.close)
            context.set_default_timeout(PATIENCE * 1000)
            watch = Watch(urlsplit(url).netloc)
            watch.over(context)
            watches.append(watch)
            page = context.new_page()
            page.goto(url)
            return page

        yield open_
        for watch in watches:
            watch.settle()
            watch.check()
