"""The page and its files."""

from __future__ import annotations

import html
import secrets
from hashlib import sha256
from importlib import resources
from string import Template

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, Response

from pacer import NotRunningError, Scheduler
from pacer.dashboard._security import COOKIE, page_policy, token_for
from pacer.fastapi._problems import RECOVERY_TIME

_KINDS = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


def page_routes(scheduler: Scheduler, title: str, *, steerable: bool, show_arguments: bool) -> APIRouter:
    """The page at the root, and what it is made of below `static/`."""
    router = APIRouter()
    folder = resources.files("pacer.dashboard") / "static"
    template = Template((folder / "page.html").read_text(encoding="utf-8"))
    files = {
        file.name: _File(file.read_bytes(), _KINDS[kind])
        for file in folder.iterdir()
        if (kind := file.name.rpartition(".")[2]) in _KINDS
    }

    @router.get("/", response_class=HTMLResponse)
    async def page(request: Request) -> HTMLResponse:
        nonce, token = secrets.token_urlsafe(16), token_for(request) if steerable else ""
        text = template.substitute(
            title=html.escape(title),
            nonce=nonce,
            token=html.escape(token),
            steerable=str(steerable).lower(),
            arguments=str(show_arguments).lower(),
        )
        answer = HTMLResponse(text, headers={"Content-Security-Policy": page_policy(nonce)})
        if not _running(scheduler):
            answer.status_code = 503
            answer.headers["Retry-After"] = str(RECOVERY_TIME)
        if steerable:
            # Without a path it is for this folder as the browser sees it, whatever a proxy makes of that.
            secure = request.url.scheme == "https"
            answer.set_cookie(COOKIE, token, path=None, secure=secure, httponly=True, samesite="strict")
        return answer

    @router.get("/static/{name}")
    async def file(name: str, request: Request) -> Response:
        if name not in files:
            raise HTTPException(404)
        return files[name].answer(request.headers.get("if-none-match"))

    return router


class _File:
    """A file of the page. Browsers ask each time whether it is still the same, so that an update is seen at once."""

    def __init__(self, content: bytes, kind: str) -> None:
        self._content = content
        self._kind = kind
        self._tag = f'"{sha256(content).hexdigest()[:20]}"'

    def answer(self, known: str | None) -> Response:
        headers = {"ETag": self._tag, "Cache-Control": "private, no-cache"}
        if known and self._tag in (tag.strip().removeprefix("W/") for tag in known.split(",")):
            return Response(status_code=304, headers=headers)
        return Response(self._content, media_type=self._kind, headers=headers)


def _running(scheduler: Scheduler) -> bool:
    try:
        scheduler.utc(0.0)
    except NotRunningError:
        return False
    return True
