"""Real servers for the demo's tests, in a world a hundred times as fast."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from pacer.demo._chat import ChatService
from pacer.demo._servers import serving
from pacer.demo.app import Settings, create_app
from pacer.demo.upstream import create_upstream


@pytest.fixture
def clean_environment(tmp_path: Path) -> dict[str, str]:
    """For subprocesses: no real services, and a state folder of their own."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DASHSCOPE", "OPENAI", "PACER"))}
    return {**kept, "XDG_STATE_HOME": str(tmp_path / "state"), "COLUMNS": "100"}


@pytest.fixture
def upstream_url() -> Iterator[str]:
    with serving(create_upstream(speed=100, others_before={3}), 0, "--upstream-port") as url:
        yield url


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
def client(upstream_url: str, db: Path) -> Iterator[httpx.Client]:
    """A client of the reference application, which calls the stand-in."""
    chat = ChatService.stand_in(int(upstream_url.rsplit(":", 1)[1]))
    with (
        serving(create_app(Settings(db, chat, speed=100)), 0, "--port") as url,
        httpx.Client(base_url=url, timeout=30) as client,
    ):
        yield client
