"""`pacer compare` and `pacer simulate` as people type them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pacer._commands import app

FILE = """
workload = "Poisson(1, jobs=20)"
upstream = "Upstream(FixedWindowLimit(5, per=10), Exponential(1))"
[scheduler]
concurrency = 3
[[candidate]]
name = "first"
pacing = "Unpaced()"
[[candidate]]
name = "second"
pacing = "TokenBucket(0.5)"
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "compare.toml"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def pacer(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, list(arguments))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_compare_without_anything_gives_the_sample_and_a_picture(tmp_path):
    """The real command, as the README has it."""
    command = [sys.executable, "-m", "pacer", "compare", "--plot", "compare.html"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "wrote compare.html\n")
    assert "\x1b" not in done.stdout
    assert done.stdout.splitlines()[-1].startswith("Best: do as the headers say. ")
    assert "<svg" in (tmp_path / "compare.html").read_text(encoding="utf-8")


def test_on_a_terminal_there_are_colours_and_a_bar_that_leaves_nothing_behind(config):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    command = [sys.executable, "-m", "pacer", "compare", config]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 4096):
                shown += block
        except OSError:  # so a terminal says that nobody writes to it any more
            pass
        assert process.wait(timeout=60) == 0
    os.close(ours)
    text = shown.decode("utf-8")
    assert "\x1b[1;32m" in text
    assert "2/2" in text
    assert text.rindex("2/2") < text.index("candidate")
    assert "|" not in text


def test_json_is_all_that_is_on_standard_output(config):
    code, out, _ = pacer("compare", config, "--json", "--repeat", "2", "--seed", "5")
    found = json.loads(out)
    assert code == 0
    assert [one["name"] for one in found["candidates"]] == ["first", "second"]
    assert [run["seed"] for run in found["candidates"][0]["runs"]] == [5, 6]


def test_the_command_line_has_the_last_word(config):
    code, out, _ = pacer(
        "compare", config, "--json", "--jobs", "7", "--pacing", "FixedPause(1)", "--pacing", "MinInterval(2)",
        "--upstream", "Upstream(latency=0.5)", "--until", "100",
    )  # fmt: skip
    found = json.loads(out)
    assert code == 0
    assert found["upstream"] == "Upstream(latency=0.5)"
    assert [one["name"] for one in found["candidates"]] == ["FixedPause(1)", "MinInterval(2)"]
    assert [one["runs"][0]["arrived"] for one in found["candidates"]] == [7, 7]
    assert found["candidates"][0]["settings"] == {"concurrency": "3", "pacing": "FixedPause(1)"}


def test_a_path_that_is_typed_starts_where_it_is_typed(config, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.csv").write_text("at\n0\n1\n2\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path / "here")
    code, out, _ = pacer("compare", config, "--json", "--workload", "Trace('a.csv', 'at')")
    assert code == 0
    assert json.loads(out)["candidates"][0]["runs"][0]["arrived"] == 3


def test_simulate_takes_parts_from_the_command_line_alone():
    code, out, _ = pacer(
        "simulate", "--pacing", "TokenBucket(3)", "--workload", "Poisson(2)", "--jobs", "100",
        "--upstream", "Upstream(FixedWindowLimit(60))", "--backoff", "FullJitter(ExponentialBackoff(1))",
        "--queue", "BoundedQueue(500)", "--estimator", "MovingAverage(2)", "--concurrency", "4",
        "--clients", "2", "--json",
    )  # fmt: skip
    assert code == 0
    (found,) = json.loads(out)["candidates"]
    assert found["name"] == "2 x TokenBucket(3)"
    assert found["runs"][0]["succeeded"] == 100
    assert found["settings"] == {
        "queue": "BoundedQueue(500)",
        "concurrency": "4",
        "pacing": "TokenBucket(3)",
        "backoff": "FullJitter(ExponentialBackoff(1))",
        "estimator": "MovingAverage(2)",
        "clients": "2",
    }


def test_simulate_takes_one_candidate_of_a_file_with_other_parts_in_their_place(config):
    code, out, _ = pacer("simulate", config, "--candidate", "second", "--concurrency", "1", "--json")
    (found,) = json.loads(out)["candidates"]
    assert code == 0
    assert found["settings"] == {"concurrency": "1", "pacing": "TokenBucket(0.5)"}
    assert json.loads(out)["best"] is None


def test_simulate_says_in_words_what_came_out(config):
    code, out, _ = pacer("simulate", config, "--candidate", "second")
    assert code == 0
    assert out.splitlines()[-1].startswith("second: ")


def test_the_only_candidate_of_a_file_needs_no_name(tmp_path):
    path = tmp_path / "one.toml"
    path.write_text(FILE[: FILE.index('[[candidate]]\nname = "second"')], encoding="utf-8")
    code, out, _ = pacer("simulate", str(path), "--json")
    assert (code, [one["name"] for one in json.loads(out)["candidates"]]) == (0, ["first"])


def test_write_example_writes_what_compare_can_run(tmp_path):
    path = tmp_path / "mine.toml"
    assert pacer("compare", "--write-example", str(path)) == (
        0,
        f"wrote {path}\nwrote {tmp_path / 'requests.csv'}\n",
        "",
    )
    assert pacer("compare", str(path), "--jobs", "20")[0] == 0
    code, _, told = pacer("compare", "--write-example", str(path))
    assert (code, told) == (2, f"pacer compare: {path}: is there already; choose another place\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["compare", "{}", "--pacing", "TokenBuket(1)"],
            "pacer compare: --pacing: there is no TokenBuket here; did you mean",
        ),
        (["compare", "{}", "--workload", "Poisson(2)"], "pacer compare: --workload: Poisson never ends; give it jobs="),
        (
            ["compare", "{}", "--upstream", "Upstrem()"],
            "pacer compare: --upstream: there is no Upstrem here; did you mean Upstream?",
        ),
        (
            ["compare", "{}", "--until", "0"],
            "pacer compare: --until: must be a finite number of seconds above 0, got 0",
        ),
        (["compare", "{}", "--jobs", "2", "--workload", "History('a')"], "pacer compare: --jobs: a History cannot be"),
        (["compare", "{}", "--plot", "a.gif"], "pacer compare: --plot: a.gif has .gif; choices: .png, .svg, .html"),
        (["compare", "gone.toml"], "pacer compare: gone.toml: cannot be read: No such file or directory"),
        (["simulate", "{}"], "pacer simulate: --candidate: which one? Or give --pacing. choices: first, second"),
        (
            ["simulate", "{}", "--candidate", "frst"],
            "pacer simulate: --candidate: there is no 'frst'; did you mean first?",
        ),
        (["simulate", "{}", "--queue", "Queue(1)"], "pacer simulate: --queue: there is no Queue here; "),
        (
            ["simulate", "{}", "--clients", "5000"],
            "pacer simulate: --clients: must be a whole number, 1 to 1000, got 5000",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(config, arguments, told):
    code, out, error = pacer(*(config if one == "{}" else one for one in arguments))
    assert (code, out) == (2, "")
    assert error.startswith(told)
    assert error.count("\n") == 1


def test_a_mistake_in_the_candidates_of_a_file_is_told_with_its_key(tmp_path):
    path = tmp_path / "a.toml"
    for candidates, told in (("candidate = 3\n", "candidate: must be tables"), ("", "--candidate: which one?")):
        path.write_text(candidates + FILE.partition("[[")[0], encoding="utf-8")
        code, _, error = pacer("simulate", str(path))
        assert (code, error.startswith(f"pacer simulate: {told}")) == (2, True)


def test_a_run_that_does_not_end_is_exit_code_1(config, impatient):
    never = "Upstream(FixedWindowLimit(0.5), retry_after=False)"
    Path(config).write_text(FILE.replace("concurrency = 3", "max_throttles = 10000000"), encoding="utf-8")
    code, out, error = pacer("compare", config, "--upstream", never, "--pacing", "Unpaced()")
    assert (code, out) == (1, "")
    assert error.startswith("pacer compare: Unpaced(): no job has entered or ended for ")


def test_without_matplotlib_a_picture_is_refused_with_what_to_install(tmp_path):
    code = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "matplotlib":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv = ["pacer", "compare", "--jobs", "5", *sys.argv[1:]]
from pacer._cli import main
main()
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run([*command, "--plot", "a.png"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "pacer compare: --plot: the package 'matplotlib' is missing; "
        "install it with: pip install 'pacer-scheduler[plot]'\n"
    )
    assert not (tmp_path / "a.png").exists()
    assert subprocess.run(command, capture_output=True, check=False, cwd=tmp_path).returncode == 0


def test_an_interrupt_ends_it_quietly(config, monkeypatch):
    from pacer._compare import _command

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(_command, "run", interrupted)
    assert pacer("compare", config) == (130, "", "")


def test_a_picture_that_cannot_be_written_after_all_is_told(config, tmp_path, monkeypatch):
    from pacer._compare import _command

    monkeypatch.setattr(_command, "check_target", lambda path: (tmp_path / "late.png").mkdir())
    code, _, error = pacer("compare", config, "--plot", str(tmp_path / "late.png"))
    assert code == 2
    assert error == f"pacer compare: --plot: {tmp_path / 'late.png'} cannot be written: Is a directory\n"


def test_help_says_what_the_columns_and_exit_codes_mean():
    code, out, _ = pacer("compare", "--help")
    assert code == 0
    words = " ".join(out.split())
    assert "Columns: jobs done per unit of time" in words
    assert "Exit codes: 0 done" in words
