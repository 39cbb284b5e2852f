"""What a comparison says: table, sentence, JSON."""

from __future__ import annotations

import io
import json
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest
from rich.console import Console

from pacer._compare._comparison import Candidate, Comparison
from pacer._compare._config import comparison
from pacer._compare._figures import decimal, duration, percent, rate_unit, time_unit
from pacer._compare._report import report
from pacer._compare._run import RunError, Trial, run
from pacer._compare._table import SPREAD, plain, rows, show
from pacer._compare._verdict import verdict
from pacer.simulation import Result, Spread, Timeline

CONFIG = """
seed = 1
workload = "Bursts(10, every=10, jobs=30, mix=JobMix(keys={'a': 1, 'b': 3}))"
upstream = "Upstream(FixedWindowLimit(5, per=10), Exponential(1), retry_after=False)"
[[candidate]]
name = "at once"
pacing = "Unpaced()"
concurrency = 10
[[candidate]]
name = "one | two"
pacing = "TokenBucket(0.5)"
[[candidate]]
name = "three seats"
pacing = "TokenBucket(0.5)"
queue = "BoundedQueue(3)"
"""


def compared(text: str = CONFIG, **changed: Any) -> tuple[Comparison, list[Trial]]:
    whole = attrs.evolve(comparison(tomllib.loads(text), base=Path()), **changed)
    return whole, run(whole, lambda name: None)


def shown(whole: Comparison, trials: list[Trial], **console: Any) -> str:
    out = io.StringIO()
    show(whole, trials, Console(file=out, **console))
    return out.getvalue()


GOLDEN = (Path(__file__).parent / "table.txt").read_text(encoding="utf-8")


def test_without_a_terminal_the_table_is_plain_text_that_is_never_cut():
    assert shown(*compared(), width=40) == GOLDEN
    assert "\x1b" not in GOLDEN
    assert "| one \\| two  |" in GOLDEN


@pytest.mark.parametrize("width", [35, 60, 80, 120, 200])
def test_in_a_terminal_numbers_are_whole_and_the_best_are_marked_beside_their_colour(width):
    whole, trials = compared()
    text = shown(whole, trials, width=width, force_terminal=True, color_system="standard", no_color=False)
    assert "\x1b[" in text
    bare = shown(whole, trials, width=width, force_terminal=True, color_system=None)
    assert max(map(len, bare.splitlines())) <= width
    for row in rows(trials)[1:]:
        assert all(cell.strip() in bare for cell in row[1:])
    assert "..." not in bare
    assert "\N{HORIZONTAL ELLIPSIS}" not in bare


def test_a_name_is_text_and_no_markup():
    whole, trials = compared(CONFIG.replace("at once", "[red]at[/] once"))
    assert "[red]at[/] once" in shown(whole, trials, width=200, force_terminal=True, color_system=None)


def test_of_several_runs_the_median_is_shown_and_how_far_they_are_apart():
    whole, trials = compared(repeat=3)
    assert [result.seed for result in trials[0].results] == [1, 2, 3]
    table = rows(trials)
    assert [row[0] for row in table].count(SPREAD) >= 1
    makespans = sorted(result.makespan for result in trials[0].results)
    place = table[0].index("ends after, s")
    assert table[1][place].rstrip("* ") == f"{makespans[1]:.0f}"
    assert table[2][place].rstrip() == f"{makespans[0]:.0f}-{makespans[2]:.0f}"
    assert "medians of 3 runs" in shown(whole, trials)


@pytest.mark.parametrize("width", [35, 60, 80])
def test_in_a_narrow_terminal_the_table_stands_in_parts_with_spreads_and_names_in_each(width):
    whole, trials = compared(repeat=3)
    narrow = shown(whole, trials, width=width, force_terminal=True, color_system=None)
    assert max(map(len, narrow.splitlines())) <= width
    parts = narrow.count("three seats") - narrow[narrow.index("Best:") :].count("three seats")
    assert parts == narrow.count("candidate")
    assert parts > 1
    for row in rows(trials)[1:]:
        assert all(cell.strip() in narrow for cell in row)


def test_how_true_estimates_were_is_a_column_if_it_was_measured():
    assert "ETA held, %" not in rows(compared()[1])[0]
    assert "ETA held, %" in rows(compared(estimates=10)[1])[0]


def test_a_column_in_which_nothing_differs_marks_nothing():
    text = (
        CONFIG.replace('queue = "BoundedQueue(3)"\n', "")
        .replace("concurrency = 10\n", "")
        .replace("Unpaced()", "TokenBucket(0.5)")
    )
    assert not [cell for row in rows(compared(text)[1])[1:] for cell in row if cell.endswith("*")]


def test_jobs_that_would_wait_for_ever_and_faults_of_parts_are_told_below_the_table():
    whole, trials = compared()
    assert "jobs would wait for ever" not in shown(whole, trials)
    stuck = attrs.evolve(trials[0].results[0], stuck="client 1: closed", unfinished=4, faults=("pacing.earliest: NaN",))
    said = shown(whole, [attrs.evolve(trials[0], results=[stuck]), trials[1]])
    assert "at once: 4 jobs would wait for ever (client 1: closed)\n" in said
    assert "at once: pacing.earliest: NaN\n" in said


def test_parts_that_count_what_no_job_uses_are_told_of_for_nothing_is_limited_by_them():
    """A limit on tokens and jobs that cost prompt_tokens: most likely a slip, and the figures do not show it."""
    whole, trials = compared(
        CONFIG.replace("keys={'a': 1, 'b': 3}", "cost={'prompt_tokens': 5}")
        .replace("FixedWindowLimit(5, per=10)", "[FixedWindowLimit(5, per=10), GcraLimit(9, of='tokns')]")
        .replace('"Unpaced()"', "\"PerKey(Budget(9)) & Budget(90, dimension='prompt_tokens')\"")
    )
    use = "which no job uses; they use prompt_tokens, requests"
    assert report(whole, trials)["notes"] == [
        f"upstream: GcraLimit counts tokns, {use}",
        f"at once: Budget counts tokens, {use}",
    ]
    assert f"at once: Budget counts tokens, {use}\n" in shown(whole, trials)
    assert report(*compared())["notes"] == []


def test_a_run_that_does_not_end_is_told_with_the_name_of_the_candidate(impatient):
    text = CONFIG.replace("FixedWindowLimit(5, per=10)", "FixedWindowLimit(0.5, per=10)").replace(
        "concurrency = 10", "concurrency = 10\nmax_throttles = 100000000"
    )
    with pytest.raises(RunError, match=r"^at once: no job has entered or ended for "):
        compared(text)


# -- the sentence ----------------------------------------------------------------------------------------------------


def trial(name: str, *, goodput: float, throttled: float = 0.0, p95: float = 1.0) -> Trial:
    wait = Spread(1, p95, (p95,) * 101)
    timeline = Timeline(
        width=1.0,
        **dict.fromkeys(("arrived", "asked", "succeeded", "throttled", "failed", "oracle", "present"), (0,)),
        limit=(None,),
    )
    none = dict.fromkeys(("refused", "dropped", "expired", "failed", "unfinished", "errors"), 0)
    result = Result(
        seed=0, makespan=1000.0, oracle_makespan=1.0, utilisation=1.0, fairness=1.0, clients={}, timeline=timeline,
        promises=None, happenings=(), stuck=None, faults=(), arrived=1000, entered=1000, work={}, wait=wait,
        turnaround=wait, succeeded=round(1000 * goodput), asked=1000, throttled=round(1000 * throttled), **none,
    )  # fmt: skip
    return Trial(Candidate(name, (), {}), (result,))


def test_the_best_is_the_one_that_gets_most_done_of_those_that_are_refused_rarely_enough():
    found = verdict([trial("a", goodput=0.5), trial("b", goodput=0.8), trial("c", goodput=0.9, throttled=0.011)], 0.01)
    assert found.best == "b"
    assert found.sentence == (
        "Best: b. Of the 2 with at most 1 % answered 429 it gets most done "
        "(100 % of what was possible, 0 % answered 429, p95 wait 1.0 s). "
        "c gets 12 % more done, at the price of 1.1 % answered 429."
    )


def test_where_waits_are_written_the_same_too_the_others_are_named():
    found = verdict([trial("a", goodput=0.8), trial("b", goodput=0.79), trial("c", goodput=0.8, p95=1.04)], 0.01)
    assert found.best == "a"
    assert found.sentence == (
        "Best: a. Of the 3 that get most done with at most 1 % answered 429 (within 2 %) none has a shorter p95 wait "
        "(100 % of what was possible, 0 % answered 429, p95 wait 1.0 s). As good: b, c."
    )


def test_of_those_that_get_as_much_done_the_shortest_wait_decides():
    found = verdict(
        [trial("a", goodput=0.8, p95=9), trial("b", goodput=0.79, p95=5), trial("c", goodput=0.7, p95=1)], 0.01
    )
    assert found.best == "b"
    assert (
        "Of the 2 that get most done with at most 1 % answered 429 (within 2 %) its p95 wait is the shortest"
        in found.sentence
    )


def test_the_only_tolerable_one_is_called_that():
    found = verdict([trial("a", goodput=0.5), trial("b", goodput=0.5, throttled=0.2)], 0.1)
    assert found.best == "a"
    assert "It is the only one with at most 10 % answered 429" in found.sentence


def test_if_none_is_tolerable_it_says_which_is_the_least_bad():
    found = verdict([trial("a", goodput=0.9, throttled=0.5), trial("b", goodput=0.1, throttled=0.3)], 0.01)
    assert found.best is None
    assert found.sentence.startswith("None of them: all have more than 1 % of their requests answered 429")
    assert found.sentence.endswith("the least has b with 30 %.")


def test_one_that_gets_nothing_done_is_never_the_best():
    assert verdict([trial("a", goodput=0), trial("b", goodput=0.1, throttled=0.3)], 0.01).best is None
    assert verdict([trial("a", goodput=0)], 0.01).sentence == "a: nothing got done."


# -- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 %"), (0.0004, "<0.1 %"), (0.001, "0.1 %"), (0.0312, "3.1 %"), (0.5, "50 %"), (0.9899, "99 %"),
        (0.9951, "99.5 %"), (0.99999, "99.9 %"), (1, "100 %"),
    ],
)  # fmt: skip
def test_a_share_that_is_not_all_is_never_written_as_all(value, text):
    assert percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.0 s"), (9.9, "9.9 s"), (62, "62 s"), (1200, "20 min"), (90_000, "25 h")]
)
def test_a_duration_has_the_unit_that_suits_it(value, text):
    assert duration(value) == text


def test_units_are_those_in_which_numbers_are_easy_to_read():
    assert [rate_unit([rate])[1] for rate in (5, 0.5, 0.001, 0)] == ["s", "min", "h", "h"]
    assert [time_unit([time])[1] for time in (0, 999, 1000, 60_000, 1e9)] == ["s", "s", "min", "h", "h"]
    assert [decimal(number) for number in (0.5, 9.999, 30.94, 480.2)] == ["0.50", "10.0", "30.9", "480"]


def test_a_plain_table_is_aligned_markdown():
    assert plain([["a", "b, s"], ["x|y", "1* "], ["z", "10 "]]) == (
        "| a    | b, s |\n|------|-----:|\n| x\\|y |  1*  |\n| z    |  10  |"
    )


# -- JSON ------------------------------------------------------------------------------------------------------------


def test_the_json_report_has_all_figures_under_names_that_stay():
    whole, trials = compared(repeat=2, estimates=5)
    found = json.loads(json.dumps(report(whole, trials), allow_nan=False))
    assert set(found) == {
        "pacer",
        "seed",
        "repeat",
        "tolerated",
        "workload",
        "upstream",
        "best",
        "sentence",
        "notes",
        "candidates",
    }
    figures = {
        "goodput_per_second", "utilisation", "throttled_share", "lost", "unfinished", "wait_p50_seconds",
        "wait_p95_seconds", "wait_p99_seconds", "makespan_seconds", "fairness", "estimates_covered",
    }  # fmt: skip
    counts = {
        "seed", "arrived", "entered", "refused", "dropped", "expired", "succeeded", "failed", "unfinished", "asked",
        "throttled", "errors",
    }  # fmt: skip
    for candidate in found["candidates"]:
        assert set(candidate) == {"name", "settings", "median", "least", "most", "runs"}
        for kind in ("median", "least", "most"):
            assert set(candidate[kind]) == figures
        assert [set(one) for one in candidate["runs"]] == [figures | counts] * 2
        assert candidate["least"]["makespan_seconds"] <= candidate["median"]["makespan_seconds"]
    assert found["best"] in [candidate["name"] for candidate in found["candidates"]]
    assert found["workload"].startswith("Bursts(10")
    assert found["candidates"][2]["settings"] == {"pacing": "TokenBucket(0.5)", "queue": "BoundedQueue(3)"}


def test_what_was_not_measured_is_null():
    whole, trials = compared()
    found = report(whole, trials)
    assert found["candidates"][0]["median"]["estimates_covered"] is None
    nothing = CONFIG.replace("FixedWindowLimit(5, per=10)", "FixedWindowLimit(0.5, per=10)")
    assert report(*compared(nothing))["candidates"][0]["median"]["wait_p50_seconds"] is None


def test_the_same_seed_gives_the_same_report():
    assert report(*compared()) == report(*compared())
    assert report(*compared(seed=2)) != report(*compared())
