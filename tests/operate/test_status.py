"""`pacer status`: what a queue is doing, first of all, and why."""

from __future__ import annotations

import re
from pathlib import Path

import anyio
import pytest
from command_line import Place
from queues import Mine, scheduler_on, working
from servers import PASSWORD

from pacer import BoundedQueue, JobState, Throttled
from pacer.pacing import FixedPause, TokenBucket

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

KEYS = {
    *("queue", "store", "state", "waiting", "capacity", "running", "concurrency", "oldest_waiting_seconds", "paused"),
    *("hold_seconds", "hold_reason", "failures_in_a_row", "waiting_for", "next_start_seconds", "new_job_starts_in"),
    *("average_duration", "rate_limit", "no_forecast", "so_far", "kept", "workers", "numbers_by_hand", "terms"),
}


async def test_a_working_queue_on_every_store(place: Place) -> None:
    async with working(place) as queue:
        await queue.enqueue("succeed")
        bad = await queue.enqueue("fail")
        running = await queue.enqueue()
        await queue.enqueue()
        await queue.until(JobState.FAILED, bad)
        await queue.until(JobState.RUNNING, running)
        done = await place.pacer("status")
        data = (await place.pacer("status", "--json")).json
    assert (done.code, done.err) == (0, "")
    assert done.lines[0] == "working: 1 job runs"
    shown = dict(line.split("  ", 1) for line in done.lines[1:])
    assert shown["waiting"].strip().startswith("1 of 50, one for ")
    assert shown["running"].strip() == "1 of 1"
    assert shown["so far"].strip() == "1 succeeded, 1 failed, 0 runs throttled"
    assert shown["kept"].strip() == "1 failed"
    assert shown["workers"].strip() == "1 worker with 1 slot"
    assert shown["pacing"].strip() == "FixedPause(seconds=0)"
    assert "\x1b" not in done.out
    assert PASSWORD not in done.out
    assert set(data) == KEYS
    assert data["state"] == {"name": "working", "text": "working: 1 job runs", "seconds": None}
    assert (data["waiting"], data["running"], data["capacity"]) == (1, 1, 50)
    assert data["kept"]["failed"] == 1
    assert [(one["tasks"], one["slots"]) for one in data["workers"]] == [(["work"], 1)]


async def test_why_nothing_starts_is_said_first(sqlite: Place) -> None:
    scheduler = scheduler_on(sqlite, pacing=FixedPause(3600))

    @scheduler.task(name="work")
    async def work() -> None:
        pass

    async with scheduler:
        assert (await sqlite.pacer("status")).lines[0] == "idle: no job waits and none runs"
        await scheduler.wait(await scheduler.enqueue(work))
        await scheduler.enqueue(work)
        first = (await sqlite.pacer("status")).lines[0]
        assert re.fullmatch("waiting: pause of 3600 s after the last job, (1 h|59 min .*) left", first)
        await scheduler.pause()
        assert (await sqlite.pacer("status")).lines[0] == "paused by hand"
        data = (await sqlite.pacer("status", "--json")).json
        assert (data["state"]["name"], data["new_job_starts_in"]) == ("paused", None)
    assert (await sqlite.pacer("resume")).code == 0
    first = (await sqlite.pacer("status")).lines[0]
    assert first == "no worker: 1 job waits, and nobody is there to run them"


async def test_what_an_upstream_has_asked_for_is_said_with_what_is_left(sqlite: Place) -> None:
    scheduler = scheduler_on(sqlite)

    @scheduler.task(name="work")
    async def work() -> None:
        raise Throttled(600, "too many tokens")

    async with scheduler:
        await scheduler.enqueue(work)
        with anyio.fail_after(30):
            while not (await scheduler.status()).hold_seconds:
                await anyio.sleep(0.02)
        done = await sqlite.pacer("status")
    assert re.fullmatch("held: upstream said wait 600 s, (10 min|9 min .*) left", done.lines[0])


async def test_numbers_set_by_hand_are_shown_and_count(sqlite: Place) -> None:
    async with working(sqlite, pacing=TokenBucket(10), queue=BoundedQueue(5)) as queue:
        await queue.scheduler.set_numbers({"pacing.rate": 2, "queue.capacity": 7})
        done = await sqlite.pacer("status")
    assert "\nwaiting     0 of 7\n" in done.out
    assert "\nby hand     pacing.rate=2, queue.capacity=7\n" in done.out


async def test_processes_that_run_no_jobs_are_not_workers(place: Place) -> None:
    async with working(place, concurrency=2, worker_concurrency=0) as web:
        await web.enqueue(job_id="waits")
        done, data = await place.pacer("status"), (await place.pacer("status", "--json")).json
        assert done.lines[0] == "no worker: 1 job waits, and nobody is there to run them"
        assert done.lines[1] == "to do       pacer worker module:scheduler, or start the application"
        assert "\nworkers     none; 1 process runs no jobs\n" in done.out
        assert [(one["tasks"], one["slots"]) for one in data["workers"]] == [(["work"], 0)]
        warned = await place.pacer("enqueue", "work")
        assert (warned.code, "no worker is there now that knows work" in warned.err) == (0, True)
        found = (await place.pacer("doctor", "--json")).json["findings"]
        assert [(one["code"], one["severity"]) for one in found] == [("no-worker", "error")]
        assert "1 process has the queue open and runs no jobs" in found[0]["means"]
        async with working(place, concurrency=2, worker_concurrency=2) as worker:
            await worker.until(JobState.RUNNING, "waits")
            shown = (await place.pacer("status")).out
    assert "\nworkers     1 worker with 2 slots; 1 process runs no jobs\n" in shown


async def test_without_the_applications_own_part_nothing_is_guessed(sqlite: Place) -> None:
    async with working(sqlite, pacing=Mine(3)) as queue:
        bad = await queue.enqueue("fail")
        await queue.until(JobState.FAILED, bad)
        await queue.enqueue()
        await queue.enqueue(job_id="second")
        done = await sqlite.pacer("status")
        data = (await sqlite.pacer("status", "--json")).json
        assert "Mine(seconds=3) is one of your application's own: give --app module:scheduler" in done.out
        assert not {"next start", "new job", "rate"} & {line[:11].strip() for line in done.lines}
        assert data["no_forecast"]
        unknown = ("waiting_for", "next_start_seconds", "new_job_starts_in", "average_duration", "rate_limit")
        assert [data[name] for name in unknown] == [None] * 5
        assert data["capacity"] == 50
        job = await sqlite.pacer("job", "second")
        assert job.lines[0] == "waiting: number 1"
        assert "give --app" in job.out
        for refused in (["enqueue", "work"], ["set"], ["set", "queue.capacity=3", "-y"], ["retry", bad]):
            told = await sqlite.pacer(*refused)
            assert told.code == 1
            assert "give --app module:scheduler" in told.err
        assert (await sqlite.pacer("pause", "--yes")).code == 0
        assert (await queue.scheduler.status()).paused
        assert (await sqlite.pacer("cancel", "second")).code == 0
        assert (await queue.scheduler.job("second")).state is JobState.CANCELLED


APPLICATION = """
import sys
sys.path += [{tests!r}]
from command_line import Place
from queues import Mine, scheduler_on
scheduler = scheduler_on(Place("sqlite", {url!r}), pacing=Mine({seconds}))
@scheduler.task(name="work")
async def work(mode="wait"):
    return mode
"""


async def test_with_the_application_its_own_parts_are_known(sqlite: Place) -> None:
    here = str(Path(__file__).parent)
    for name, seconds in (("right", 3), ("wrong", 4)):
        source = APPLICATION.format(tests=here, url=sqlite.url, seconds=seconds)
        (sqlite.folder / f"{name}.py").write_text(source)
    nobody = {"PACER_STORE": "sqlite:///elsewhere.db"}  # the application says which store
    async with working(sqlite, pacing=Mine(3)) as queue:
        await queue.scheduler.pause()
        assert "no forecast" not in (await sqlite.pacer("status", "--app", "right:scheduler", environment=nobody)).out
        done = await sqlite.pacer("enqueue", "work", "--args", '["succeed"]', "--app", "right:scheduler", "--json")
        assert done.code == 0, done.err
        assert (await queue.scheduler.job(done.json["id"])).position == 1
        wrong = await sqlite.pacer("status", "--app", "wrong:scheduler")
        assert "pacing is Mine(seconds=3) there, Mine(seconds=4) in it" in wrong.out
        told = await sqlite.pacer("enqueue", "work", "--app", "wrong:scheduler")
        assert (told.code, "other parts than --app has" in told.err) == (1, True)
    both = await sqlite.pacer("status", "--app", "right:scheduler", "--store", sqlite.url)
    assert (both.code, "leave out --store" in both.err) == (2, True)
    gone = await sqlite.pacer("status", "--app", "right:nothing")
    assert gone.code == 1
    assert "right:scheduler" in gone.err


async def test_of_several_queues_one_has_to_be_named(place: Place) -> None:
    async with scheduler_on(place, name="a"), scheduler_on(place, name="b"):
        told = await place.pacer("status")
        assert (told.code, told.out) == (2, "")
        assert "holds 2 queues: give --queue and one of a, b" in told.err
        assert "\nqueue       b in " in (await place.pacer("status", "--queue", "b")).out
        assert "\nqueue       a in " in (await place.pacer("status", environment={"PACER_QUEUE": "a"})).out
        wrong = await place.pacer("status", "--queue", "c")
        assert (wrong.code, "holds no queue 'c'; it holds 'a', 'b'" in wrong.err) == (2, True)


async def test_what_is_not_there_is_said_on_one_line(sqlite: Place) -> None:
    nothing = await sqlite.pacer("status")
    assert (nothing.code, nothing.out, nothing.err.count("\n")) == (1, "", 1)
    assert "there is no file" in nothing.err
    assert not (sqlite.folder / "jobs.db").exists()
    nowhere = await sqlite.pacer("status", environment={"PACER_STORE": ""})
    assert (nowhere.code, "which store? Give --store sqlite:///" in nowhere.err) == (2, True)


@pytest.mark.parametrize(
    ("url", "code"),
    [
        (f"postgresql://pacer:{PASSWORD}@127.0.0.1:1/pacer", 3),
        (f"redis://:{PASSWORD}@127.0.0.1:1/0", 3),
        (f"mysql://me:{PASSWORD}@host/db", 2),
        (f"postgresql://me:{PASSWORD}@127.0.0.1:x/db", 2),
    ],
)
async def test_a_server_that_is_not_there_is_one_line_without_the_password(sqlite: Place, url: str, code: int) -> None:
    done = await sqlite.pacer("status", "--store", url)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert done.err.startswith("pacer status: ")
    assert PASSWORD not in done.err


async def test_a_wrong_password_is_not_shown_either(place: Place) -> None:
    if place.kind == "sqlite":
        assert (await place.pacer("status", "--within", "x")).code == 2
        return
    wrong = place.url.replace(PASSWORD, "hunter2-wrong")
    done = await place.pacer("status", "--store", wrong)
    assert done.code in (1, 3)
    assert "hunter2" not in done.err + done.out


async def test_colours_are_for_terminals_that_want_them(sqlite: Place) -> None:
    async with working(sqlite):
        assert "\x1b[" in (await sqlite.on_terminal("status")).out
        assert "\x1b[" not in (await sqlite.pacer("status")).out
    without = {**sqlite.environment, "NO_COLOR": "1"}
    assert "\x1b[" not in (await sqlite.on_terminal("status", environment=without)).out
