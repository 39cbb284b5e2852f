"""What `pacer worker` can be given, and what it says of all else."""

from __future__ import annotations

import logging
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from processes import Application

from pacer import Scheduler
from pacer._command_error import CommandError
from pacer._work._errors import CANNOT_START, USAGE
from pacer._work._load import load
from pacer._work._run import set_up_log
from pacer.pacing import FixedPause

HEAD = """
from pacer import Scheduler
from pacer.stores.sqlite import SqliteStore

def scheduler(**settings):
    made = Scheduler(store=SqliteStore("jobs.db"), **settings)
    made.task(print, name="print")
    return made

class App:
    queue = scheduler(name="of the app")
    def __call__(self, scope, receive, send): ...
"""

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the module of a user's application into the current directory, and gives its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before, written = set(sys.modules), []

    def write_module(text: str) -> str:
        name = f"users_module_{len(written)}_{tmp_path.name}".replace("-", "_")
        (tmp_path / f"{name}.py").write_text(HEAD + text, encoding="utf-8")
        written.append(name)
        return name

    yield write_module
    for name in set(sys.modules) - before:
        if name.startswith(("users_module", "users_package")):
            del sys.modules[name]


@pytest.mark.parametrize("attribute", ["emails", "make", "app.queue", "App.queue"])
def test_a_scheduler_is_found_where_the_user_has_it(write: Write, attribute: str) -> None:
    module = write("emails = scheduler(name='emails')\nmake = lambda: emails\napp = App()")
    found = load(f"{module}:{attribute}")
    assert isinstance(found, Scheduler)
    assert found.name == ("of the app" if "." in attribute else "emails")


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("main", "main:scheduler"),
        ("main.py", "main:scheduler"),
        ("main.py:queue", "main:queue"),
        ("app/main.py:queue", "app.main:queue"),
        ("main:", "main:scheduler"),
        (":queue", "main:queue"),
    ],
)
def test_what_does_not_name_an_attribute_of_a_module_is_wrong_usage(target: str, meant: str) -> None:
    with pytest.raises(CommandError, match=rf"did you mean {meant}\?") as refused:
        load(target)
    assert refused.value.code == USAGE


@pytest.mark.parametrize("target", ["users_modul:queue", "users_package.jobs:queue"])
def test_a_module_that_is_not_there_is_named_with_where_it_was_looked_for(write: Write, target: str) -> None:
    write("")
    Path("users_package").mkdir()
    Path("users_package/__init__.py").touch()
    with pytest.raises(
        CommandError, match=f"there is no module '{target.partition(':')[0]}', neither in {Path.cwd()} nor"
    ):
        load(target)


@pytest.mark.parametrize(
    ("attribute", "problem"),
    [
        ("skeduler", r"there is no 'skeduler' in the module \S+\. In this module: \S+:emails, \S+:letters\."),
        ("app.emails", r"there is no 'emails' in a App\. In this module"),
        ("app", r":app is a App\. Give a Scheduler, or a function without arguments that returns one\. In this"),
        ("scheduler_of", r":scheduler_of is the function scheduler_of\. Give a Scheduler"),
        ("nothing", r":nothing is None\. Give a Scheduler"),
        ("soon", r":soon is a coroutine function\. Make the scheduler in a plain one"),
        ("in_memory", r":in_memory keeps its jobs in a MemoryStore, .* such as SqliteStore\(path\)\."),
        ("idle", r"no function is registered on \S+:idle, .* imports those with @scheduler\.task in them"),
    ],
)
def test_an_attribute_that_is_no_scheduler_for_a_process_of_its_own(write: Write, attribute: str, problem: str) -> None:
    module = write(
        """
emails, letters, app = scheduler(), scheduler(), App()
in_memory = lambda: Scheduler()
idle = lambda: Scheduler(store=SqliteStore("jobs.db"))
def scheduler_of(tenant): return emails
def nothing(): return None
async def soon(): return emails
"""
    )
    with pytest.raises(CommandError, match=problem) as refused:
        load(f"{module}:{attribute}")
    assert refused.value.code == CANNOT_START


def test_a_module_without_schedulers_is_said_to_have_none(write: Write) -> None:
    with pytest.raises(CommandError, match=r"The module \S+ holds no Scheduler\."):
        load(f"{write('')}:queue")


@pytest.mark.parametrize(
    ("text", "attribute", "line", "problem"),
    [
        ("import users_missing_dependency", "x", "import users_missing_dependency", "importing {} failed"),
        ("1 / 0", "x", "1 / 0", "importing {} failed"),
        ("def make(): raise KeyError('no such setting')", "make", "raise KeyError", r"{}:make\(\) failed"),
    ],
)
def test_an_error_in_the_users_code_is_shown_with_its_lines_and_none_of_ours(
    write: Write, capsys: pytest.CaptureFixture[str], text: str, attribute: str, line: str, problem: str
) -> None:
    module = write(text)
    with pytest.raises(CommandError, match=problem.format(module)):
        load(f"{module}:{attribute}")
    shown = capsys.readouterr().err
    assert line in shown
    assert f"{module}.py" in shown
    assert "_load.py" not in shown
    assert "importlib" not in shown


def test_lines_are_logged_unless_the_application_has_set_up_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    root, logger = logging.getLogger(), logging.getLogger("pacer")
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(logger, "level", logging.NOTSET)
    set_up_log(None)
    assert (len(root.handlers), root.level, logger.level) == (1, logging.WARNING, logging.INFO)
    monkeypatch.setattr(root, "handlers", theirs := [logging.NullHandler()])
    logger.setLevel(logging.ERROR)
    set_up_log(None)
    assert (root.handlers, logger.level) == (theirs, logging.ERROR)
    set_up_log("debug")
    assert logger.level == logging.DEBUG


def test_a_store_that_cannot_be_used_is_no_start_and_one_that_cannot_be_reached_worth_another_try(
    application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = application.folder / "jobs.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE theirs (number)")
    connection.close()
    with application.worker() as process:
        assert process.wait() == 1
    assert "pacer worker: " in process.last_line
    assert "holds the tables of another application (theirs)" in process.last_line
    file.unlink()
    application.enqueue("wait_for", "never")
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    monkeypatch.setenv("PATIENCE", "0.1")
    with application.worker() as process:
        assert process.wait() == 3
    connection.close()
    assert "Somebody else holds the write lock" in process.last_line
    assert "Traceback" not in process.said


def test_other_settings_than_those_of_the_running_processes_are_no_start_unless_it_takes_over(
    application: Application,
) -> None:
    async def with_another_pace(module: Any) -> tuple[int, int]:
        module.scheduler.pacing = FixedPause(10)
        async with module.scheduler:
            with application.worker("--drain") as refused:
                first = await anyio.to_thread.run_sync(refused.wait)
                assert "is open elsewhere with other settings: pacing is FixedPause" in refused.last_line
            with application.worker("--drain", "--takeover") as process:
                return first, await anyio.to_thread.run_sync(process.wait)

    assert anyio.run(with_another_pace, application.module()) == (1, 0)


def test_wrong_usage_and_an_interrupted_import_have_the_usual_exit_codes(application: Application) -> None:
    with application.worker("--concurrency", "0") as process:
        assert process.wait() == 2
    assert "--concurrency" in process.said
    application.folder.joinpath("application.py").write_text(
        "import time\nprint('importing', flush=True)\ntime.sleep(1000)\n"
    )
    with application.worker() as process:
        process.wait_for("importing")
        process.signal(signal.SIGINT)
        assert process.wait() == 130
    assert process.said == "importing\n"
