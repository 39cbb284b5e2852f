"""Parts of the page, as its users name them."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

OpenPage = Callable[..., Page]
"""What the fixture `open_page` gives."""


def word(page: Page) -> Locator:
    """How the queue is, in one word."""
    return page.locator("#state-word")


def button(page: Page, name: str) -> Locator:
    """A button by all of its name."""
    return page.get_by_role("button", name=name, exact=True)


def go(page: Page, address: str) -> None:
    """To a view of the page, as by a link on it; "#/" is the overview."""
    page.evaluate("address => { location.hash = address; }", address)


def answer(page: Page, title: str, choice: str) -> None:
    """Choose in the dialog that has opened."""
    dialog = page.get_by_role("dialog", name=title)
    dialog.get_by_role("button", name=choice, exact=True).click()
    expect(dialog).to_be_hidden()
