"""What arrives, and when."""

from __future__ import annotations

import sqlite3
import time
from itertools import pairwise
from random import Random

import anyio
import pytest

from pacer import Scheduler, StoreError
from pacer.simulation import (
    Arrival,
    Backlog,
    Bursts,
    ClosedLoop,
    Constant,
    DayCurve,
    Exponential,
    History,
    JobMix,
    LogNormal,
    Poisson,
    Trace,
    Uniform,
    Upstream,
    simulate,
)
from pacer.stores.sqlite import SqliteStore


def arrivals(workload, seed=1):
    return list(workload.arrivals(Random(seed)))


def test_a_backlog_is_there_at_once():
    assert arrivals(Backlog(3)) == [Arrival(0.0)] * 3


def test_poisson_arrivals_have_their_rate_and_its_variance():
    times = [one.at for one in arrivals(Poisson(30, per=60, jobs=20_000))]
    gaps = [late - early for early, late in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(2.0, rel=0.03)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(4.0, rel=0.06)


def test_a_workload_ends_with_its_time():
    times = [one.at for one in arrivals(Poisson(1, lasting=100))]
    assert 60 < len(times) < 140
    assert times[-1] <= 100


def test_bursts_come_on_their_beat():
    assert [one.at for one in arrivals(Bursts(2, every=10, jobs=5))] == [0, 0, 10, 10, 20]
    assert len(arrivals(Bursts(2, every=10, lasting=30))) == 6


def test_a_burst_may_be_spread_out():
    times = [one.at for one in arrivals(Bursts(50, every=10, within=4, jobs=100))]
    assert times == sorted(times)
    assert 3 < max(times[:50]) - min(times[:50]) <= 4


def test_a_day_has_its_peak_where_it_was_said():
    times = [one.at for one in arrivals(DayCurve(1, swing=0.9, peak=6000, day=10_000, lasting=10_000))]
    near, far = (sum(abs(at - peak) < 1000 for at in times) for peak in (6000, 1000))
    assert len(times) == pytest.approx(10_000, rel=0.05)
    # 1 +- 0.9 * sin(pi/5) / (pi/5) in the mean over a fifth of the day
    assert near == pytest.approx(2000 * 1.842, rel=0.08)
    assert far == pytest.approx(2000 * 0.158, rel=0.15)


def test_a_mix_draws_keys_costs_and_priorities_by_their_weights():
    mix = JobMix(keys={"a": 3, "b": 1}, cost={"tokens": Uniform(10, 20)}, priorities={5: 1, 0: 1}, size=Exponential(2))
    jobs = arrivals(Backlog(4000, mix=mix))
    assert sum(job.key == "a" for job in jobs) == pytest.approx(3000, rel=0.05)
    assert sum(job.priority == 5 for job in jobs) == pytest.approx(2000, rel=0.05)
    assert sum(job.cost["tokens"] for job in jobs) == pytest.approx(60_000, rel=0.02)
    assert sum(job.size for job in jobs) == pytest.approx(8000, rel=0.06)


def test_a_users_next_job_follows_the_end_of_the_last_one():
    result = simulate(Scheduler(), ClosedLoop(1, think=3, jobs=4), Upstream(latency=2.0), keep=100)
    assert [one.at for one in result.happenings if one.what == "arrived"] == [3, 8, 13, 18]
    assert (result.succeeded, result.makespan) == (4, 20)


def test_many_users_load_a_slot_up_to_its_limit():
    result = simulate(Scheduler(), ClosedLoop(20, think=Exponential(5), lasting=2000), Upstream(latency=1.0))
    assert result.goodput == pytest.approx(1.0, rel=0.02)
    assert 0.95 < result.fairness <= 1


def test_a_user_who_is_turned_away_thinks_again():
    from pacer import BoundedQueue

    result = simulate(
        Scheduler(queue=BoundedQueue(1)), ClosedLoop(5, think=1, jobs=10), Upstream(latency=2.0), keep=1000
    )
    assert result.arrived == 50
    assert result.refused > 10
    assert result.refused + result.succeeded == 50


# -- traces ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def trace(tmp_path):
    def write(text):
        path = tmp_path / "trace.csv"
        path.write_text(text)
        return path

    return write


def test_a_trace_arrives_as_recorded(trace):
    path = trace("when,in,out,who\n100,5,7,ann\n100.5,1,1,\n160,2,3,bob\n")
    workload = Trace(path, at="when", cost={"tokens": ("in", "out"), "out": "out"}, key="who")
    assert arrivals(workload) == [
        Arrival(0.0, "ann", {"requests": 1.0, "tokens": 12.0, "out": 7.0}),
        Arrival(0.5, None, {"requests": 1.0, "tokens": 2.0, "out": 1.0}),
        Arrival(60.0, "bob", {"requests": 1.0, "tokens": 5.0, "out": 3.0}),
    ]


def test_a_trace_may_have_dates_and_come_faster(trace):
    path = trace("TIMESTAMP,size\n2023-11-16 18:17:03.9799600,2\n2023-11-16 18:17:05.9799600,1\n")
    jobs = arrivals(Trace(path, at="TIMESTAMP", size="size", speed=4))
    assert [(job.at, job.size) for job in jobs] == [(0.0, 2.0), (0.5, 1.0)]


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("2024-03-31T01:30:00\n2024-03-31T03:30:00", 7200.0),
        ("2024-03-31T01:59:59.1234567+01:00\n2024-03-31T03:00:01.1234567+02:00", 2.0),
        ("2024-03-31T00:59:59.123456Z\n2024-03-31T01:00:01.123456Z", 2.0),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_the_dates_of_a_trace_mean_the_same_on_every_machine(trace, monkeypatch, text, gap, zone):
    """In the night of the change to summer time, too."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        found = arrivals(Trace(trace(f"t\n{text}\n"), at="t"))
    time.tzset()
    assert [job.at for job in found] == pytest.approx([0.0, gap])


def test_only_so_many_rows_of_a_trace(trace):
    assert len(arrivals(Trace(trace("t\n1\n2\n3\n"), at="t", jobs=2))) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no column 't'; it has a, b"),
        ("", "no column 't'; it has none"),
        ("t\n1\nsoon\n", "line 3: t must be a number of seconds or a date with a time as in ISO 8601, got 'soon'"),
        ("t\n2\n1\n", "line 3: earlier than the row before; sort the file"),
        ("t\n2\nnan\n", "line 3: t must be a number of seconds or a date with a time as in ISO 8601, got 'nan'"),
        ("s,t\n1,2\n1\n", "line 3: t is missing"),
    ],
)
def test_what_cannot_be_read_of_a_trace_is_named(trace, text, message):
    with pytest.raises(ValueError, match=message):
        arrivals(Trace(trace(text), at="t"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("-1", r"line 2: n must be a finite number, 0 or more, got '-1'"),
        ("inf", r"line 2: n must be a finite number, 0 or more, got 'inf'"),
        ('"1,000"', r"line 2: n must be a finite number, 0 or more, got '1,000'"),
        ("", r"line 2: n must be a finite number, 0 or more, got ''"),
    ],
)
def test_an_amount_that_cannot_be_is_named_with_its_column(trace, row, message):
    with pytest.raises(ValueError, match=message):
        arrivals(Trace(trace(f"t,n\n1,{row}\n"), at="t", cost={"tokens": "n"}))


def test_a_row_that_ends_too_soon_is_named_with_what_it_lacks(trace):
    with pytest.raises(ValueError, match=r"line 3: n is missing"):
        arrivals(Trace(trace("t,n\n1,1\n2\n"), at="t", cost={"tokens": "n"}))


def test_a_priority_that_is_no_whole_number_is_named_with_its_column(trace):
    with pytest.raises(ValueError, match=r"line 2: p must be a whole number, got 'high'"):
        arrivals(Trace(trace("t,p\n1,high\n"), at="t", priority="p"))


def test_a_trace_that_a_spreadsheet_has_saved_may_begin_with_a_byte_order_mark(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("t\n1\n3\n", encoding="utf-8-sig")
    assert [job.at for job in arrivals(Trace(path, at="t"))] == [0.0, 2.0]


def test_a_trace_in_another_encoding_is_named(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("t,key\n1,J\N{LATIN SMALL LETTER U WITH DIAERESIS}rgen\n", encoding="latin-1")
    with pytest.raises(ValueError, match=r"trace\.csv is not UTF-8 text \(.*byte 0xfc.*\); save it as UTF-8"):
        arrivals(Trace(path, at="t", key="key"))


# -- history ---------------------------------------------------------------------------------------------------------


async def record(path):
    """A queue of three jobs: the second fails, the third has a key and a cost of its own."""
    async with Scheduler(store=SqliteStore(path), observers=()) as scheduler:

        @scheduler.task(name="work")
        async def work(fails):
            await anyio.sleep(0.02)
            if fails:
                raise RuntimeError("as told")

        await scheduler.enqueue(work, False)
        await scheduler.enqueue(work, True)
        await scheduler.options(key="ann", priority=3, cost={"tokens": 7}).enqueue(work, False)
        await scheduler.drain()


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    path = tmp_path_factory.mktemp("history") / "jobs.db"
    anyio.run(record, path)
    return path


def test_history_gives_the_jobs_of_a_store_as_they_were_enqueued(history):
    jobs = arrivals(History(history))
    assert [(job.key, job.priority, dict(job.cost)) for job in jobs] == [
        (None, 0, {"requests": 1.0}),
        (None, 0, {"requests": 1.0}),
        ("ann", 3, {"tokens": 7}),
    ]
    assert jobs[0].at == 0
    assert [job.at for job in jobs] == sorted(job.at for job in jobs)
    assert all(0.02 <= job.size < 2 for job in jobs)
    assert jobs[1].size == (jobs[0].size + jobs[2].size) / 2  # the median, for it has failed


def test_history_can_be_run_again_and_leaves_the_file_as_it_was(history):
    before = history.read_bytes()
    files = sorted(path.name for path in history.parent.iterdir())
    result = simulate(Scheduler(), History(history), Upstream(latency=1.0))
    assert result.succeeded == 3
    assert history.read_bytes() == before
    assert sorted(path.name for path in history.parent.iterdir()) == files


def test_history_of_one_function_only(history):
    assert arrivals(History(history, task="other")) == []
    assert len(arrivals(History(history, task="work"))) == 3


def test_history_says_what_is_missing(history, tmp_path):
    with pytest.raises(StoreError, match="knows no queue 'mail'; it has default"):
        arrivals(History(history, queue="mail"))
    with pytest.raises(StoreError, match="there is no file"):
        arrivals(History(tmp_path / "none.db"))
    (tmp_path / "text.db").write_text("no database at all, but long enough to be one" * 20)
    with pytest.raises(StoreError):
        arrivals(History(tmp_path / "text.db"))
    sqlite3.connect(tmp_path / "other.db").close()
    with pytest.raises(StoreError):
        arrivals(History(tmp_path / "other.db"))


# -- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Poisson(0), "rate must be a finite number above 0"),
        (lambda: Bursts(0, every=1), "size must be a whole number, 1 or more"),
        (lambda: Bursts(1, every=1, within=2), "within"),
        (lambda: DayCurve(1, swing=1.5), "swing must be a number from 0 to 1"),
        (lambda: ClosedLoop(0, think=1), "users must be a whole number"),
        (lambda: ClosedLoop(1, think=1, mix=JobMix(keys={"a": 1})), "each user is a lane"),
        (lambda: JobMix(keys={"a": 0}), "keys must have a weight above 0"),
        (lambda: JobMix(priorities={1: -1}), "priorities must be a finite number, 0 or more"),
        (lambda: Uniform(2, 1), "high"),
        (lambda: Constant(-1), "value must be"),
        (lambda: LogNormal(0), "mean must be"),
    ],
)
def test_impossible_settings_cannot_be_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_size_is_a_number_or_a_distribution():
    with pytest.raises(TypeError, match="expected a number or a distribution"):
        JobMix(size="large")
