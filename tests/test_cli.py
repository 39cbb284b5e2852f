"""The `pacer` command without its demo."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

import pacer

# A python in which these packages are not installed.
WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv = ["pacer", *{arguments!r}]
from pacer._cli import main
main()
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def module(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pacer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_version_is_told() -> None:
    done = module("--version")
    assert (done.returncode, done.stdout) == (0, f"pacer {pacer.__version__}\n")


def test_help_names_the_demo_and_its_options() -> None:
    assert "demo" in module("--help").stdout
    text = module("demo", "--help").stdout
    assert all(option in text for option in ("--port", "--upstream-port", "--once", "--fast", "--db"))


def test_without_the_cli_extra_one_line_says_what_to_install() -> None:
    done = python(WITHOUT.format(names={"typer"}, arguments=["--version"]))
    assert done.returncode == 1
    assert done.stderr == (
        "pacer: the package 'typer' is missing; install it with: pip install 'pacer-scheduler[cli]'\n"
    )


@pytest.mark.parametrize("package", ["typer", "rich", "fastapi", "uvicorn", "openai", "sse_starlette", "aiosqlite"])
def test_without_the_demo_extra_one_line_says_what_to_install(package: str) -> None:
    done = python(WITHOUT.format(names={package}, arguments=["demo", "--once"]))
    assert done.returncode == 1
    assert done.stderr == (
        f"pacer: the package {package!r} is missing; install it with: pip install 'pacer-scheduler[demo]'\n"
    )


def test_an_impossible_port_is_refused() -> None:
    done = module("demo", "--port", "70000")
    assert done.returncode == 2
    assert "--port" in done.stderr


def test_an_interrupt_before_there_is_anything_to_sum_up_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from pacer._commands import app
    from pacer.demo import _run

    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(_run, "run_demo", interrupted)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        done = CliRunner().invoke(app, ["demo"])
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert (done.exit_code, done.output) == (130, "")
