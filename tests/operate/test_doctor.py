"""`pacer doctor` finds what was planted in real stores, and nothing in a healthy one."""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import anyio
import pytest
from command_line import Place
from findings import examined, found
from queues import PARTS, Mine, scheduler_on, working
from servers import PASSWORD

from pacer import BoundedQueue, JobState, Throttled
from pacer._job import JobRecord
from pacer._operate._doctor._queue import examine_queue, facts_of
from pacer._operate._doctor._sqlite import file_system, owned, room
from pacer._operate._target import Target, guest_of
from pacer._rules import Rules
from pacer.codecs import JsonCodec
from pacer.estimators import MovingAverage
from pacer.stores.sqlite import SqliteStore

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

RULES = Rules(**PARTS, estimator=MovingAverage())


# -- on every store --------------------------------------------------------------------------------------------------


async def test_a_healthy_busy_store_gives_no_finding(place: Place) -> None:
    async with working(place, concurrency=2) as queue:
        for number in range(20):
            await queue.enqueue("succeed", job_id=f"done-{number}")
        await queue.until(JobState.SUCCEEDED, "done-19")
        running = [await queue.enqueue() for _ in range(2)]
        await queue.until(JobState.RUNNING, *running)
        for _ in range(10):
            await queue.enqueue()
        done = await place.pacer("doctor")
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("all is well: ")
        assert done.out.endswith(", 1 queue (default)\n")
        assert await examined(place, code=0) == {}


async def test_what_people_and_crashes_have_left_is_found(place: Place) -> None:
    async with working(place, queue=BoundedQueue(3)) as queue:
        assert (await place.pacer("enqueue", "unheard_of", "--id", "lost", "--yes")).code == 0
        await queue.until(JobState.STALE, "lost")
        await queue.scheduler.pause()
        await queue.scheduler.set_numbers({"queue.capacity": 2})
        for _ in range(2):
            await queue.enqueue()
        findings = await examined(place, code=4)
        expected = {"paused": "warning", "stale": "warning", "full": "warning", "numbers-by-hand": "note"}
        assert findings == expected
        shown = await place.pacer("doctor")
    assert "warning: a person has paused it\n  It means: 2 jobs wait; no job starts until it is resumed\n" in shown.out
    assert "pacer retry --all --state stale" in shown.out


async def test_what_a_vanished_worker_has_left_is_found(place: Place) -> None:
    store = place.store(lease=30, clock=lambda: time.time() - 1000)
    async with store.open("default", RULES, "crashed") as ledger:
        await ledger.recover(frozenset({"work"}))
        await ledger.add([job("runs"), job("waits")])
        claimed = await ledger.claim(frozenset({"work"}), 1)
        assert [record.id for record in claimed.jobs] == ["runs"]
    assert await examined(place, code=1) == {"no-worker": "error", "lease-over": "warning"}


async def test_jobs_that_no_worker_knows_are_found_before_they_are_stale(place: Place) -> None:
    async with place.store(lease=60).open("default", RULES, "slow") as ledger:
        await ledger.recover(frozenset({"work"}))
        await ledger.add([job("good"), job("bad", "wrok")])
        done = await place.pacer("doctor", "--json")
    assert (done.code, found(done)) == (1, {"unknown-function": "error"})
    assert done.json["findings"][0]["what"] == "jobs wait whose function no worker knows: wrok (1)"


async def test_jobs_that_only_a_process_without_slots_knows_are_found(sqlite: Place) -> None:
    web = scheduler_on(sqlite, worker_concurrency=0)

    @web.task(name="only-here")
    async def only_here() -> None:
        pass

    async with web, working(sqlite) as queue:
        await queue.scheduler.pause()
        await web.enqueue(only_here)
        done = await sqlite.pacer("doctor", "--json")
    assert found(done) == {"no-worker-for": "error", "paused": "warning"}
    assert done.json["findings"][0]["what"].endswith("only processes that run no jobs: only-here (1)")


async def test_each_queue_is_looked_at(place: Place) -> None:
    async with scheduler_on(place, name="a"), scheduler_on(place, name="b") as other:
        await other.pause()
        done = await place.pacer("doctor", "--json")
        assert (done.code, done.json["queues"]) == (4, ["a", "b"])
        assert [(one["code"], one["queue"]) for one in done.json["findings"]] == [("paused", "b")]
        assert await examined(place, "--queue", "a", code=0) == {}


async def test_a_long_hold_and_many_failures_are_found(sqlite: Place) -> None:
    scheduler = scheduler_on(sqlite)

    @scheduler.task(name="work")
    async def work(hold: bool) -> None:
        if hold:
            raise Throttled(7200)
        msg = "broken"
        raise ValueError(msg)

    async with scheduler:
        for hold in (*[False] * 5, True):
            await scheduler.enqueue(work, hold)
        with anyio.fail_after(60):
            while not (await scheduler.status()).hold_seconds:
                await anyio.sleep(0.02)
        assert await examined(sqlite, code=4) == {"long-hold": "warning", "failing": "warning"}


@pytest.mark.parametrize("url", [f"postgresql://p:{PASSWORD}@127.0.0.1:1/x", f"redis://:{PASSWORD}@127.0.0.1:1/0"])
async def test_a_server_that_is_away_is_a_finding_of_its_own(sqlite: Place, url: str) -> None:
    done = await sqlite.pacer("doctor", "--json", "--store", url)
    assert (done.code, found(done)) == (3, {"unreachable": "error"})
    assert PASSWORD not in done.out + done.err


async def test_a_clock_of_this_machine_that_differs_from_the_servers_is_found(place: Place) -> None:
    if place.kind == "sqlite":  # there is one clock only
        return
    ahead = "import time; real = time.time; time.time = lambda: real() + 90; from pacer._cli import main; main()"
    async with scheduler_on(place):
        command = [sys.executable, "-c", ahead, "doctor", "--json"]
        done = await anyio.run_process(command, env=place.environment, cwd=place.folder, check=False)
    assert b'"clock-differs"' in done.stdout
    assert b"90 s ahead of that of the store" in done.stdout
    assert done.returncode == 4


def job(job_id: str, task: str = "work") -> JobRecord:
    return JobRecord(job_id, task, JsonCodec().encode_call(task, [], {}))


# -- SQLite ----------------------------------------------------------------------------------------------------------


def changed(place: Place, *statements: str) -> None:
    with sqlite3.connect(place.folder / "jobs.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


async def test_no_file_and_files_of_others_are_found(sqlite: Place) -> None:
    assert await examined(sqlite, code=1) == {"no-file": "error"}
    assert not (sqlite.folder / "jobs.db").exists()
    changed(sqlite, "CREATE TABLE others (a)")
    assert await examined(sqlite, code=1) == {"no-tables": "error"}
    (sqlite.folder / "text.db").write_text("nothing of the kind" * 20)
    assert await examined(sqlite, "--store", "sqlite:///text.db", code=1) == {"not-ours": "error"}


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["DROP INDEX pacer_jobs_due", "DROP INDEX pacer_jobs_unique"], {"missing-index": "error"}),
        (["PRAGMA journal_mode = DELETE"], {"not-wal": "warning"}),
        (["UPDATE pacer_schema SET version = 999"], {"newer-schema": "error"}),
        (["DROP TABLE pacer_workers"], {"damaged": "error"}),
        (["UPDATE pacer_queues SET clock_last = clock_last + 7200"], {"clock-set-back": "note"}),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
async def test_what_is_wrong_in_a_file_is_found(sqlite: Place, statements: list[str], expected: dict[str, str]) -> None:
    async with scheduler_on(sqlite):
        pass
    assert await examined(sqlite, code=0) == {}
    changed(sqlite, *statements)
    code = {"error": 1, "warning": 4, "note": 0}[next(iter(expected.values()))]
    assert await examined(sqlite, code=code) == expected


async def test_a_file_of_an_earlier_version_is_found_and_left_alone(sqlite: Place) -> None:
    path = sqlite.folder / "jobs.db"
    async with scheduler_on(sqlite):
        pass
    changed(
        sqlite,
        "DROP TABLE pacer_minutes",
        "DROP INDEX pacer_jobs_unsuccessful",
        "UPDATE pacer_schema SET version = 3",
    )
    before = path.read_bytes()
    assert await examined(sqlite, code=4) == {"older-schema": "warning"}
    assert path.read_bytes() == before


async def test_damage_is_found(sqlite: Place) -> None:
    async with scheduler_on(sqlite, queue=BoundedQueue(1000)) as scheduler:

        @scheduler.task(name="work")
        async def work(text: str) -> None:
            pass

        await scheduler.pause()
        for _ in range(30):
            await scheduler.enqueue(work, "x" * 2000)
    path = sqlite.folder / "jobs.db"
    content = bytearray(path.read_bytes())
    content[8 * 4096 : 12 * 4096] = os.urandom(4 * 4096)
    path.write_bytes(content)
    assert await examined(sqlite, code=1) == {"damaged": "error"}


async def test_a_lock_that_somebody_holds_is_found(sqlite: Place) -> None:
    async with scheduler_on(sqlite):
        pass
    holder = sqlite3.connect(sqlite.folder / "jobs.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        assert await examined(sqlite, code=1) == {"locked": "error"}
    finally:
        holder.close()


async def test_jobs_that_nobody_takes_in_are_found(sqlite: Place) -> None:
    scheduler = scheduler_on(sqlite, worker_concurrency=0)

    @scheduler.task(name="work")
    async def work() -> None:
        pass

    async with scheduler:
        pass
    with sqlite3.connect(sqlite.folder / "jobs.db") as connection:
        connection.execute(
            "INSERT INTO pacer_stage (queue, came_at, id, task, payload, priority, delay) "
            "VALUES (1, ?, 'staged', 'work', '[[], {}]', 0, 0)",
            (time.time() - 600,),
        )
    connection.close()
    assert (await examined(sqlite, code=1))["staged"] == "error"


async def test_a_file_that_everybody_may_write_is_found(sqlite: Place) -> None:
    async with scheduler_on(sqlite):
        pass
    (sqlite.folder / "jobs.db").chmod(0o666)
    assert await examined(sqlite, code=4) == {"writable-by-all": "warning"}


async def test_a_killed_worker_is_found(sqlite: Place) -> None:
    here = Path(__file__).parent
    script = (
        f"import sys, anyio; sys.path += [{str(here)!r}]\n"
        "from command_line import Place\nfrom queues import working\n"
        "async def main():\n"
        f"    async with working(Place('sqlite', {sqlite.url!r}), lease=1) as queue:\n"
        "        await queue.enqueue(job_id='runs')\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    async with await anyio.open_process([sys.executable, "-c", script], stdout=None, stderr=None) as process:
        with anyio.fail_after(60):
            while not (await sqlite.pacer("jobs", "--state", "running", "--json")).lines:
                await anyio.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    expected = {"no-worker": "error", "lease-over": "warning", "worker-gone": "note"}
    with anyio.fail_after(60):
        while (found(await sqlite.pacer("doctor", "--json"))) != expected:
            await anyio.sleep(0.2)


async def test_parts_and_functions_that_the_application_has_not_are_found(sqlite: Place) -> None:
    source = (
        f"import sys\nsys.path += [{str(Path(__file__).parent)!r}]\nfrom command_line import Place\n"
        f"from queues import Mine, scheduler_on\n"
        f"right = scheduler_on(Place('sqlite', {sqlite.url!r}), pacing=Mine(3))\n"
        f"wrong = scheduler_on(Place('sqlite', {sqlite.url!r}), pacing=Mine(4))\n"
        "wrong.task(name='other')(print)\n"
    )
    (sqlite.folder / "application.py").write_text(source)
    async with working(sqlite, pacing=Mine(3)) as queue:
        await queue.scheduler.pause()
        await queue.enqueue()
        assert await examined(sqlite, "--app", "application:right", code=4) == {"paused": "warning"}
        findings = await examined(sqlite, "--app", "application:wrong", code=1)
        assert findings == {"parts-differ": "error", "not-in-app": "warning", "paused": "warning"}


def test_a_file_system_of_another_host_is_told_by_the_longest_mount() -> None:
    mounts = "\n".join(
        [
            "overlay / overlay rw 0 0",
            "server:/data /srv/my\\040data nfs4 rw 0 0",
            "tmpfs /srv/my\\040data/fast tmpfs rw 0 0",
            "me@host:/x /home/me/far fuse.sshfs rw 0 0",
        ]
    )
    kinds = [
        file_system(Path(path), mounts)
        for path in ("/jobs.db", "/srv/my data/jobs.db", "/srv/my data/fast/jobs.db", "/home/me/far/a/jobs.db")
    ]
    assert kinds == ["overlay", "nfs4", "tmpfs", "fuse.sshfs"]
    assert file_system(Path("/jobs.db"), "") == ""


def test_what_is_said_of_a_disk_depends_on_what_is_left() -> None:
    path = Path("jobs.db")
    assert room(10**10, path) is None
    some, little = room(10**8, path), room(10**6, path)
    assert some is not None
    assert little is not None
    assert (some.severity, little.severity) == ("warning", "error")


def test_files_of_several_users_are_told() -> None:
    assert list(owned({"jobs.db": 1000, "jobs.db-wal": 1000})) == []
    (finding,) = owned({"jobs.db": 1000, "jobs.db-wal": 0})
    assert finding.what == "the files belong to different users: jobs.db of user 1000, jobs.db-wal of user 0"


async def test_a_queue_whose_workers_do_nothing_is_found(sqlite: Place) -> None:
    """A worker that is there, jobs that could start, and none that has for minutes."""
    long_ago = time.time() - 400
    store = SqliteStore(sqlite.folder / "jobs.db", lease=3600, clock=lambda: long_ago)
    async with store.open("default", RULES, "blocked") as ledger:
        await ledger.recover(frozenset({"work"}))
        await ledger.add([job("waits")])
        async with guest_of(Target(store=sqlite.url)) as guest:
            facts = await facts_of(guest)
    assert {one.code for one in examine_queue(facts, facts.utc)} == {"stuck"}
