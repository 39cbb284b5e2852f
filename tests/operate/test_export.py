"""`pacer export`: past jobs as a file that the simulator reads."""

from __future__ import annotations

import csv
import io
import random
import re

import pytest
from command_line import Done, Place
from queues import scheduler_on, working

from pacer import BoundedQueue, JobState
from pacer.simulation import Trace

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


def rows(done: Done) -> list[dict[str, str]]:
    assert done.code == 0, done.err
    return list(csv.DictReader(io.StringIO(done.out)))


async def test_jobs_are_exported_from_every_store_and_simulated(place: Place) -> None:
    async with working(place, concurrency=2) as queue:
        await queue.enqueue("succeed", job_id="first", key='a "quoted", one', cost={"requests": 1, "tokens": 7})
        await queue.enqueue("fail", job_id="second", priority=3)
        await queue.until(JobState.SUCCEEDED, "first")
        await queue.until(JobState.FAILED, "second")
        await queue.enqueue(job_id="third")
        await queue.until(JobState.RUNNING, "third")
        done = await place.pacer("export")
        first, second = rows(done)
        assert (first["id"], first["state"], first["key"]) == ("first", "succeeded", 'a "quoted", one')
        assert (first["cost_requests"], first["cost_tokens"], second["cost_tokens"]) == ("1", "7", "0")
        assert (second["id"], second["state"], second["priority"], second["attempts"]) == ("second", "failed", "3", "1")
        assert first["size"] == first["duration_seconds"] == second["size"], "the median of those that have succeeded"
        assert first["created_at"].endswith("+00:00")
        assert done.err.startswith("2 jobs written; as a workload: Trace('FILE', at=\"created_at\"")
        everything = rows(await place.pacer("export", "--all"))
        assert [(one["id"], one["ended_at"] == "") for one in everything][-1] == ("third", True)
        assert [one["id"] for one in rows(await place.pacer("export", "--state", "failed"))] == ["second"]
        file = await place.pacer("export", "--output", "past.csv")
    assert (file.code, file.out) == (0, "")
    found = re.fullmatch(r"2 jobs written; as a workload: (Trace\(.*\))\n", file.err)
    assert found is not None
    if place.kind != "sqlite":  # the file is the same
        return
    upstream = "Upstream(FixedWindowLimit(60, per=60), Constant(1))"
    options = ["--workload", found[1], "--pacing", "FixedPause(1)", "--upstream", upstream, "--json"]
    simulated = await place.pacer("simulate", *options)
    assert simulated.code == 0, simulated.err
    assert simulated.json["candidates"][0]["runs"][0]["arrived"] == 2


async def test_many_jobs_come_in_the_order_in_which_they_were_enqueued(sqlite: Place) -> None:
    scheduler = scheduler_on(sqlite, queue=BoundedQueue(2000), concurrency=8)

    @scheduler.task(name="work")
    async def work() -> None:
        pass

    async with scheduler:
        for number in range(1100):
            await scheduler.options(job_id=f"job-{number:04}").enqueue(work)
        assert await scheduler.drain(60)
    found = rows(await sqlite.pacer("export", "-o", "past.csv") and await sqlite.pacer("export"))
    assert [one["id"] for one in found] == [f"job-{number:04}" for number in range(1100)]
    trace = Trace(sqlite.folder / "past.csv", at="created_at", size="size")
    assert len(list(trace.arrivals(random.Random(0)))) == 1100
    middle = found[600]["created_at"]
    since = rows(await sqlite.pacer("export", "--since", middle))
    assert [one["id"] for one in since] == [f"job-{number:04}" for number in range(600, 1100)]
    assert len(rows(await sqlite.pacer("export", "--since", "6h"))) == 1100
    assert len(rows(await sqlite.pacer("export", "--since", "0s"))) == 0


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["--since", "yesterday"], 2, "--since 'yesterday' is no time"),
        (["--all", "--state", "dead"], 2, "give --all or --state"),
        (["--output", "nowhere/past.csv"], 1, "nowhere/past.csv cannot be written: No such file or directory"),
    ],
)
async def test_what_cannot_be_written_is_said(sqlite: Place, arguments: list[str], code: int, problem: str) -> None:
    async with scheduler_on(sqlite):
        done = await sqlite.pacer("export", *arguments)
    assert (done.code, done.out) == (code, "")
    assert problem in done.err
