"""A comparison's file: what it may say, and how every mistake in it is told."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pacer import BoundedQueue, Retry
from pacer._compare._config import MOST_CANDIDATES, comparison, read_file
from pacer._compare._errors import ConfigError
from pacer.backoff import ExponentialBackoff, FullJitter
from pacer.pacing import FixedPause, TokenBucket, Unpaced
from pacer.simulation import Constant, FixedWindowLimit, Poisson, Upstream

WORKLOAD = 'workload = "Poisson(2, jobs=5)"\n'
UPSTREAM = 'upstream = "Upstream(FixedWindowLimit(60))"\n'
CANDIDATE = '[[candidate]]\npacing = "Unpaced()"\n'
MINIMAL = WORKLOAD + UPSTREAM + CANDIDATE


def parsed(text: str, base: Path = Path(), **more):
    return comparison(tomllib.loads(text), base=base, **more)


def test_the_least_that_a_file_has_to_say():
    made = parsed(MINIMAL)
    assert (made.workload, made.upstream) == (Poisson(2, jobs=5), Upstream(FixedWindowLimit(60)))
    assert (made.seed, made.repeat, made.until, made.start, made.estimates, made.tolerated) == (
        0,
        1,
        None,
        None,
        0,
        0.01,
    )
    assert [candidate.name for candidate in made.candidates] == ["Unpaced()"]
    assert made.candidates[0].clients[0].scheduler.pacing == Unpaced()


def test_all_that_a_file_can_say():
    made = parsed("""
        seed = 3
        repeat = 5
        until = 600
        estimates = 100
        tolerated = 0.05
        start = 2026-03-02T08:00:00Z
        workload = "Poisson(2)"
        upstream = "Upstream()"
        [scheduler]
        queue = "BoundedQueue(9)"
        concurrency = 4
        [[candidate]]
        name = "one"
        pacing = "TokenBucket(5)"
        [[candidate]]
        name = "two"
        pacing = "FixedPause(1)"
        concurrency = 1
        backoff = "FullJitter(ExponentialBackoff(1))"
        estimator = "MovingAverage(30)"
        retry = "Retry(3, ExponentialBackoff(1))"
        max_throttles = 7
        lead = 0.5
        expires = 60
        clients = 3
    """)
    assert (made.seed, made.repeat, made.until, made.estimates, made.tolerated) == (3, 5, 600, 100, 0.05)
    assert made.start == datetime(2026, 3, 2, 8, tzinfo=UTC)
    one, two = made.candidates
    first = one.clients[0].scheduler
    assert (first.queue, first.pacing, first.concurrency) == (BoundedQueue(9), TokenBucket(5), 4)
    assert len(two.clients) == 3
    client = two.clients[0]
    assert (client.retry, client.lead, client.expires) == (Retry(3, ExponentialBackoff(1)), Constant(0.5), 60)
    second = client.scheduler
    assert (second.queue, second.pacing, second.concurrency) == (BoundedQueue(9), FixedPause(1), 1)
    assert (second.backoff, second.max_throttles) == (FullJitter(ExponentialBackoff(1)), 7)
    assert two.settings["pacing"] == "FixedPause(1)"
    assert two.settings["queue"] == "BoundedQueue(9)"


def test_a_candidate_without_a_name_is_called_by_its_pace():
    text = WORKLOAD + UPSTREAM + '[[candidate]]\npacing = """\nTokenBucket(\n  5)"""\n[[candidate]]\nclients = 4\n'
    assert [one.name for one in parsed(text).candidates] == ["TokenBucket( 5)", "4 x candidate[2]"]
    long = parsed(WORKLOAD + UPSTREAM + f'[[candidate]]\npacing = "{" & ".join(["TokenBucket(1)"] * 9)}"\n')
    assert long.candidates[0].name.endswith("...")
    assert len(long.candidates[0].name) == 60


def test_paths_start_at_the_file_and_those_typed_elsewhere_where_they_were_typed(tmp_path):
    for folder in ("file", "typed"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text("at\n0\n1\n", encoding="utf-8")
    text = "workload = \"Trace('a.csv', 'at')\"\n" + UPSTREAM + CANDIDATE
    assert parsed(text, tmp_path / "file").workload.path == tmp_path / "file" / "a.csv"
    typed = parsed(text, tmp_path, workload_base=tmp_path / "typed")
    assert typed.workload.path == tmp_path / "typed" / "a.csv"


def test_a_number_of_jobs_shortens_a_workload():
    assert parsed(MINIMAL, jobs=3).workload == Poisson(2, jobs=3)
    endless = MINIMAL.replace(", jobs=5", "")
    assert parsed(endless, jobs=3).workload == Poisson(2, jobs=3)


SCHEDULER = MINIMAL + "[scheduler]\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (MINIMAL.replace("workload", "worklod"), "worklod: there is no such key; did you mean workload? choices: "),
        (MINIMAL.replace(WORKLOAD, ""), "workload: is missing; it names a workload; choices: Backlog, "),
        (MINIMAL.replace(UPSTREAM, ""), "upstream: is missing; it names an upstream; choices: Upstream"),
        (WORKLOAD + UPSTREAM, f"candidate: there must be 1 to {MOST_CANDIDATES} [[candidate]] tables, got 0"),
        (WORKLOAD + UPSTREAM + CANDIDATE * 9, "candidate: there must be 1 to 8 [[candidate]] tables, got 9"),
        (WORKLOAD + UPSTREAM + "[candidate]\npacing = 'Unpaced()'\n", "candidate: must be tables: [[candidate]]"),
        (WORKLOAD + UPSTREAM + "candidate = [1]\n", "candidate: must be tables: [[candidate]]"),
        (WORKLOAD + UPSTREAM + CANDIDATE * 2, "candidate[2].name: there are two called 'Unpaced()'"),
        (MINIMAL + "name = ''\n", "candidate[1].name: must be one line of text, at most 60 characters, got ''"),
        (MINIMAL + 'name = "a\\nb"\n', "candidate[1].name: must be one line of text"),
        (MINIMAL + 'name = "\\u001b[31m"\n', "candidate[1].name: must be one line of text"),
        (MINIMAL + f"name = '{'x' * 61}'\n", "candidate[1].name: must be one line of text"),
        (MINIMAL + "name = 3\n", "candidate[1].name: must be one line of text"),
        (
            MINIMAL + "pace = 'Unpaced()'\n",
            "candidate[1].pace: there is no such key; did you mean pacing? choices: name, ",
        ),
        (
            WORKLOAD + UPSTREAM + CANDIDATE + "[[candidate]]\npacing = 'TokenBuket(1)'\n",
            "candidate[2].pacing: there is no TokenBuket here; did you mean TokenBucket?",
        ),
        (
            MINIMAL.replace("Unpaced()", "TokenBucket(0)"),
            "candidate[1].pacing: TokenBucket: rate must be a finite number above 0, got 0",
        ),
        (MINIMAL + "concurrency = 0\n", "candidate[1].concurrency: must be a whole number, 1 or more, got 0"),
        (MINIMAL + "concurrency = true\n", "candidate[1].concurrency: must be a whole number, 1 or more, got True"),
        (MINIMAL + "concurrency = '2'\n", "candidate[1].concurrency: must be a whole number, 1 or more, got '2'"),
        (MINIMAL + "clients = 1001\n", "candidate[1].clients: must be a whole number, 1 to 1000, got 1001"),
        (MINIMAL + "max_throttles = -1\n", "candidate[1].max_throttles: must be a whole number, 0 or more, got -1"),
        (MINIMAL + "expires = 0\n", "candidate[1].expires: must be a finite number of seconds above 0, got 0"),
        (MINIMAL + "lead = -1\n", "candidate[1]: Constant: value must be a finite number, 0 or more, got -1"),
        (MINIMAL + "lead = 'Unpaced()'\n", "candidate[1].lead: there is no Unpaced here; choices: Constant, "),
        (MINIMAL + "retry = 'Retry(0, NoBackoff())'\n", "candidate[1].retry: Retry: attempts must be a whole number"),
        (MINIMAL + "queue = 'Fifo()'\n", "candidate[1].queue: Fifo(...) is not a queue; choices: BoundedQueue"),
        (MINIMAL + "queue = 5\n", "candidate[1].queue: must be text that names a queue as in code, got 5"),
        (
            SCHEDULER + "backoff = 'NoBackof()'\n",
            "scheduler.backoff: there is no NoBackof here; did you mean NoBackoff?",
        ),
        (SCHEDULER + "names = 'x'\n", "scheduler.names: there is no such key; choices: pacing, "),
        ("scheduler = 1\n" + MINIMAL, "scheduler: must be a table: [scheduler]"),
        ("seed = 1.5\n" + MINIMAL, "seed: must be a whole number, 0 or more, got 1.5"),
        ("seed = -1\n" + MINIMAL, "seed: must be a whole number, 0 or more, got -1"),
        ("repeat = 0\n" + MINIMAL, "repeat: must be a whole number, 1 or more, got 0"),
        ("until = 0\n" + MINIMAL, "until: must be a finite number of seconds above 0, got 0"),
        ("until = inf\n" + MINIMAL, "until: must be a finite number of seconds above 0, got inf"),
        ("until = nan\n" + MINIMAL, "until: must be a finite number of seconds above 0, got nan"),
        ("estimates = -1\n" + MINIMAL, "estimates: must be a whole number, 0 or more, got -1"),
        ("tolerated = 2\n" + MINIMAL, "tolerated: must be a share from 0 to 1 (0.01 is 1 %), got 2"),
        ("start = 'noon'\n" + MINIMAL, "start: must be a date and time with an offset, as 2026-03-02T08:00:00+01:00"),
        ("start = 2026-03-02T08:00:00\n" + MINIMAL, "start: must be a date and time with an offset"),
        (MINIMAL.replace(", jobs=5", ""), "workload: Poisson never ends; give it jobs= or lasting=, or set until"),
        (MINIMAL.replace("jobs=5", "jobs=0"), "workload: Poisson has no jobs"),
        (
            MINIMAL.replace("Poisson(2, jobs=5)", "JobMix()"),
            "workload: JobMix(...) is not a workload; choices: Backlog, ",
        ),
        (
            MINIMAL.replace("Poisson(2, jobs=5)", "Poisson(2, jobs=5, mix=JobMix(keys={'a': -1}))"),
            "workload: JobMix: keys must be a finite number, 0 or more, got -1",
        ),
        (
            MINIMAL.replace("FixedWindowLimit(60)", "ChangingLimit([(0, 60)])"),
            "upstream: cannot be asked: ",
        ),
        (
            MINIMAL.replace("FixedWindowLimit(60)", "Constant(60)"),
            "upstream: Upstream: limits must hold parts with wait()",
        ),
    ],
)
def test_a_mistake_is_told_with_its_key(text, told):
    with pytest.raises(ConfigError) as caught:
        parsed(text)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (None, "cannot be read: No such file or directory"),
        ("", "has no column 'at'; it has none"),
        ("when\n1\n", "has no column 'at'; it has when"),
        ("at\n", "Trace has no jobs"),
        ("at\n0\nsoon\n", "line 3: at must be a number of seconds or a date with a time"),
        ("at\n5\n1\n", "line 3: earlier than the row before; sort the file"),
        ("at,key\n0\n" + '"' + "x" * 200_000, "field larger than field limit"),
    ],
)
def test_what_is_wrong_with_a_trace_is_known_before_anything_runs(tmp_path, rows, told):
    if rows is not None:
        (tmp_path / "a.csv").write_text(rows, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        parsed("workload = \"Trace('a.csv', 'at')\"\n" + UPSTREAM + CANDIDATE, tmp_path)
    assert str(caught.value).startswith("workload: ")
    assert told in str(caught.value)


def test_a_trace_in_another_encoding_and_a_store_that_is_not_there_are_told(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"at\n\xff\n")
    with pytest.raises(ConfigError, match=r"^workload: .*a\.csv is not UTF-8 text .*; save it as UTF-8"):
        parsed("workload = \"Trace('a.csv', 'at')\"\n" + UPSTREAM + CANDIDATE, tmp_path)
    with pytest.raises(ConfigError, match=r"^workload: History: there is no file"):
        parsed("workload = \"History('jobs.db')\"\n" + UPSTREAM + CANDIDATE, tmp_path)


def test_a_workload_without_a_number_of_jobs_cannot_be_shortened(tmp_path):
    with pytest.raises(ConfigError, match=r"^jobs: a History cannot be limited to a number of jobs"):
        parsed("workload = \"History('jobs.db')\"\n" + UPSTREAM + CANDIDATE, tmp_path, jobs=3)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"x = \n", "is not TOML: "), (b"\xff", "is not UTF-8 text: "), (None, "cannot be read: No such file")],
)
def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path, content, told):
    path = tmp_path / "compare.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_file(path)
    assert str(caught.value).startswith(f"{path}: {told}")
