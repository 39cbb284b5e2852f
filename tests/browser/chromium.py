"""The browser."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright
from servers import missing

REBOUND = "rebound.example"
"""A name that leads to this machine: how pages of other sites get at servers that listen on loopback only."""

# No name of the world is looked up, so that a test that fails asks nobody for anything.
NAMES_KNOWN = f"MAP {REBOUND} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
BINARIES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")


def find_chromium() -> str:
    """The machine's own: none is downloaded."""
    for name in BINARIES:
        if path := shutil.which(name):
            return path
    raise missing("no Chromium: install Debian's package `chromium`")


@contextmanager
def started() -> Iterator[Browser]:
    """A browser while the block runs. No event loop can be run on this thread meanwhile."""
    path = find_chromium()
    # Its sandbox does not work for root; what it shows here is all our own. Containers have a small /dev/shm.
    for_root = ["--no-sandbox", "--disable-dev-shm-usage"] if os.geteuid() == 0 else []
    options = [f"--host-resolver-rules={NAMES_KNOWN}", *for_root]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield browser
        finally:
            browser.close()
