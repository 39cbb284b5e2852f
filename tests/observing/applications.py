"""The applications of the pages, as real processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import httpx
from servers import free_port
from waiting import until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "observing"


def copied(folder: Path, *names: str, **instead: str) -> None:
    """Examples, in a directory of their own, with other words in them: the port that is free, say."""
    for name in names:
        shutil.copy(EXAMPLES / f"{name}.py", folder)
        text = (folder / f"{name}.py").read_text(encoding="utf-8")
        for old, new in instead.items():
            assert old in text
            text = text.replace(old, new)
        (folder / f"{name}.py").write_text(text, encoding="utf-8")


@attrs.frozen
class Running:
    """One that serves, and what it has said."""

    url: str
    log: Path

    def submit(self, text: str) -> str:
        answer = httpx.post(f"{self.url}/summaries", params={"text": text}, timeout=30)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def command(folder: Path, log: Path, *words: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Python's, until it is told to stop."""
    with (
        log.open("ab") as file,
        subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(20)
            finally:
                process.kill()


@contextmanager
def served(folder: Path, application: str, *options: str, **environment: str) -> Iterator[Running]:
    """Uvicorn with one of the examples."""
    port, log = free_port(), folder / f"{application}.log"
    words = ("uvicorn", f"{application}:app", "--port", str(port), *options)
    with command(folder, log, *words, **environment) as process:
        running = Running(f"http://127.0.0.1:{port}", log)

        def answers() -> bool:
            assert process.poll() is None, running.said
            return _answers(f"{running.url}/openapi.json")

        until(answers)
        yield running


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False
