"""The runbook is true: its commands can be typed, its names exist, and a queue in trouble says what it says there."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
import typer.main
from command_line import Place

from pacer import BoundedQueue, JobState, PartsDifferError, Scheduler, Throttled
from pacer._commands import app
from pacer.backoff import ExponentialBackoff
from pacer.pacing import FixedPause, ManualPace, PerKey
from pacer.protocols import PacingPolicy

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "runbook.md").read_text(encoding="utf-8")
INLINE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
CONSOLE = [line for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


def commands() -> Iterator[list[str]]:
    for line in [*INLINE, *CONSOLE]:
        for part in line.split("|"):
            match shlex.split(part) if part.strip().startswith("pacer ") else []:
                case ["pacer", name, *arguments] if name.replace("-", "").isalpha():
                    yield [name, *arguments]


@pytest.mark.parametrize("command", list(commands()), ids=" ".join)
def test_every_command_can_be_typed(command: list[str]) -> None:
    name, *arguments = command
    group = typer.main.get_command(app)
    found = group.get_command(typer.Context(group), name)  # type: ignore[attr-defined]
    assert found is not None
    needs = {"job": ["ID"], "cancel": ["ID"], "worker": ["main:scheduler"]}.get(name, [])
    given = [word for word in arguments if not word.startswith("-")]
    with found.make_context(name, [*arguments, *([] if given else needs)]):
        pass


def test_the_commands_are_found() -> None:
    names = {name for name, *_ in commands()}
    assert {
        "status",
        "jobs",
        "job",
        "cancel",
        "retry",
        "pause",
        "resume",
        "end-hold",
        "set",
        "doctor",
        "export",
        "worker",
    } <= names


def test_every_metric_exists() -> None:
    known = set(re.findall(r"pacer_\w+", (DOCS / "metrics.md").read_text(encoding="utf-8")))
    named = {one.removesuffix("_count") for text in INLINE for one in re.findall(r"pacer_\w+", text)}
    assert len(named) > 5
    assert named <= known


def test_every_name_of_the_package_exists() -> None:
    modules = ["", ".events", ".alerts", ".pacing", ".backoff", ".estimators", ".queues", ".stores"]
    public = {name for module in modules for name in importlib.import_module(f"pacer{module}").__all__}
    named = {one for text in INLINE for one in re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", text)}
    assert len(named) > 20
    assert named - public - {"SqliteStore", "PostgresStore", "RedisStore"} == {"Retry-After"} & named


def test_every_symptom_of_the_table_has_a_part() -> None:
    parts = {
        re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= parts


# -- queues in trouble -----------------------------------------------------------------------------------------------


def test_the_words_of_the_dashboard_are_its_words() -> None:
    table = PAGE.partition("begins with | Dashboard |")[2].partition("\n\n")[0].splitlines()[2:]
    words = {re.split(r" \| ", line)[1] for line in table}
    explained = re.findall(r"^\| ([A-Z][a-z ]+) \|", (DOCS / "dashboard.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert {word for word in words if not word.startswith("does not load")} <= set(explained)
    assert {"Paused", "On hold", "Not starting"} <= words


def trouble(test):
    """A queue that really runs, and is looked at by processes."""
    return pytest.mark.anyio(pytest.mark.asyncio_only(pytest.mark.real_time(test)))


def scheduler_of(place: Place, pacing: PacingPolicy | None = None, **settings) -> Scheduler:
    settings = {"queue": BoundedQueue(50), "on_crash": "stale", **settings}
    backoff = ExponentialBackoff(120, maximum=300, after=2)
    made = Scheduler(store=place.store(), pacing=pacing or FixedPause(0), backoff=backoff, observers=(), **settings)

    @made.task(name="work")
    async def work(what: str) -> None:
        match what:
            case "fail":
                raise RuntimeError(what)
            case "throttle":
                raise Throttled(600)
            case "run":
                await anyio.sleep_forever()

    made.work = work
    return made


def on_the_page(text: str, pattern: str) -> None:
    """The queue says what the page says, but for the numbers."""
    assert re.search(pattern, text), text
    assert re.search(pattern, PAGE), pattern


async def first_line(place: Place) -> str:
    return (await place.pacer("status")).lines[0]


@trouble
async def test_paused_full_and_without_a_worker(sqlite: Place) -> None:
    async with scheduler_of(sqlite, queue=BoundedQueue(1)) as scheduler:
        await scheduler.pause()
        await scheduler.enqueue(scheduler.work, "run")
        on_the_page(await first_line(sqlite), "paused by hand")
        done = await sqlite.pacer("set", "queue.capacity=200", "--yes")
        assert (done.code, (await scheduler.status()).capacity) == (0, 200)
        await scheduler.enqueue(scheduler.work, "run")
        await sqlite.pacer("resume")
        while (await scheduler.status()).running == 0:
            await anyio.sleep(0.01)
        on_the_page(await first_line(sqlite), "working: 1 job runs")
    on_the_page(await first_line(sqlite), r"no worker: \d jobs wait, and nobody is there to run them")
    assert (await sqlite.pacer("doctor")).code == 1


@trouble
async def test_held_by_a_backoff_and_by_the_upstream(sqlite: Place, tmp_path: Path) -> None:
    async with scheduler_of(sqlite) as scheduler:
        for _ in range(2):
            await scheduler.enqueue(scheduler.work, "fail")
        while (await scheduler.status()).failed < 2:
            await anyio.sleep(0.01)
        on_the_page(await first_line(sqlite), r"held: backoff of 120 s after \d failures in a row, .* left")
        failed = await sqlite.pacer("jobs", "--state", "failed")
        assert "RuntimeError: fail" in failed.out
        assert (await sqlite.pacer("retry", "--all", "--state", "failed", "--yes")).code == 0
    other = Place("sqlite", f"sqlite:///{tmp_path / 'other.db'}", folder=tmp_path)
    async with scheduler_of(other) as scheduler:
        receipt = await scheduler.enqueue(scheduler.work, "throttle")
        while (await scheduler.status()).throttled == 0:
            await anyio.sleep(0.01)
        on_the_page(await first_line(other), r"held: upstream said wait 600 s, .+ left")
        assert "throttled 1 times" in (await other.pacer("job", receipt.job_id)).out


@trouble
async def test_a_lane_that_waits_and_jobs_that_are_taken_out_and_brought_back(sqlite: Place) -> None:
    async with scheduler_of(sqlite, PerKey(FixedPause(100))) as scheduler:
        queue = scheduler.options(key="a")
        await scheduler.wait(await queue.enqueue(scheduler.work, "do"))
        waiting = [await queue.enqueue(scheduler.work, "do") for _ in range(2)]
        job = await sqlite.pacer("job", waiting[0].job_id)
        on_the_page(job.out, r"why not yet  pause of 100 s after the last job, for key 'a', .+ left")
        listed = await sqlite.pacer("jobs", "--key", "a", "--limit", "500", "--json")
        ids = [line["id"] for line in map(json.loads, listed.lines)]
        assert ids == [one.job_id for one in waiting]
        assert (await sqlite.pacer("cancel", "--yes", *ids)).code == 0
        assert (await scheduler.status()).pending == 0
        assert (await sqlite.pacer("retry", "--all", "--state", "cancelled", "--yes")).code == 0
        assert (await scheduler.status()).pending == 2
        with pytest.raises(PartsDifferError) as refused:
            async with scheduler_of(sqlite, FixedPause(5)):
                pass
        on_the_page(
            str(refused.value), r"is open elsewhere with other settings: pacing is \w+\(.*\) there, \w+\(.*\) here"
        )


@trouble
async def test_a_pace_that_is_stopped_by_hand(sqlite: Place) -> None:
    async with scheduler_of(sqlite, ManualPace(5)) as scheduler:
        await scheduler.set_rate(0)
        await scheduler.enqueue(scheduler.work, "do")
        on_the_page(await first_line(sqlite), "stopped by hand: rate of 0")


@trouble
async def test_jobs_whose_function_nobody_knows(sqlite: Place) -> None:
    async with scheduler_of(sqlite) as scheduler:
        await scheduler.pause()
        receipt = await scheduler.enqueue(scheduler.work, "do")
    renamed = Scheduler(
        store=sqlite.store(),
        queue=scheduler.queue,
        pacing=scheduler.pacing,
        backoff=scheduler.backoff,
        on_crash="stale",
        observers=(),
    )
    renamed.task(scheduler.work, name="worked")
    async with renamed:
        while (await renamed.job(receipt.job_id)).state is not JobState.STALE:
            await anyio.sleep(0.01)
        stale = await sqlite.pacer("jobs", "--state", "stale")
        on_the_page(stale.out, "its worker is gone and nobody else can run it")
        on_the_page((await sqlite.pacer("status")).out, r"kept +\d stale")
