"""`pacer enqueue`, `cancel`, `retry`, `pause`, `resume` and `set`: what a person does to a running queue."""

from __future__ import annotations

import pytest
from command_line import Place
from queues import scheduler_on, working

from pacer import BoundedQueue, JobState
from pacer.backoff import ConstantBackoff, ExponentialBackoff
from pacer.pacing import FixedPause, MinInterval

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


async def test_a_job_by_the_name_of_its_function_is_run_by_the_worker(place: Place) -> None:
    async with working(place) as queue:
        done = await place.pacer("enqueue", "work", "--args", '["succeed"]', "--id", "mine", "--key", "k", "--json")
        assert (done.code, done.err) == (0, "")
        assert (done.json["id"], done.json["created"], done.json["warning"]) == ("mine", True, None)
        assert await queue.scheduler.wait("mine") == "succeed"
        by_name = await place.pacer("enqueue", "work", "--kwargs", '{"mode": "wait"}', "--cost", "tokens=5")
        job_id = by_name.out.split()[0]
        await queue.until(JobState.RUNNING, job_id)
        assert (await queue.scheduler.job(job_id)).cost == {"requests": 1.0, "tokens": 5.0}
        waits = await place.pacer("enqueue", "work", "--id", "next", "--delay", "90", "--unique", "u")
        assert waits.out.startswith("next  number 1, starts in about ")
        again = await place.pacer("enqueue", "work", "--unique", "u")
        assert again.out.startswith("next  exists already, number 1")
        ended = await place.pacer("enqueue", "work", "--id", "mine")
        assert ended.out == "mine  exists already: succeeded\n"


async def test_a_function_that_no_worker_knows_is_asked_about(sqlite: Place) -> None:
    async with working(sqlite) as queue:
        done = await sqlite.pacer("enqueue", "wrok", "--id", "x")
        assert (done.code, done.out) == (2, "")
        assert "No worker knows wrok (they know work)" in done.err
        assert "add --yes" in done.err
        assert not (await queue.scheduler.jobs()).jobs
        sure = await sqlite.pacer("enqueue", "wrok", "--id", "x", "--yes")
        assert (sure.code, "they know work" in sure.err) == (0, True)
    alone = await sqlite.pacer("enqueue", "work", "--id", "y")
    assert alone.code == 0
    assert "no worker is there now that knows work: the job waits for one" in alone.err


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--args", "{"], "--args is not JSON"),
        (["--args", '{"a": 1}'], "--args must be an array"),
        (["--kwargs", "[1]"], "--kwargs must be an object"),
        (["--cost", "tokens"], "--cost 'tokens' is not of the form NAME=NUMBER"),
        (["--cost", "tokens=-1"], "is not of the form NAME=NUMBER"),
        (["--id", "x" * 201], "job_id must have 1 to 200 characters"),
    ],
)
async def test_what_makes_no_job_is_said(sqlite: Place, arguments: list[str], problem: str) -> None:
    async with scheduler_on(sqlite):
        done = await sqlite.pacer("enqueue", "work", *arguments)
    assert (done.code, done.out) == (2, "")
    assert problem in done.err


async def test_a_full_queue_says_when_to_come_back(sqlite: Place) -> None:
    async with working(sqlite, queue=BoundedQueue(1)) as queue:
        running = await queue.enqueue()
        await queue.until(JobState.RUNNING, running)
        await queue.enqueue()
        done = await sqlite.pacer("enqueue", "work")
    assert (done.code, done.out) == (1, "")
    assert "the queue is full (1 jobs wait); try again in " in done.err


async def test_cancelling_what_runs_is_asked_about_and_what_waits_is_not(place: Place) -> None:
    async with working(place) as queue:
        await queue.enqueue(job_id="runs")
        await queue.until(JobState.RUNNING, "runs")
        await queue.enqueue(job_id="waits")
        done = await place.pacer("cancel", "waits")
        assert (done.code, done.out) == (0, "waits  cancelled\n")
        refused = await place.pacer("cancel", "runs")
        assert (refused.code, "add --yes" in refused.err) == (2, True)
        assert (await queue.scheduler.job("runs")).state is JobState.RUNNING
        mixed = await place.pacer("cancel", "runs", "waits", "nothing", "--yes")
        assert mixed.code == 1
        assert mixed.lines == [
            "runs  its worker is asked to stop it",
            "waits  had ended already: cancelled",
            "nothing  no job has this id",
        ]
        await queue.until(JobState.CANCELLED, "runs")


async def test_jobs_are_run_again_one_by_one_or_all_that_ended_so(place: Place) -> None:
    async with working(place) as queue:
        for name in ("a", "b", "c"):
            await queue.enqueue("fail", job_id=name)
        await queue.until(JobState.FAILED, "a", "b", "c")
        await queue.scheduler.pause()
        one = await place.pacer("retry", "a")
        assert (one.code, one.out) == (0, "1 job waits again\n")
        some = await place.pacer("retry", "a", "nothing")
        assert (some.code, some.out) == (1, "0 jobs wait again\n")
        assert "a: it waits already" in some.err
        assert "nothing: no job has this id" in some.err
        unsure = await place.pacer("retry", "--all", "--state", "failed")
        assert (unsure.code, "Run 2 failed jobs again?" in unsure.err) == (2, True)
        done = await place.pacer("retry", "--all", "--state", "failed", "--yes", "--json")
        assert (done.code, done.json) == (0, {"count": 2, "refused": {}, "full": None})
        assert (await queue.scheduler.status()).pending == 3
    assert (await place.pacer("retry")).code == 2
    assert (await place.pacer("retry", "a", "--all")).code == 2
    assert (await place.pacer("retry", "--all", "--state", "succeeded")).code == 2
    nothing = await place.pacer("retry", "--all")
    assert (nothing.code, nothing.out) == (0, "0 jobs wait again\n"), "stale ones, of which there are none"


async def test_pausing_is_asked_about_and_resuming_is_not(place: Place) -> None:
    async with working(place) as queue:
        await queue.enqueue(job_id="runs")
        await queue.until(JobState.RUNNING, "runs")
        refused = await place.pacer("pause")
        assert (refused.code, refused.out) == (2, "")
        assert not (await queue.scheduler.status()).paused
        done = await place.pacer("pause", "--yes")
        assert (done.code, done.out) == (0, "queue default is paused; 1 job still running\n")
        assert (await place.pacer("pause")).out == "queue default is paused already\n"
        assert (await queue.scheduler.status()).paused
        data = (await place.pacer("resume", "--yes", "--json")).json
        assert data == {"paused": False, "changed": True}
        assert not (await queue.scheduler.status()).paused
        assert (await place.pacer("resume")).out == "queue default was not paused\n"


async def test_a_hold_is_ended_when_somebody_says_so(place: Place) -> None:
    async with working(place, backoff=ConstantBackoff(300)) as queue:
        free = await place.pacer("end-hold")
        assert (free.code, free.out) == (0, "queue default is not held\n")
        await queue.enqueue("fail", job_id="bad")
        await queue.enqueue("succeed", job_id="good")
        await queue.until(JobState.FAILED, "bad")
        refused = await place.pacer("end-hold")
        assert (refused.code, refused.out) == (2, "")
        assert "End the hold of queue default (backoff of 300 s after 1 failure in a row, " in refused.err
        assert (await queue.scheduler.job("good")).state is JobState.QUEUED
        done = await place.pacer("end-hold", "--yes", "--json")
        assert done.code == 0
        assert {*done.json} == {"ended", "reason", "seconds_left"}
        assert (done.json["ended"], 200 < done.json["seconds_left"] <= 300) == (True, True)
        assert await queue.scheduler.wait("good") == "succeed"


async def test_a_hold_that_is_ended_while_the_queue_is_paused_says_what_else_is_in_the_way(sqlite: Place) -> None:
    async with working(sqlite, backoff=ConstantBackoff(300)) as queue:
        await queue.enqueue("fail", job_id="bad")
        await queue.enqueue("succeed", job_id="good")
        await queue.until(JobState.FAILED, "bad")
        await queue.scheduler.pause()
        done = await sqlite.pacer("end-hold", "--yes")
        expected = "the hold of queue default is ended; 1 job waits; it is paused by hand: pacer resume\n"
        assert (done.code, done.out) == (0, expected)


async def test_on_a_terminal_it_asks_and_no_is_an_answer(sqlite: Place) -> None:
    question = "Pause the queue default, in all processes? [y/N]:"
    async with scheduler_on(sqlite) as scheduler:
        no = await sqlite.on_terminal("pause", keys="n\n", when=question)
        assert (no.code, "nothing was done" in no.out) == (2, True)
        assert not (await scheduler.status()).paused
        yes = await sqlite.on_terminal("pause", keys="y\n", when=question)
        assert (yes.code, "queue default is paused" in yes.out) == (0, True)
        assert (await scheduler.status()).paused


async def test_numbers_are_set_for_all_workers_and_go_back(place: Place) -> None:
    parts = {"pacing": FixedPause(60) & MinInterval(1), "backoff": ExponentialBackoff(15)}
    async with working(place, **parts) as queue:
        listed = await place.pacer("set")
        assert listed.lines[0].split() == ["number", "now", "in", "the", "code"]
        assert "pacing.policies.0.seconds" in listed.out
        refused = await place.pacer("set", "backoff.initial=5")
        assert (refused.code, "add --yes" in refused.err) == (2, True)
        done = await place.pacer("set", "backoff.initial=5", "queue.capacity=100", "--yes")
        assert done.code == 0
        changed = [line.split() for line in done.lines if "by hand" in line]
        assert changed == [
            ["queue.capacity", "100", "50", "by", "hand"],
            ["backoff.initial", "5", "15", "by", "hand"],
        ]
        status = await queue.scheduler.status()
        assert (status.capacity, status.numbers_by_hand) == (100, {"queue.capacity": 100, "backoff.initial": 5})
        back = await place.pacer("set", "--reset", "backoff.initial", "--yes", "--json")
        assert [one["path"] for one in back.json if one["by_hand"]] == ["queue.capacity"]
        assert (await queue.scheduler.status()).numbers_by_hand == {"queue.capacity": 100}


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("pacing.secs=5", "there is no number 'pacing.secs'; did you mean pacing.seconds?"),
        ("pacing.seconds=-1", "pacing.seconds cannot be -1"),
        ("pacing.seconds=soon", "is not of the form PATH=NUMBER"),
        ("pacing.seconds", "is not of the form PATH=NUMBER"),
        ("pacing.seconds=nan", "give a finite number"),
        ("queue.capacity=0", "queue.capacity cannot be 0"),
    ],
)
async def test_a_number_that_cannot_be_is_wrong_usage(sqlite: Place, argument: str, problem: str) -> None:
    async with scheduler_on(sqlite, pacing=FixedPause(1)) as scheduler:
        done = await sqlite.pacer("set", argument, "--yes")
        assert not (await scheduler.status()).numbers_by_hand
    assert (done.code, done.out) == (2, "")
    assert problem in done.err
