"""A dashboard, mounted in an application that runs its scheduler, and a client that can do what the page does."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import attrs
import httpx
from fastapi import FastAPI

from pacer import BoundedQueue, Scheduler, current_job
from pacer.dashboard import dashboard
from pacer.estimators import MovingAverage
from pacer.fastapi import lifespan
from pacer.pacing import FixedPause


async def anybody() -> None:
    """For `auth=`: lets everybody in."""


def make_scheduler(**parts: Any) -> Scheduler:
    """One job at a time, 10 s between two, expected to take 60 s."""
    return Scheduler(
        **{
            "queue": BoundedQueue(50),
            "pacing": FixedPause(10),
            "estimator": MovingAverage(initial=60, weight=0.2),
            "name": "papers",
            "seed": 1,
            **parts,
        }
    )


async def sleeper(seconds: float = 30, secret: str = "") -> str:
    """Reports, sleeps, and ends well."""
    current_job().progress(0.25, "begun")
    await anyio.sleep(seconds)
    return "slept"


async def failing(error: str = "no such paper") -> None:
    """Fails at once."""
    raise ValueError(error)


@attrs.define(eq=False)
class Page:
    """What a browser that has the page open can ask."""

    client: httpx.AsyncClient
    token: str = ""

    async def open(self) -> httpx.Response:
        """Load the page; keeps its cookie, and the token that is in it."""
        answer = await self.client.get("")
        found = re.search(r'name="pacer-token" content="([^"]*)"', answer.text)
        self.token = found[1] if found else ""
        return answer

    async def get(self, path: str, **parameters: Any) -> httpx.Response:
        """Read something."""
        return await self.client.get(path, params=parameters)

    async def act(self, action: str, body: Any = None, **headers: str) -> httpx.Response:
        """Do something, as the page's script does."""
        sent = {"X-Pacer-Token": self.token, "Origin": "http://test", **headers}
        return await self.client.post(f"actions/{action}", json={} if body is None else body, headers=sent)


@asynccontextmanager
async def mounted(scheduler: Scheduler, *, at: str = "/queue", **options: Any) -> AsyncGenerator[Page]:
    """The page, with everybody let in unless `auth` is among the options; the scheduler runs."""
    app = FastAPI(lifespan=lifespan(scheduler))
    app.mount(at, dashboard(scheduler, **{"auth": anybody, **options}))
    async with app.router.lifespan_context(app), client_of(app, at) as client:
        page = Page(client)
        await page.open()
        yield page


def client_of(app: FastAPI, at: str = "/queue", root_path: str = "") -> httpx.AsyncClient:
    """A client whose paths are below the page's. Names without a slash at the start are relative to it."""
    transport = httpx.ASGITransport(app, root_path=root_path)
    return httpx.AsyncClient(transport=transport, base_url=f"http://test{at}/")
