"""What surrounds the commands: help, completion, and what they load."""

from __future__ import annotations

import sys

import anyio
import pytest
from command_line import Place
from queues import scheduler_on, working

from pacer import JobState
from pacer.pacing import FixedPause

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

COMMANDS = [
    *("status", "jobs", "job", "top", "export", "doctor"),
    *("enqueue", "cancel", "retry", "pause", "resume", "end-hold", "set"),
    *("worker", "migrate", "compare", "simulate", "demo"),
]


async def completed(place: Place, typed: str) -> list[str]:
    """What bash is offered."""
    words = ["pacer", *typed.split(" ")]
    asked = {"_PACER_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = await place.pacer(environment=asked)
    return sorted(done.lines)


async def test_a_shell_completes_commands_states_queues_jobs_functions_and_numbers(sqlite: Place) -> None:
    async with scheduler_on(sqlite, name="other"), working(sqlite, name="papers", pacing=FixedPause(1)) as queue:
        running = await queue.enqueue(job_id="doc-1")
        await queue.until(JobState.RUNNING, running)
        await queue.enqueue(job_id="doc-2")
        assert await completed(sqlite, "st") == ["status"]
        assert await completed(sqlite, "") == sorted(COMMANDS)
        assert await completed(sqlite, "jobs --state s") == ["stale", "succeeded"]
        assert await completed(sqlite, "status --queue ") == ["other", "papers"]
        assert await completed(sqlite, "status --queue pa") == ["papers"]
        papers = ["--queue", "papers"]
        assert await completed(sqlite, f"job {' '.join(papers)} doc") == ["doc-1", "doc-2"]
        assert await completed(sqlite, f"enqueue {' '.join(papers)} w") == ["work"]
        assert await completed(sqlite, f"set {' '.join(papers)} pacing.") == ["pacing.seconds="]
        assert await completed(sqlite, f"status --store {sqlite.url} --queue o") == ["other"]


async def test_a_store_that_is_not_there_completes_nothing_and_says_nothing(sqlite: Place) -> None:
    asked = {"_PACER_COMPLETE": "complete_bash", "COMP_WORDS": "pacer status --queue ", "COMP_CWORD": "3"}
    for url in ("redis://127.0.0.1:1/0", "nonsense", "sqlite:///none.db"):
        done = await sqlite.pacer(environment={**asked, "PACER_STORE": url})
        assert (done.out.strip(), done.err) == ("", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_can_be_installed(sqlite: Place, shell: str) -> None:
    asked = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    shown = await sqlite.pacer("--show-completion", shell, environment=asked)
    assert (shown.code, "_PACER_COMPLETE" in shown.out) == (0, True)


async def test_help_lists_all_commands_and_says_the_exit_codes_of_each(sqlite: Place) -> None:
    listed = (await sqlite.pacer("--help")).out
    assert [name for name in COMMANDS if f"│ {name} " not in listed] == []
    for name in COMMANDS[: COMMANDS.index("worker")]:
        shown = await sqlite.pacer(name, "--help")
        assert shown.code == 0
        assert "Exit codes: 0 " in shown.out
        assert max(map(len, shown.lines)) <= 80


async def test_a_wrong_command_is_told_what_there_is(sqlite: Place) -> None:
    done = await sqlite.pacer("staus")
    assert (done.code, "Did you mean 'status'" in done.err) == (2, True)


async def test_a_command_loads_what_it_needs_and_no_more(sqlite: Place) -> None:
    """Who types it waits for all of it."""
    async with scheduler_on(sqlite):
        code = (
            "import atexit, sys; atexit.register(lambda: sys.stderr.write(' '.join(sys.modules))); "
            "sys.argv = ['pacer', 'status']; from pacer._cli import main; main()"
        )
        clean = {name: value for name, value in sqlite.environment.items() if not name.startswith("COVERAGE_")}
        done = await anyio.run_process([sys.executable, "-c", code], env=clean, cwd=sqlite.folder)
    loaded = set(done.stderr.decode().split())
    unwanted = {"pacer.simulation", "pacer._compare._command", "pacer.demo", "pacer.dashboard", "pacer._work._run"}
    unwanted |= {"psycopg", "redis", "fastapi", "matplotlib", "numpy", "uvicorn", "rich.table", "rich.console"}
    assert not loaded & unwanted
    assert "pacer._operate._status" in loaded
