"""What every test of a page relies on: nothing untoward escapes the watch."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from browser.watching import Watch

UNTOWARD = {
    "dialog": "alert('seen')",
    "exception": "throw new Error('seen')",
    "exception of a promise": "Promise.reject(new Error('seen'))",
    "console": "console.warn('seen')",
    "other host": "new Image().src = 'http://seen.example/pixel.png'",
    "other port": "fetch('http://127.0.0.1:9/seen').catch(() => 0)",
}


@pytest.mark.parametrize("what", UNTOWARD)
def test_what_a_script_does_behind_the_users_back_is_seen(what: str, chromium: Browser) -> None:
    watch = Watch("127.0.0.1:8000")
    with chromium.new_context() as context:
        watch.over(context)
        page = context.new_page()
        page.set_content(f"<h1>Innocent</h1><script>{UNTOWARD[what]}</script>")
        watch.settle()
    with pytest.raises(AssertionError, match="seen"):
        watch.check()


def test_a_page_that_does_nothing_is_not_complained_about(chromium: Browser) -> None:
    watch = Watch("127.0.0.1:8000")
    with chromium.new_context() as context:
        watch.over(context)
        context.new_page().set_content("<h1>Innocent</h1><img alt='' src='data:image/gif;base64,R0lGODlhAQABAAAAACw='>")
        watch.settle()
    watch.check()
