"""A real Prometheus that scrapes one target, on a free loopback port, in a directory of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import attrs
from servers import free_port, missing
from waiting import until

_CONFIG = """
global:
  scrape_interval: 250ms
  scrape_timeout: 250ms
scrape_configs:
  - job_name: pacer
    static_configs:
      - targets: ["{target}"]
"""


def find(program: str) -> str:
    """`prometheus` or `promtool`; they come in one package."""
    found = shutil.which(program)
    if found is None:
        raise missing(f"no {program}: install Debian's package `prometheus`")
    return found


@attrs.frozen
class Prometheus:
    """One that runs."""

    url: str

    def answer(self, expression: str) -> Sequence[Mapping[str, Any]]:
        """What the expression comes to now: one dict a series. Raises if Prometheus does not understand it."""
        with urlopen(f"{self.url}/api/v1/query?{urlencode({'query': expression})}", timeout=30) as answer:
            body = json.load(answer)
        assert body["status"] == "success", body
        found: Sequence[Mapping[str, Any]] = body["data"]["result"]
        return found

    def wait_for(self, expression: str) -> Sequence[Mapping[str, Any]]:
        """The same as soon as there is something."""
        return until(lambda: self.answer(expression) or None)

    def _ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/-/ready", timeout=5):
                return True
        except (URLError, ConnectionError):
            return False


@contextmanager
def scraping(target: str, directory: Path) -> Iterator[Prometheus]:
    """Prometheus with an eye on `host:port`."""
    binary, port = find("prometheus"), free_port()
    (directory / "prometheus.yml").write_text(_CONFIG.format(target=target), encoding="utf-8")
    command = [
        binary,
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with open(directory / "log", "wb") as log:
        process = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        until(server._ready)
        yield server
    finally:
        process.kill()
        process.wait()
