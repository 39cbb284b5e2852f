"""`pacer jobs` and `pacer job`: which there are, and all about one."""

from __future__ import annotations

import json

import anyio
import pytest
from command_line import Place
from queues import scheduler_on, working

from pacer import BoundedQueue, JobState
from pacer.pacing import FixedPause

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


def ids(out: str) -> list[str]:
    return [json.loads(line)["id"] for line in out.splitlines()]


async def told_of(place: Place, *job_ids: str) -> None:
    """Their worker has written down how far they are."""
    with anyio.fail_after(60):
        while True:
            lines = (await place.pacer("jobs", "--json", "--state", "running")).lines
            if {one["id"] for one in map(json.loads, lines) if one["progress"] is not None} >= set(job_ids):
                return


async def test_jobs_by_state_task_and_lane_on_every_store(place: Place) -> None:
    async with working(place, concurrency=2) as queue:
        await queue.enqueue("succeed", job_id="good", key="a")
        await queue.enqueue("fail", job_id="bad", key="b")
        await queue.until(JobState.SUCCEEDED, "good")
        await queue.until(JobState.FAILED, "bad")
        for name in ("one", "two"):
            await queue.enqueue(job_id=name, key="a")
        await told_of(place, "one", "two")
        await queue.enqueue(job_id="last", key="b")
        await queue.enqueue(job_id="later", key="a", delay=500)
        done = await place.pacer("jobs")
        assert done.code == 0
        assert [line.split()[0] for line in done.lines] == ["id", "one", "two", "last", "later"]
        assert done.lines[3].split()[1:5] == ["queued", "work", "b", "1"]
        assert "number 1" in done.lines[3]
        assert " in 8 min " in done.lines[4]
        states = ["--state", "succeeded", "--state", "failed"]
        ended = (await place.pacer("jobs", *states, "--json")).out
        assert sorted(ids(ended)) == ["bad", "good"]
        assert ids((await place.pacer("jobs", "--json", "--key", "a")).out) == ["one", "two", "later"]
        assert ids((await place.pacer("jobs", "--json", "--key", "a", *states)).out) == ["good"]
        none = await place.pacer("jobs", "--task", "other")
        assert (none.code, none.out) == (0, "no job of other is running or queued\n")
        data = [json.loads(line) for line in (await place.pacer("jobs", "--json", "--state", "running")).lines]
        assert [(one["progress"], one["state"], one["attempt"]) for one in data] == [(0.25, "running", 1)] * 2


async def test_what_is_listed_is_cut_and_sorted(sqlite: Place) -> None:
    scheduler = scheduler_on(sqlite, queue=BoundedQueue(500))

    @scheduler.task(name="work")
    async def work() -> None:
        pass

    async with scheduler:
        await scheduler.pause()
        for number in range(250):
            await scheduler.options(job_id=f"job-{number:03}", key=f"k{number % 3}").enqueue(work)
    whole = [f"job-{number:03}" for number in range(250)]
    assert ids((await sqlite.pacer("jobs", "--json", "--limit", "1000")).out) == whole, "over several pages"
    assert ids((await sqlite.pacer("jobs", "--json", "--limit", "3")).out) == whole[:3]
    assert ids((await sqlite.pacer("jobs", "--json", "--limit", "3", "--reverse")).out) == whole[2::-1]
    by_key = await sqlite.pacer("jobs", "--json", "--limit", "6", "--sort", "key", "--reverse")
    assert ids(by_key.out) == ["job-002", "job-005", "job-001", "job-004", "job-000", "job-003"]
    shown = await sqlite.pacer("jobs", "--limit", "5")
    assert len(shown.lines) == 7
    assert shown.lines[-1].startswith("and more: these are the first 5")
    assert (await sqlite.pacer("jobs", "--limit", "0")).code == 2
    wrong = await sqlite.pacer("jobs", "--state", "broken")
    assert (wrong.code, "'broken'" in wrong.err) == (2, True)


async def test_what_jobs_write_does_nothing_to_a_terminal(sqlite: Place) -> None:
    """Escape sequences in ids, lanes, messages and errors are shown, not sent."""
    async with working(sqlite) as queue:
        await queue.enqueue("fail", job_id="a\x1b[2Jb", key="tab\there\u202e")
        await queue.until(JobState.FAILED, "a\x1b[2Jb")
        await queue.enqueue(job_id="next")
        await told_of(sqlite, "next")
        shown = [await sqlite.pacer("jobs", "--state", "failed"), await sqlite.pacer("jobs", "--state", "running")]
        shown += [await sqlite.pacer("job", "next"), await sqlite.pacer("status")]
        terminal = await sqlite.on_terminal("jobs", "--state", "failed", environment={"NO_COLOR": "1"})
    for done in (*shown, terminal):
        assert not {one for one in done.out if not one.isprintable()} - {"\n", "\r"}
    assert "a\\x1b[2Jb" in shown[0].out
    assert "\\x1b]0;pwned\\x07" in shown[1].out
    assert max(len(line) for line in terminal.out.split("\r\n")) <= 80


async def test_all_about_a_job_that_waits(place: Place) -> None:
    async with working(place, pacing=FixedPause(3600)) as queue:
        await queue.enqueue("succeed", job_id="first")
        await queue.until(JobState.SUCCEEDED, "first")
        await queue.enqueue("succeed", job_id="second")
        await queue.enqueue("succeed", job_id="third", key="tenant", cost={"requests": 1, "tokens": 900})
        done = await place.pacer("job", "third")
        assert done.lines[0] == "waiting: number 2"
        shown = dict(line.split("  ", 1) for line in done.lines[1:])
        assert shown["why not yet"].startswith("pause of 3600 s after the last job, ")
        assert shown["why not yet"].endswith(" left; 1 job is to start before it")
        assert shown["starts"].strip().startswith(("in about 2 h", "in about 1 h 59"))
        assert "requests=1, tokens=900" in done.out
        assert "succeed" not in done.out, "arguments are hidden"
        assert '["succeed"]' in (await place.pacer("job", "third", "--arguments")).out
        data = (await place.pacer("job", "third", "--json", "--arguments")).json
        assert (data["ahead"], data["args"], data["kwargs"], data["key"]) == (1, ["succeed"], {}, "tenant")
        assert data["reason"] == "pause of 3600 s after the last job"
        assert data["starts_in"]["low"] <= data["starts_in"]["seconds"] <= data["starts_in"]["high"]
        assert "args" not in (await place.pacer("job", "third", "--json")).json


async def test_all_about_jobs_that_run_and_have_ended(sqlite: Place) -> None:
    async with working(sqlite) as queue:
        await queue.enqueue("succeed", job_id="good")
        await queue.enqueue("fail", job_id="bad")
        await queue.enqueue(job_id="running")
        await told_of(sqlite, "running")
        good = await sqlite.pacer("job", "good", "--result", "--arguments")
        assert good.lines[0].startswith("succeeded ")
        assert "\nresult     succeed\n" in good.out
        assert "the arguments of job good are not kept" in good.out
        assert "result" not in (await sqlite.pacer("job", "good")).out
        bad = await sqlite.pacer("job", "bad")
        assert bad.lines[0].startswith("failed ")
        assert "ValueError: no \\x1b[31mluck" in bad.out
        assert (await sqlite.pacer("job", "running")).lines[0].endswith(", 25% done")
    unknown = await sqlite.pacer("job", "nothing")
    assert (unknown.code, unknown.err) == (1, "pacer job: no job has the id 'nothing'\n")


async def test_what_another_codec_has_written_is_not_guessed(sqlite: Place) -> None:
    from pacer.codecs import JsonCodec

    class Reversed(JsonCodec):
        def encode_call(self, task, args, kwargs):
            return super().encode_call(task, args, kwargs)[::-1]

        def encode_result(self, task, result):
            return super().encode_result(task, result)[::-1]

    scheduler = scheduler_on(sqlite)
    scheduler.store = sqlite.store(codec=Reversed())

    @scheduler.task(name="work")
    async def work(mode: str) -> str:
        return mode

    async with scheduler:
        await scheduler.pause()
        waiting = await scheduler.enqueue(work, "secret")
        done = await sqlite.pacer("job", waiting.job_id, "--arguments")
        assert done.code == 0
        assert "they are not JSON" in done.out
        assert "give --app module:scheduler" in done.out
