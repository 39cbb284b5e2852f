"""`pacer top`: a queue, live, on a terminal and without one."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process
from command_line import Place
from queues import Mine, scheduler_on, working
from servers import PASSWORD, RedisServer

from pacer import JobState
from pacer.pacing import FixedPause

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


async def test_without_a_terminal_a_look_is_a_line(place: Place) -> None:
    async with working(place) as queue:
        running = await queue.enqueue()
        await queue.until(JobState.RUNNING, running)
        await queue.enqueue()
        done = await place.pacer("top", "--once")
    assert (done.code, len(done.lines)) == (0, 1)
    assert "Z  working: 1 job runs  waiting=1 running=1 started_last_minute=" in done.out
    assert "\x1b" not in done.out


async def lines_until(process: Process, text: bytes) -> bytes:
    """What is said up to there."""
    assert process.stdout is not None
    said = b""
    with anyio.fail_after(60):
        while text not in said:
            said += await process.stdout.receive()
    return said


def watching(place: Place) -> Any:
    """It runs without a terminal, and takes an interrupt although whoever runs the tests may ignore those."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "sys.argv = ['pacer', 'top', '--interval', '0.1']; from pacer._cli import main; main()"
    )
    return anyio.open_process(
        [sys.executable, "-c", code], env=place.environment, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_without_a_terminal_it_goes_on_until_a_signal(sqlite: Place, number: signal.Signals) -> None:
    async with working(sqlite), await watching(sqlite) as process:
        said = await lines_until(process, b"idle: no job waits")
        said += await lines_until(process, b"idle: no job waits")
        process.send_signal(number)
        assert await process.wait() == 0
    assert said.count(b"Z  idle: ") >= 2


async def test_a_store_that_is_away_for_a_while_is_said_and_waited_for(tmp_path: Path) -> None:
    with RedisServer() as server:
        place = Place("redis", server.url, None, tmp_path)
        async with scheduler_on(place):
            pass
        async with await watching(place) as process:
            await lines_until(process, b"idle: ")
            server.kill()
            assert PASSWORD.encode() not in await lines_until(process, b"pacer top: redis://")
            server.start()
            await lines_until(process, b"idle: ")
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0


async def test_on_a_terminal_it_shows_what_runs_and_what_is_next_until_q(sqlite: Place) -> None:
    async with working(sqlite, pacing=FixedPause(0)) as queue:
        running = await queue.enqueue(job_id="runs-now")
        await queue.until(JobState.RUNNING, running)
        await queue.enqueue(job_id="comes-next", key="tenant")
        done = await sqlite.on_terminal("top", "--interval", "0.2", keys="q", when="25%")
    assert done.code == 0
    for text in ("working: 1 job runs", "runs-now", "comes-next", "tenant", "starts a minute", "q leaves", "pwned"):
        assert text in done.out
    assert "\x1b]0;" not in done.out
    assert "\x1b[?1049l" in done.out, "the screen is as it was before"


async def test_once_on_a_terminal_is_one_screen(sqlite: Place) -> None:
    async with working(sqlite, pacing=Mine()) as queue:
        await queue.scheduler.pause()
        await queue.enqueue(job_id="waits")
        done = await sqlite.on_terminal("top", "--once", environment={"NO_COLOR": "1"})
    lines = done.out.replace("\r", "").splitlines()
    assert done.code == 0
    assert lines[0] == "paused by hand"
    assert "no forecast: Mine() is one of your application's own" in done.out
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.out


async def test_on_80_columns_ids_and_times_are_whole_and_an_empty_column_is_not_there(sqlite: Place) -> None:
    """What is typed next, and what was asked for; the name of the function is cut if there is no room."""
    scheduler = scheduler_on(sqlite, pacing=FixedPause(1))

    @scheduler.task(name="analyse-a-document-of-the-parliament-thoroughly")
    async def analyse() -> None:
        await anyio.sleep_forever()

    async with scheduler:
        await scheduler.enqueue(analyse)
        for number in range(3):
            await scheduler.options(job_id=f"document-2026-11-24-{number}").enqueue(analyse)
        done = await sqlite.on_terminal("top", "--once", environment={"NO_COLOR": "1"})
    lines = done.out.replace("\r", "").splitlines()
    head = next(line for line in lines if line.startswith("next"))
    assert head.split() == ["next", "task", "starts", "in"]
    shown = [line for line in lines if line.startswith("document-2026-11-24-")]
    assert [line.split()[0][-2:] for line in shown] == ["-0", "-1", "-2"]
    assert all(re.search(r" \([^()]+ to [^()]+\)$", line.rstrip()) for line in shown[1:])
    assert next(line for line in lines if line.startswith("starts a minute")).rstrip().endswith("at most 1")
    assert max(map(len, lines)) <= 80


async def test_a_terminal_that_cannot_be_painted_gets_lines(sqlite: Place) -> None:
    ours, theirs = pty.openpty()
    try:
        async with working(sqlite):
            script = [sys.executable, "-m", "pacer", "top", "--interval", "0.1"]
            environment = {**sqlite.environment, "TERM": "dumb"}
            async with await anyio.open_process(script, env=environment, stdin=theirs, stdout=theirs) as process:
                shown = b""
                with anyio.fail_after(60):
                    while shown.count(b"Z  idle: ") < 2:
                        await anyio.wait_readable(ours)
                        shown += os.read(ours, 4096)
                process.terminate()
                assert await process.wait() == 0
        assert b"\x1b" not in shown
    finally:
        os.close(ours)
        os.close(theirs)
