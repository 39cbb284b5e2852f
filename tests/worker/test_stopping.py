"""`pacer worker` as a process that is told to stop, is killed, or has nothing left to do."""

from __future__ import annotations

import signal

import pytest
from processes import Application

from pacer import JobState


def test_told_to_stop_it_lets_jobs_end_takes_no_more_and_leaves_the_rest_waiting(application: Application) -> None:
    running = [application.enqueue("wait_for", file) for file in ("one", "two")]
    waiting = application.enqueue("wait_for", "three")
    with application.worker(before=("nohup",)) as process:
        process.wait_for(f"JobStarted job_id={running[1]}")
        process.signal(signal.SIGHUP)  # which nohup is there to ignore
        process.signal(signal.SIGTERM)
        process.wait_for("stopped by SIGTERM: 2 jobs have 20 s to end; a second signal hands them back at once")
        application.tell("one")
        process.wait_for(f"JobSucceeded job_id={running[0]}")
        application.tell("two")
        assert process.wait() == 0
    assert process.last_line == "pacer worker: stopped by SIGTERM after 2 runs: 2 succeeded"
    assert [application.job(job_id).state for job_id in running] == [JobState.SUCCEEDED] * 2
    assert application.job(waiting).state is JobState.QUEUED
    assert waiting not in process.said


def test_a_job_that_does_not_end_in_time_is_handed_back_at_no_cost_and_another_process_runs_it(
    application: Application,
) -> None:
    job_id = application.enqueue("wait_for", "secret")
    with application.worker("--stop-timeout", "0.1") as process:
        process.wait_for("JobStarted")
        process.signal(signal.SIGHUP)
        assert process.wait() == 0
    assert process.last_line == "pacer worker: stopped by SIGHUP after 1 run: 1 handed back"
    assert "secret" not in process.said
    job = application.job(job_id)
    assert (job.state, job.attempt, job.recoveries) == (JobState.QUEUED, 1, 0)
    application.tell("secret")
    assert application.drain().endswith("pacer worker: drained after 1 run: 1 succeeded\n")
    job = application.job(job_id)
    assert (job.state, job.attempt, job.recoveries) == (JobState.SUCCEEDED, 1, 0)


def test_a_second_signal_hands_back_at_once_and_is_the_exit_code(application: Application) -> None:
    job_id = application.enqueue("wait_for", "never")
    with application.worker("--stop-timeout", "1000") as process:
        process.wait_for("JobStarted")
        process.signal(signal.SIGINT)
        process.wait_for("stopped by SIGINT: 1 job has 1000 s to end")
        process.signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
    assert process.last_line == "pacer worker: stopped at once by SIGTERM after 1 run: 1 handed back"
    job = application.job(job_id)
    assert (job.state, job.attempt, job.recoveries) == (JobState.QUEUED, 1, 0)


def test_a_third_signal_ends_it_even_if_a_job_blocks_the_event_loop(application: Application) -> None:
    application.enqueue("block_the_loop")
    with application.worker() as process:
        process.wait_for("JobStarted")
        while process.popen.poll() is None:  # signals that come faster than they are looked at count once
            process.signal(signal.SIGINT)
        assert process.wait() == 128 + signal.SIGINT


def test_a_thread_that_cannot_be_stopped_does_not_keep_the_process(application: Application) -> None:
    job_id = application.enqueue("block", 1000.0)
    with application.worker("--stop-timeout", "0") as process:
        process.wait_for("JobStarted")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert process.last_line == "pacer worker: stopped by SIGTERM after 1 run: 1 handed back"
    assert application.job(job_id).state is JobState.QUEUED


def test_a_store_that_goes_away_for_a_while_is_waited_for_and_the_queue_drained(application: Application) -> None:
    jobs = [application.enqueue("wait_for", "done") for _ in range(2)]
    files, away = list(application.folder.glob("jobs.db*")), application.folder / "away"
    away.mkdir()
    with application.worker("--drain", "--concurrency", "1") as process:
        process.wait_for(f"JobStarted job_id={jobs[0]}")
        for file in files:
            file.rename(away / file.name)
        process.wait_for("StoreFailed action=heartbeat")
        for file in files:
            (away / file.name).rename(file)
        application.tell("done")
        assert process.wait() == 0
    assert "1 job at once of 2 over all processes" in process.said
    assert process.last_line == "pacer worker: drained after 2 runs: 2 succeeded"


def test_jobs_that_cannot_be_handed_back_because_the_store_is_gone_show_in_the_exit_code(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEASE", "1")
    job_id = application.enqueue("wait_for", "done")
    file = application.folder / "jobs.db"
    with application.worker("--stop-timeout", "0") as process:
        process.wait_for("JobStarted")
        away = file.rename(file.with_name("away.db"))
        process.signal(signal.SIGTERM)
        assert process.wait() == 4
    assert "StoreFailed action=release" in process.said
    for beside in file.parent.glob("jobs.db-*"):
        beside.rename(away.with_name(beside.name.replace("jobs", "away")))
    for moved in file.parent.glob("away.db*"):
        moved.rename(moved.with_name(moved.name.replace("away", "jobs")))
    application.tell("done")
    application.drain()
    job = application.job(job_id)
    assert (job.state, job.attempt, job.recoveries) == (JobState.SUCCEEDED, 1, 1)


def test_after_a_kill_the_next_process_finishes_all(application: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE", "1")
    jobs = [application.enqueue("wait_for", "done") for _ in range(3)]
    with application.worker() as process:
        process.wait_for(f"JobStarted job_id={jobs[1]}")
        process.signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    application.tell("done")
    application.drain()
    found = [application.job(job_id) for job_id in jobs]
    assert [(job.state, job.attempt, job.recoveries) for job in found] == [
        (JobState.SUCCEEDED, 1, 1),
        (JobState.SUCCEEDED, 1, 1),
        (JobState.SUCCEEDED, 1, 0),
    ]


def test_drained_of_nothing_it_ends_at_once_and_has_said_what_it_works_on(application: Application) -> None:
    with application.worker("--drain", "--concurrency", "9", "--log-level", "warning") as process:
        assert process.wait() == 0
    assert process.said == (
        f"pacer worker: queue 'default' in SqliteStore({application.folder / 'jobs.db'}), up to 2 jobs at once "
        "(not 9: the queue runs 2 over all processes, see Scheduler(concurrency=)), 20 s to end at a stop; "
        "tasks: block, block_the_loop, fork, wait_for\n"
        "pacer worker: drained after 0 runs\n"
    )


def test_a_process_that_a_job_has_forked_dies_of_the_signals_that_the_worker_survives(application: Application) -> None:
    job_id = application.enqueue("fork")
    application.drain()
    assert application.job(job_id).result == -signal.SIGTERM


SLOW_TO_END = """
class Last:
    def __init__(self):
        import os, signal
        self.itself, self.say, self.alarm = self, os.write, lambda: signal.getitimer(signal.ITIMER_REAL)

    def __del__(self):
        self.say(2, f"alarm {self.alarm()}\\n".encode())

last = Last()
"""


def test_no_alarm_can_kill_a_process_that_has_ended_its_work_and_that_python_ends_slowly(
    application: Application,
) -> None:
    """Its handlers are gone by then."""
    with (application.folder / "application.py").open("a") as file:
        file.write(SLOW_TO_END)
    assert application.drain().endswith("alarm (0.0, 0.0)\n")
