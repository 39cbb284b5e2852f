"""Nothing may happen on a page that its user would not expect."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import attrs
from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Request, WebError

LOCAL_SCHEMES = ("about", "blob", "data")


@attrs.define(eq=False, slots=False)  # Playwright notes things on the object whose methods it calls
class Watch:
    """What happened on the pages of a context, of that which should not.

    Attributes:
        host: The only one that may be asked for anything, with its port.
        complaints: What happened, in words.
        asked: The addresses that were asked for, in order.
    """

    host: str
    complaints: list[str] = attrs.field(init=False, factory=list)
    asked: list[str] = attrs.field(init=False, factory=list)
    _expected: list[str] = attrs.field(init=False, factory=list)
    _context: BrowserContext = attrs.field(init=False)

    def over(self, context: BrowserContext) -> None:
        """Begin."""
        self._context = context
        context.on("dialog", self._on_dialog)
        context.on("weberror", self._on_error)
        context.on("console", self._on_console)
        context.on("request", self._on_request)

    def expect(self, pattern: str) -> None:
        """Complaints in which this is found are none: Chromium logs every answer from 400 on and every lost server."""
        self._expected.append(pattern)

    def settle(self) -> None:
        """Hear of all that has happened until now."""
        for page in self._context.pages:
            # What a page says comes in order: after this answer nothing older is on its way.
            page.evaluate("() => new Promise(done => setTimeout(done))")

    def check(self) -> None:
        """Fail if there was anything."""
        left = [one for one in self.complaints if not any(re.search(pattern, one) for pattern in self._expected)]
        assert not left, "\n".join(left)

    def _on_dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_error(self, error: WebError) -> None:
        self.complaints.append(f"exception: {error.error}")

    def _on_console(self, message: ConsoleMessage) -> None:
        self.complaints.append(f"console {message.type}: {message.text}")

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        self.asked.append(request.url)
        if address.scheme not in LOCAL_SCHEMES and address.netloc != self.host:
            self.complaints.append(f"request to another host: {request.url}")
