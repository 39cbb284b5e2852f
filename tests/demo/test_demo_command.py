"""`pacer demo` as its users run it: a real process, real servers, real signals."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from waiting import until

COMMAND = [sys.executable, "-m", "pacer", "demo", "--port", "0", "--upstream-port", "0", "--fast"]
NUMBERS = [f"8/{number}" for number in (1204, 1217, 1233, 1240, 1258, 1271, 1284, 1290, 1302, 1315)]
ALL = len(NUMBERS)


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def job_rows(db: Path) -> dict[str, dict[str, Any]]:
    if not db.exists():
        return {}
    with closing(sqlite3.connect(db)) as connection:
        connection.row_factory = sqlite3.Row
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'jobs'").fetchone():
            return {}
        return {row["id"]: dict(row) for row in connection.execute("SELECT * FROM jobs")}


def succeeded(db: Path) -> dict[str, dict[str, Any]]:
    return {job_id: row for job_id, row in job_rows(db).items() if row["status"] == "succeeded"}


@contextmanager
def started(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*COMMAND, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def urls(process: subprocess.Popen[str]) -> tuple[str, str]:
    """The application's and the upstream's, from the first lines of the output."""
    assert process.stdout is not None
    head = ""
    while "jobs  " not in head:
        line = process.stdout.readline()
        assert line, f"the demo ended: {head}"
        head += line
    found = re.findall(r"http://127\.0\.0\.1:\d+", head)
    return found[0], found[-1]


def rest(process: subprocess.Popen[str]) -> str:
    """What it still says until it ends, also what has been read ahead, which `communicate` would lose."""
    assert process.stdout is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        return process.stdout.read()
    finally:
        process.wait()
        watchdog.cancel()


def test_the_demo_shows_positions_pacing_and_an_absorbed_429_and_analyses_everything(
    clean_environment: dict[str, str], tmp_path: Path
) -> None:
    db = tmp_path / "demo.db"
    done = run(["--once", "--db", str(db)], clean_environment)
    assert (done.returncode, done.stderr) == (0, "")
    for position, number in enumerate(NUMBERS, 1):
        assert f"{number}   accepted at position {position}, starts in " in done.stdout
        assert f"{number}   succeeded" in done.stdout
    assert re.search(r"8/1315   waits at position [1-9], starts in .* s", done.stdout)
    assert "queue    waits: " in done.stdout
    assert "queue    absorbed a 429" in done.stdout
    assert f"{ALL} of {ALL} papers analysed, 429s absorbed: 1." in done.stdout
    calls, gap = re.findall(r"The upstream saw (\d+) calls, never two within ([\d.]+) s\.", done.stdout)[0]
    assert int(calls) == ALL + 1
    assert float(gap) >= 0.1
    assert len(succeeded(db)) == ALL
    assert all(row["result"].startswith("Dokumentart") for row in job_rows(db).values())


def test_a_second_demo_is_a_new_run_on_the_same_file(clean_environment: dict[str, str], tmp_path: Path) -> None:
    for _ in range(2):
        done = run(["--once"], clean_environment)
        assert done.returncode == 0
        assert f"{ALL} of {ALL} papers analysed, 429s absorbed: 1." in done.stdout
        assert "Going on" not in done.stdout
    db = tmp_path / "state" / "pacer" / "demo-fast.db"
    assert sorted(job_id.split("-")[1] for job_id in succeeded(db)) == ["1"] * ALL + ["2"] * ALL


@pytest.mark.parametrize("settled", [0, ALL - 1])
def test_after_a_sigkill_a_second_start_finishes_the_rest_and_does_nothing_twice(
    settled: int, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    db = tmp_path / "demo.db"
    with started(clean_environment, "--db", str(db)) as first:
        until(lambda: len(job_rows(db)) == ALL and len(succeeded(db)) >= settled)
        first.send_signal(signal.SIGKILL)
    before = succeeded(db)
    assert len(before) >= settled
    with started(clean_environment, "--db", str(db)) as second:
        _, upstream = urls(second)
        until(lambda: len(succeeded(db)) == ALL)
        calls = httpx.get(f"{upstream}/calls").json()["calls"]
        second.send_signal(signal.SIGINT)
        output = rest(second)
    assert second.returncode == 0
    assert "Going on with the papers of the last run" in output or len(before) == ALL
    after = job_rows(db)
    # Each paper once, and those that were settled are untouched.
    assert len(after) == ALL
    assert {job_id: after[job_id] for job_id in before} == before
    # The upstream was asked for the others only: each document once, but for answers 429.
    answered = [call["document"] for call in calls if call["status"] == 200]
    assert len(answered) == len(set(answered)) == ALL - len(before)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_stops_cleanly_and_goes_on_later(
    sign: signal.Signals, clean_environment: dict[str, str], tmp_path: Path
) -> None:
    db = tmp_path / "demo.db"
    with started(clean_environment, "--db", str(db)) as process:
        app, _ = urls(process)
        until(lambda: len(succeeded(db)) >= 1)
        # A browser that watches the events does not hold it up.
        with httpx.stream("GET", f"{app}/queue/events", timeout=30) as stream:
            assert stream.status_code == 200
            process.send_signal(sign)
            output = rest(process)
    assert process.returncode == 0
    assert "Traceback" not in output
    assert "papers analysed" in output
    assert not [row for row in job_rows(db).values() if row["status"] == "running"]
    done = run(["--once", "--db", str(db)], clean_environment)
    assert done.returncode == 0
    assert f"{ALL} of {ALL} papers analysed" in done.stdout


def test_a_demo_that_was_to_end_by_itself_and_is_interrupted_says_that_it_is_not_done(
    clean_environment: dict[str, str], tmp_path: Path
) -> None:
    db = tmp_path / "demo.db"
    slow = [argument for argument in COMMAND if argument != "--fast"]
    with subprocess.Popen(
        [*slow, "--once", "--db", str(db)], env=clean_environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert any("waits: " in line for line in process.stdout)
        process.send_signal(signal.SIGINT)
        output = rest(process)
    assert process.returncode == 130
    assert output.endswith("papers analysed, 429s absorbed: 0.\nThe same command goes on with the others.\n")
    done = run(["--once", "--db", str(db)], clean_environment)
    assert done.returncode == 0
    assert re.search(r"8/1315   known from the last run at position \d+, starts in ", done.stdout)
    assert "accepted" not in done.stdout
    assert "The same command" not in done.stdout


def test_one_port_for_both_servers_is_refused(clean_environment: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = str(other.getsockname()[1])
    done = run(["--port", port, "--upstream-port", port], clean_environment)
    assert done.returncode == 1
    assert done.stderr == (
        f"pacer demo: the application and the upstream cannot share port {port}; choose another one with --port\n"
    )


@pytest.mark.parametrize("option", ["--port", "--upstream-port"])
def test_a_busy_port_is_named_with_what_to_do(option: str, clean_environment: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = run(["--once", "--db", str(tmp_path / "demo.db"), option, str(port)], clean_environment)
    assert done.returncode == 1
    assert done.stderr == (
        f"pacer demo: port {port} is in use by another program; "
        f"end that program, or choose another port with {option}\n"
    )


def test_a_file_that_cannot_be_used_is_named(clean_environment: dict[str, str], tmp_path: Path) -> None:
    done = run(["--once", "--db", str(tmp_path / "none" / "demo.db")], clean_environment)
    assert done.returncode == 1
    assert done.stderr.startswith("pacer demo: ")
    assert "Traceback" not in done.stderr
    assert str(tmp_path / "none") in done.stderr


def test_a_state_folder_that_cannot_be_made_is_named(clean_environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(["--once"], {**clean_environment, "XDG_STATE_HOME": str(tmp_path / "file")})
    assert done.returncode == 1
    assert "--db" in done.stderr
    assert "Traceback" not in done.stderr


def test_papers_that_fail_make_the_demo_fail(clean_environment: dict[str, str], tmp_path: Path) -> None:
    """With a real service that refuses the key: here the stand-in of another process."""
    with started(clean_environment, "--db", str(tmp_path / "other.db")) as other:
        _, upstream = urls(other)
        environment = {**clean_environment, "OPENAI_BASE_URL": f"{upstream}/v1", "OPENAI_API_KEY": "wrong"}
        slow = [argument for argument in COMMAND if argument != "--fast"]
        with subprocess.Popen(
            [*slow, "--db", str(tmp_path / "demo.db")], env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            seen = next(line for line in process.stdout if "failed" in line)
            process.send_signal(signal.SIGINT)
            output = rest(process)
    assert "401" in seen
    assert f"0 of {ALL} papers analysed" in output
    assert process.returncode == 1


def test_on_a_terminal_a_table_is_shown(clean_environment: dict[str, str], tmp_path: Path) -> None:
    import pty

    parent, child = pty.openpty()
    environment = {**clean_environment, "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    process = subprocess.Popen(
        [*COMMAND, "--once", "--db", str(tmp_path / "demo.db")], env=environment, stdout=child, stderr=child
    )
    os.close(child)
    output = b""
    with process:
        while True:
            try:
                chunk = os.read(parent, 65536)
            except OSError:  # how Linux says that the other side has closed it
                break
            if not chunk:
                break
            output += chunk
    os.close(parent)
    text = output.decode()
    assert process.returncode == 0
    assert all(word in text for word in ("Paper", "State", "Pos", "Starts in", "Progress"))
    assert f"{ALL} of {ALL} analysed   429s absorbed: 1" in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text)
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text)
    assert max(len(line) for line in plain.replace("\r", "\n").splitlines() if "8/1204" in line) <= 80
