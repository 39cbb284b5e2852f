"""Real uvicorn processes for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from servers import free_port
from waiting import until

HERE = Path(__file__).parent


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
