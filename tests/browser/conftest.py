"""Pages for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from browser.chromium import started
from browser.watching import Watch

PATIENCE = 15.0
"""Seconds in which anything that a test waits for has to happen."""

OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture
def watches() -> list[Watch]:
    """Of the pages that the test has opened."""
    return []


@pytest.fixture
def open_page(chromium: Browser, watches: list[Watch]) -> Iterator[OpenPage]:
    """Open an address in a context of its own, with options such as `color_scheme="dark"`."""
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
