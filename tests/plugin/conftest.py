"""Projects of users: folders with tests of theirs, run by pytest in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

# So that a plugin which is installed here for other tests does not take part.
_UNUSED = ("benchmark", "hypothesispytest", "xdist", "valkey", "cacheprovider")


@attrs.frozen
class Ran:
    """How pytest ended."""

    code: int
    out: str

    @property
    def counts(self) -> dict[str, int]:
        """How many tests passed, failed, ...; warnings too."""
        summary = self.out.strip().splitlines()[-1]
        return {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) (\w+)", summary) if word != "in"}


@attrs.frozen
class Project:
    """A folder of a user's, without a conftest of ours."""

    path: Path

    def write(self, **files: str) -> Project:
        """Files, by name without `.py`."""
        for name, text in files.items():
            (self.path / f"{name}.py").write_text(text, encoding="utf-8")
        return self

    def ini(self, *lines: str) -> Project:
        """Settings of pytest."""
        text = "\n".join(["[pytest]", *lines, ""])
        (self.path / "pytest.ini").write_text(text, encoding="utf-8")
        return self

    def run(self, *arguments: str, without: tuple[str, ...] = ("asyncio",)) -> Ran:
        """pytest, in a process of its own, with the plugins that are installed but for those."""
        off = [word for name in (*_UNUSED, *without) for word in ("-p", f"no:{name}")]
        command = [sys.executable, "-m", "pytest", *off, *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.path, env=environment, timeout=120
        )
        return Ran(done.returncode, done.stdout + done.stderr)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path).ini("filterwarnings = error")
