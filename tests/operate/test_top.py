"""`pacer top`: a queue, live, on a terminal and without one."""

from __future__ import annotations

import signal
import subprocess
import sys

import anyio
import pytest
from command_line import Place
from queues import Mine, working

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


async def test_without_a_terminal_it_goes_on_until_it_is_interrupted(sqlite: Place) -> None:
    async with working(sqlite):
        command = [sys.executable, "-m", "pacer", "top", "--interval", "0.1"]
        default = "import os, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        default += "sys.argv = ['pacer', *sys.argv[1:]]; from pacer._cli import main; main()"
        command = [sys.executable, "-c", default, *command[3:]]
        process = await anyio.open_process(command, env=sqlite.environment, stdin=subprocess.DEVNULL)
        async with process:
            assert process.stdout is not None
            said = b""
            with anyio.fail_after(60):
                while said.count(b"\n") < 3:
                    said += await process.stdout.receive()
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
    assert all(b"idle: no job waits" in line for line in said.splitlines()[:3])


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
