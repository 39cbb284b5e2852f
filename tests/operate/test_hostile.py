"""The commands with whatever people, shells and full disks do to them: one line that says what is wrong, and a code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import anyio.abc
import pytest
from command_line import Place
from queues import Running, scheduler_on, working
from servers import PASSWORD

from pacer import JobState
from pacer.stores.redis import RedisStore

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


@pytest.fixture
async def queue(sqlite: Place) -> AsyncGenerator[Running]:
    async with working(sqlite) as running:
        yield running


async def in_shell(place: Place, command: str) -> tuple[int, str, str]:
    """As a shell runs it; `pacer` is the command."""
    text = command.replace("pacer", f"{sys.executable} -m pacer")
    done = await anyio.run_process(["bash", "-c", text], env=place.environment, cwd=place.folder, check=False)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


# -- what is given ---------------------------------------------------------------------------------------------------

STRANGE = [
    "a b",
    "it's",
    'qu"ote',
    "-dash",
    "--json",
    "new\nline",
    "\U0001f680",
    "%s",
    "*",
    "'; DROP TABLE pacer_jobs; --",
]


async def test_jobs_with_strange_ids_are_listed_shown_cancelled_and_brought_back(place: Place) -> None:
    async with working(place) as queue:
        await queue.scheduler.pause()
        for job_id in STRANGE:
            await queue.enqueue(job_id=job_id)
        listed = await place.pacer("jobs")
        assert len(listed.lines) == 1 + len(STRANGE)
        assert "new\\nline" in listed.out
        assert (await place.pacer("job", "--", "--json")).lines[0] == "waiting: number 5"
        assert (await place.pacer("cancel", "--", *STRANGE)).code == 0
        assert (await queue.scheduler.status()).pending == 0
        assert (await place.pacer("retry", "--", *STRANGE)).out == f"{len(STRANGE)} jobs wait again\n"


async def test_a_job_that_is_not_due_before_the_year_9999_hinders_nobody(place: Place) -> None:
    async with working(place) as queue:
        for delay in ("1e12", "1e14"):
            assert (await place.pacer("enqueue", "work", "--delay", delay, "--id", delay)).code == 0
        assert [job.id for job in (await queue.scheduler.jobs()).jobs] == ["1e12", "1e14"]
        listed = await place.pacer("jobs")
        assert (listed.code, listed.out.count("in over 100 years")) == (0, 2)
        assert (await place.pacer("job", "1e12")).code == 0
        assert (await place.pacer("jobs", "--json")).code == 0
        assert (await place.pacer("top", "--once")).code == 0
        first = (await place.pacer("status")).lines[0]
        assert first == "waiting: 2 jobs wait, and none is due before over 100 years are over"
        assert (await place.pacer("doctor")).code == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["enqueue", ""], "TASK is empty"),
        (["enqueue", "work", "--args", "[" * 100_000], "--args is not JSON"),
        (["enqueue", "work", "--priority", "9" * 30], "priority must be a whole number of 64 bits"),
        (["set", "=5"], "'=5' is not of the form PATH=NUMBER"),
        (["set", "pacing.seconds=5", "pacing.seconds=6"], "pacing.seconds is given twice"),
        (["set", "pacing.seconds=5", "--reset", "pacing.seconds"], "pacing.seconds is given twice"),
        (["status", "--store", "jobs.db"], "Did you mean sqlite:///jobs.db?"),
        (["status", "--store", "x" * 100_000], "is not the URL"),
        (["status", "--store", f"redis://:{PASSWORD}@127.0.0.1:1/0?nonsense=1"], "redis-py has no option 'nonsense'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else "",
)
async def test_nonsense_is_wrong_usage(queue: Running, sqlite: Place, arguments: list[str], problem: str) -> None:
    done = await sqlite.pacer(*arguments)
    assert (done.code, done.out) == (2, "")
    assert (problem in done.err or problem.split("?", maxsplit=1)[0] in done.err, done.err.count("\n")) == (True, 1)
    assert len(done.err) < 3000
    assert PASSWORD not in done.err
    assert not (await queue.scheduler.jobs()).jobs


def test_an_option_that_the_redis_driver_does_not_have_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="has no option 'nonsense'"):
        RedisStore("redis://127.0.0.1:1/0?nonsense=1")


async def test_a_file_that_is_not_there_is_called_so(sqlite: Place) -> None:
    done = await sqlite.pacer("status", "--store", "sqlite:////nowhere/jobs.db")
    assert (done.code, done.out) == (1, "")
    assert "there is no file /nowhere/jobs.db" in done.err
    assert (await sqlite.pacer("status", "--store", f"sqlite:///{sqlite.folder}")).code == 1


@pytest.mark.parametrize("command", ["status", "doctor"])
async def test_a_path_that_the_system_does_not_take_is_one_line(sqlite: Place, command: str) -> None:
    """As of a directory into which this user may not look."""
    done = await sqlite.pacer(command, "--store", f"sqlite:////{'x' * 5000}.db", "--json")
    assert done.code == 1
    assert "File name too long. Check the path" in done.out + done.err
    nul = await sqlite.pacer(command, "--store", "sqlite:///a%00b.db", "--json")
    assert nul.code in (1, 2)


async def test_an_empty_schema_or_prefix_is_named(place: Place) -> None:
    if place.kind == "sqlite":
        return
    done = await place.pacer("status", "--within", "elsewhere")
    assert (done.code, "'elsewhere') holds no queue yet" in done.err) == (1, True)


async def test_export_takes_any_time_ago(queue: Running, sqlite: Place) -> None:
    await queue.until(JobState.SUCCEEDED, await queue.enqueue("succeed"))
    done = await sqlite.pacer("export", "--since", "99999999999d")
    assert (done.code, len(done.lines)) == (0, 2)


async def test_nothing_that_matches_is_said_with_what_was_asked_for(queue: Running, sqlite: Place) -> None:
    done = await sqlite.pacer("jobs", "--task", "nope", "--key", "k", "--state", "failed")
    assert (done.code, done.out) == (0, "no job of nope with key k is failed\n")


# -- where it goes ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("command", ["status", "jobs --json", "export", "export --output /dev/full", "top", "set"])
async def test_output_that_cannot_be_written_is_one_line(queue: Running, sqlite: Place, command: str) -> None:
    await queue.until(JobState.RUNNING, await queue.enqueue())
    await queue.enqueue()
    code, _, told = await in_shell(sqlite, f"pacer {command} >/dev/full")
    assert (code, told.count("\n")) == (1, 1), told
    assert told.endswith(" cannot be written: No space left on device\n")


@pytest.mark.parametrize("command", ["jobs", "export", "top --interval 0.1", "status", "set"])
async def test_whoever_reads_the_output_may_stop_reading(queue: Running, sqlite: Place, command: str) -> None:
    _, _, told = await in_shell(sqlite, f"pacer {command} | head -c 1")
    assert "Traceback" not in told
    assert "rror" not in told


async def test_streams_that_are_closed_do_no_harm(queue: Running, sqlite: Place) -> None:
    code, _, told = await in_shell(sqlite, "pacer pause <&-")
    assert (code, "add --yes" in told, told.count("\n")) == (2, True, 1)
    assert (await in_shell(sqlite, "pacer status >&-"))[0] == 0
    assert (await in_shell(sqlite, "pacer status 2>&-"))[0] == 0
    code, _, told = await in_shell(sqlite, "pacer export >&-")
    assert (code, "give a file" in told) == (1, True)


async def test_a_terminal_without_the_letters_gets_others(queue: Running, sqlite: Place) -> None:
    await queue.scheduler.pause()
    await queue.enqueue(job_id="\U0001f680")
    latin = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    for command in (["jobs"], ["job", "\U0001f680"], ["top", "--once"], ["cancel", "\U0001f680"]):
        script = [sys.executable, "-m", "pacer", *command]
        environment = {**sqlite.environment, **latin}
        done = await anyio.run_process(script, env=environment, cwd=sqlite.folder, check=False)
        assert (done.returncode, done.stderr) == (0, b""), command
        assert command != ["jobs"] or rb"\U0001f680" in done.stdout


@pytest.mark.parametrize("command", ["status", "doctor", "top"])
async def test_ctrl_c_does_not_wait_for_a_server_that_says_nothing(sqlite: Place, command: str) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0) as listener:
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        url = f"postgresql://me@127.0.0.1:{port}/pacer"
        source = (
            "from pacer import Scheduler\nfrom pacer.stores.postgres import PostgresStore\n"
            f"scheduler = Scheduler(store=PostgresStore({url!r}, connect_timeout=3600))\n"
        )
        (sqlite.folder / "silent.py").write_text(source)
        code = (
            "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
            f"sys.argv = ['pacer', {command!r}, '--app', 'silent:scheduler']; from pacer._cli import main; main()"
        )
        environment = {name: value for name, value in sqlite.environment.items() if name != "PACER_STORE"}
        script = [sys.executable, "-c", code]
        async with await anyio.open_process(script, env=environment, cwd=sqlite.folder) as process:
            connected = anyio.Event()

            async def say_nothing(stream: anyio.abc.SocketStream) -> None:
                async with stream:
                    connected.set()
                    await anyio.sleep_forever()

            async with anyio.create_task_group() as group:
                group.start_soon(listener.serve, say_nothing)
                with anyio.fail_after(120):
                    await connected.wait()
                    process.send_signal(signal.SIGINT)
                    assert await process.wait() == (0 if command == "top" else 130)
                group.cancel_scope.cancel()


async def test_two_that_steer_at_once_do_not_hinder_each_other(queue: Running, sqlite: Place) -> None:
    codes = []

    async def one(*command: str) -> None:
        codes.append((await anyio.to_thread.run_sync(run, sqlite, command)).returncode)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(one, "enqueue", "work", "--id", f"job-{number}")
            group.start_soon(one, "set", f"queue.capacity={number + 10}", "--yes")
    assert codes == [0] * 6
    pages = [await queue.scheduler.jobs(), await queue.scheduler.jobs("running")]
    assert {job.id for page in pages for job in page.jobs} == {"job-0", "job-1", "job-2"}
    assert (await queue.scheduler.status()).capacity in (10, 11, 12)


def run(place: Place, command: tuple[str, ...], before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[bytes]:
    script = [*before, sys.executable, "-m", "pacer", *command]
    return subprocess.run(
        script, env=place.environment, cwd=place.folder, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )


async def test_a_file_that_may_only_be_read_is_said_to_be_so(sqlite: Place) -> None:
    async with scheduler_on(sqlite):
        pass
    (sqlite.folder / "jobs.db").chmod(0o444)
    # Root may write whatever it says on a file, unless it has given that up.
    obeying = ("setpriv", "--bounding-set=-dac_override") if os.geteuid() == 0 else ()
    done = await anyio.to_thread.run_sync(lambda: run(sqlite, ("pause", "--yes"), before=obeying))
    assert (done.returncode, done.stderr.count(b"\n"), b"permissions" in done.stderr) == (1, 1, True), done.stderr
