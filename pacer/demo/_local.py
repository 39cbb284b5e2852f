"""Who may steer the demo's queue: people at this machine."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from fastapi import HTTPException, Request

_NAMES = ("127.0.0.1", "::1", "localhost")
_OF_PROXIES = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")


async def at_this_machine(request: Request) -> None:
    """Let nobody in who comes from elsewhere.

    That the connection comes from this machine is not enough. A page of another site may have its own name lead here,
    and then speaks to the server as if it were its own; but the browser still says that name. And behind a proxy all
    connections come from this machine.

    Raises:
        HTTPException: 403.
    """
    if not (_is_loopback(request) and _named_as_here(request)) or any(name in request.headers for name in _OF_PROXIES):
        raise HTTPException(403, "Open this page on the machine that the demo runs on, at http://127.0.0.1.")


def _is_loopback(request: Request) -> bool:
    try:
        return request.client is not None and ip_address(request.client.host).is_loopback
    except ValueError:  # no address: a socket of another kind
        return False


def _named_as_here(request: Request) -> bool:
    try:
        return urlsplit(f"//{request.headers.get('host', '')}").hostname in _NAMES
    except ValueError:
        return False
