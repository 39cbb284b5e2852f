"""The comparison that ships with pacer."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter

import pytest

from pacer._compare._config import comparison, read_file
from pacer._compare._errors import ConfigError
from pacer._compare._figures import middle
from pacer._compare._run import run
from pacer._compare._sample import COLUMNS, CONFIG, TRACE, sample_folder, sample_trace, write_example
from pacer._compare._verdict import verdict


def test_the_trace_is_what_its_module_makes_byte_for_byte():
    assert (sample_folder() / TRACE).read_bytes() == sample_trace().encode("utf-8")
    command = [sys.executable, "-m", "pacer._compare._sample"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert done.stdout == (sample_folder() / TRACE).read_bytes()


def test_the_trace_has_a_few_hundred_rows_in_order_of_three_tenants():
    rows = list(csv.DictReader(sample_trace().splitlines()))
    assert tuple(rows[0]) == COLUMNS
    assert 300 <= len(rows) <= 900
    times = [float(row["seconds"]) for row in rows]
    assert times == sorted(times)
    assert Counter(row["tenant"] for row in rows)["reports"] == 160
    assert {row["tenant"] for row in rows} == {"chat", "search", "reports"}
    assert all(int(row["prompt_tokens"]) >= 1 and 1 <= int(row["generated_tokens"]) <= 800 for row in rows)


def test_the_sample_makes_the_choice_plain():
    whole = comparison(read_file(sample_folder() / CONFIG), base=sample_folder())
    trials = {trial.candidate.name: trial for trial in run(whole, lambda name: None)}
    found = verdict(list(trials.values()), whole.tolerated)
    assert found.best == "do as the headers say"
    best = trials[found.best]
    assert middle("utilisation", best) > 0.99
    assert middle("throttled_share", best) == 0
    # What people do without it: rush, crawl, trust the documentation.
    assert middle("throttled_share", trials["no pacing"]) > 0.5
    assert middle("lost", trials["no pacing"]) > 0
    assert middle("throttled_share", trials["the documented 60 a minute"]) > 0.1
    for slow in ("one at a time, 1 s pause", "half of that, to be safe"):
        assert middle("wait_p95_seconds", trials[slow]) > 1.4 * middle("wait_p95_seconds", best)


def test_the_example_is_written_with_its_trace_and_means_the_same(tmp_path):
    written = write_example(tmp_path / "mine.toml")
    assert [path.name for path in written] == ["mine.toml", TRACE]
    mine = comparison(read_file(tmp_path / "mine.toml"), base=tmp_path)
    assert mine.workload.path == tmp_path / TRACE
    original = comparison(read_file(sample_folder() / CONFIG), base=sample_folder())
    assert [one.settings for one in mine.candidates] == [one.settings for one in original.candidates]
    assert mine.upstream == original.upstream


@pytest.mark.parametrize("there", ["mine.toml", TRACE])
def test_no_file_is_replaced_by_the_example(tmp_path, there):
    (tmp_path / there).write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="is there already; choose another place"):
        write_example(tmp_path / "mine.toml")
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text(encoding="utf-8") == "mine"


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write_example(tmp_path / "gone" / "mine.toml")
