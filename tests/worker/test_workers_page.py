"""The page on worker processes: its application and its commands, as typed there, and its tables."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from servers import free_port
from typer.testing import CliRunner
from waiting import until

from pacer._commands import app
from pacer._work import _errors
from pacer._work._run import GRACE
from pacer._work._stop import LAST_SECONDS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "workers.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(DOCS / "examples" / "workers" / "main.py", tmp_path)
    return tmp_path


@contextmanager
def started(command: str, folder: Path) -> Iterator[Path]:
    """A command of the page, by the programs that are installed beside this Python; gives what it says."""
    program, *arguments = shlex.split(command)
    log = folder / f"{program}.log"
    path = Path(sys.executable).with_name(program)
    with log.open("wb") as file, subprocess.Popen([path, *arguments], cwd=folder, stdout=file, stderr=file) as process:
        try:
            yield log
        finally:
            process.terminate()


def answer(method: str, url: str, **rest: Any) -> Any:
    try:
        found = httpx.request(method, url, timeout=10, **rest)
    except httpx.TransportError:  # it does not serve yet
        return None
    return found.json() if found.is_success else None


def test_a_job_of_the_web_process_is_run_by_the_worker_process(folder: Path) -> None:
    web, worker = (next(one for one in COMMANDS if one.startswith(begin)) for begin in ("uvicorn", "pacer worker"))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(started(f"{web} --port {port}", folder))
        job_id = until(lambda: answer("POST", f"{url}/summaries", params={"text": "One fish"}))["job_id"]
        status = answer("GET", f"{url}/queue/status")
        assert (status["pending"], status["running"], status["working"]) == (1, 0, False)
        with started(worker, folder) as log:
            until(lambda: (answer("GET", f"{url}/queue/jobs/{job_id}") or {}).get("result") == "One")
    said = log.read_text(encoding="utf-8")
    shown = re.findall(r"^pacer worker: .*$", PAGE, re.MULTILINE)
    assert re.findall(r"^pacer worker: .*$", said, re.MULTILINE) == shown


def rows(header: str) -> list[str]:
    """The first cells of the table with this header."""
    table = PAGE.partition(f"| {header} |")[2].partition("\n\n")[0]
    return [line.split(" | ")[0].strip("| `") for line in table.splitlines()[2:]]


def test_every_exit_code_has_a_row() -> None:
    codes = [_errors.DONE, _errors.CANNOT_START, _errors.USAGE, _errors.STORE_AWAY, _errors.NOT_IN_ORDER]
    assert rows("Exit code") == [*map(str, codes), f"{_errors.BY_SIGNAL} + n"]


def test_every_option_has_a_row() -> None:
    command = typer.main.get_command(app)
    options = {
        option
        for parameter in command.commands["worker"].params  # type: ignore[attr-defined]
        for option in parameter.opts
        if option.startswith("--")
    }
    assert {row.split()[0] for row in rows("Option")} == options - {"--help"}


def test_the_times_of_the_page_are_those_of_the_code() -> None:
    assert f"where that is 0, {GRACE:g} |" in PAGE
    assert f"at most `--stop-timeout` and {LAST_SECONDS:g} seconds" in PAGE
    assert f"# More than --stop-timeout ({GRACE:g} s) and the {LAST_SECONDS:g} s after it.\nTimeoutStopSec=30" in PAGE
    assert GRACE + LAST_SECONDS < 30


def test_the_commands_for_the_tables_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = [shlex.split(one)[1:] for one in COMMANDS if one.startswith("pacer migrate")]
    assert len(told) == 3
    for arguments in (told[0], told[2]):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    assert "--schema" in told[1]
