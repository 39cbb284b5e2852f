"""What keeps other sites out: headers on every answer, and proof that a request comes from the page itself."""

from __future__ import annotations

import secrets
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Cookie, Header, HTTPException, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "pacer_dashboard"
_TOKEN_BYTES = 32
_TOKEN_LENGTH = len(secrets.token_urlsafe(_TOKEN_BYTES))
_HEADERS = {
    # What is not the page has no business to load or to be shown as one. The page says more than this.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-Robots-Tag": "noindex",
}


def page_policy(nonce: str) -> str:
    """The Content-Security-Policy of the page: its own files, and nothing that was written into it by data."""
    return (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


class SecurityHeaders:
    """Puts the headers on every answer, refusals included, unless they are there."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


def token_for(request: Request) -> str:
    """The token of this browser: the one that it has, so that its other tabs go on, or a new one."""
    known = request.cookies.get(COOKIE, "")
    return known if len(known) == _TOKEN_LENGTH else secrets.token_urlsafe(_TOKEN_BYTES)


async def same_site(request: Request) -> None:
    """Let nothing be read by the pages of other sites, even if the application around lets them read all else."""
    site = request.headers.get("sec-fetch-site")
    if site in ("cross-site", "same-site") or (site is None and not _same_origin(request)):
        raise HTTPException(403, "This is for the dashboard's own page, and not for other sites.")


async def steered_from_the_page(
    request: Request,
    cookie: Annotated[str, Cookie(alias=COOKIE)] = "",
    token: Annotated[str, Header(alias="X-Pacer-Token")] = "",
) -> None:
    """Let nobody steer but the page itself: the request comes from its origin, and knows the token that it was given.

    A cookie alone proves nothing, because browsers send it along with requests that other sites start. These cannot
    read the page, so they do not know the token; and what they send names their origin.
    """
    if not _same_origin(request):
        raise HTTPException(
            403,
            "Refused: the request comes from another site. If it does not, the proxy in front has to pass on the "
            "Host header that the browser sent.",
        )
    if len(cookie) != _TOKEN_LENGTH or not secrets.compare_digest(cookie.encode(), token.encode()):
        raise HTTPException(403, "Refused: this page is older than its session. Reload it, and try again.")


def _same_origin(request: Request) -> bool:
    """As browsers say it; on plain HTTP they do not send the first of the headers. Other clients need send neither."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site == "same-origin"
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")
