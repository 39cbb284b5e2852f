"""Real uvicorn processes for tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import httpx

T = TypeVar("T")
HERE = Path(__file__).parent


def until(look: Callable[[], T | None], deadline: float = 60.0) -> T:
    """Look again and again until there is something to see."""
    end = time.monotonic() + deadline
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"nothing came of {look} in {deadline} s"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def uvicorn(*options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of `served_app`, and its URL."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "served_app:app", "--app-dir", str(HERE), "--port", str(port)]
    process = subprocess.Popen(
        [*command, *options],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: answers(f"{url}/queue/status") or process.poll() is not None)
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            yield process, url
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                finally:
                    process.kill()
