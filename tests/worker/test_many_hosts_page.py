"""The page on many hosts: its commands, as typed there, on the tests' own servers and ports."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import psycopg
import pytest
from processes import Process
from servers import PASSWORD, PostgresServer, RedisServer, free_port
from waiting import until

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "many-hosts.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
RATE, CONCURRENCY, PAPERS = 10, 12, 60


@attrs.frozen(eq=False)
class Terminals:
    """Where the commands of the page are typed. What stands there for everybody is replaced by what holds here."""

    folder: Path
    here: dict[str, str]

    @classmethod
    def opened(cls, folder: Path, database: str) -> Terminals:
        for path in (DOCS / "examples" / "many_hosts").iterdir():
            shutil.copy(path, folder)
        ports = {port: str(free_port()) for port in ("8000", "8766")}
        return cls(folder, {"localhost/papers": database, **ports})

    def translated(self, text: str) -> str:
        for there, here in self.here.items():
            text = text.replace(there, here)
        return text

    def url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.here[port]}"

    def command(self, begin: str, **environment: str) -> tuple[list[str | Path], dict[str, str]]:
        """The command that begins so, with what its block sets before it."""
        block = next(block for block in BLOCKS if re.search(rf"^(\S+=\S+ )?{re.escape(begin)}", block, re.MULTILINE))
        line = next(line for line in block.splitlines() if begin in line)
        settings = dict(re.findall(r"^(?:export )?(\w+)=(\S+)", self.translated(block), re.MULTILINE))
        program, *arguments = shlex.split(self.translated(line[line.index(begin) :]))
        path = Path(sys.executable).with_name(program)
        own = {**os.environ, "LLM_BASE_URL": f"{self.url('8766')}/v1", **settings, **environment}
        return [path, *arguments], own

    def run(self, begin: str) -> str:
        """A command that ends; what it said."""
        command, environment = self.command(begin)
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def running(self, begin: str, log: str, **environment: str) -> Iterator[Process]:
        command, own = self.command(begin, **environment)
        path = self.folder / log
        with path.open("wb") as file:
            popen = subprocess.Popen(command, cwd=self.folder, env=own, stdout=file, stderr=file)
        with popen:
            try:
                yield Process(popen, path)
            finally:
                popen.kill()


def answer(method: str, url: str, **rest: Any) -> Any:
    """None while nobody serves there."""
    try:
        return httpx.request(method, url, timeout=10, **rest).raise_for_status().json()
    except httpx.TransportError:
        return None


@pytest.fixture
def papers(postgres: PostgresServer) -> Iterator[str]:
    """The database that the page makes, and whom it names there."""
    statements = (DOCS / "examples" / "many_hosts" / "roles.sql").read_text(encoding="utf-8").split(";\n")
    with psycopg.connect(postgres.dsn, autocommit=True) as admin:
        for statement in filter(None, statements):
            admin.execute(statement)
        yield f"127.0.0.1:{postgres.port}/papers"
        for what in ("DATABASE papers WITH (FORCE)", "ROLE papers", "ROLE papers_owner"):
            admin.execute(f"DROP {what}")


def most_within(seconds: float, times: Sequence[float]) -> int:
    """The most of these times, in order, in any window."""
    return max(end + 1 - bisect_left(times, times[end] - seconds) for end in range(len(times)))


def test_four_workers_the_application_and_its_database_make_one_pace(papers: str, tmp_path: Path) -> None:
    terminals = Terminals.opened(tmp_path, papers)
    assert terminals.run("pacer migrate") in terminals.translated(PAGE)
    with psycopg.connect(f"postgresql://papers_owner:choose-one@{papers}") as owner:
        owner.execute((tmp_path / "grants.sql").read_text(encoding="utf-8"))
    with ExitStack() as stack:
        for module in ("upstream", "main"):
            stack.enter_context(terminals.running(f"uvicorn {module}:app", f"{module}.log"))
        begin = "pacer worker main:scheduler"
        workers = [stack.enter_context(terminals.running(begin, f"worker{number}.log")) for number in range(4)]
        for worker in workers:
            worker.wait_for("up to 3 jobs at once of 12 over all processes, 20 s to end at a stop; tasks: analyse")
        status = f"{terminals.url('8000')}/queue/status"
        until(lambda: answer("GET", f"{terminals.url('8766')}/calls") and answer("GET", status))

        assert re.fullmatch(r"60 papers are in; the last one starts in \d+\.\d s\n", terminals.run("python hand_in.py"))
        until(lambda: answer("GET", status)["succeeded"] == PAPERS)

        calls = answer("GET", f"{terminals.url('8766')}/calls")["calls"]
        assert re.fullmatch(
            rf"{len(calls)} calls in \d+\.\d s, \d+ refused\nat most \d+ in any second\n",
            terminals.run("python pace.py"),
        )
        check_the_pace(papers, [call["at"] for call in calls])
        check_who_worked(workers, len(calls))


def check_the_pace(papers: str, arrivals: Sequence[float]) -> None:
    """In windows of 1 to 5 seconds, of what the queue has written down and of what the upstream saw."""
    with psycopg.connect(f"postgresql://papers:choose-another@{papers}") as application:
        rows = application.execute("SELECT started_at FROM pacer.pacer_jobs ORDER BY started_at").fetchall()
    starts = [at for (at,) in rows]
    assert len(starts) == PAPERS
    for window in range(1, 6):
        allowed = math.floor((window + 0.01) * RATE) + 1
        assert most_within(window, starts) <= allowed
        # However slow a process or a connection is: only what runs can still be on its way.
        assert most_within(window, arrivals) <= allowed + CONCURRENCY


def check_who_worked(workers: Sequence[Process], calls: int) -> None:
    """Each says how many runs it had; together they are the calls that the upstream saw."""
    for worker in workers:
        worker.signal(signal.SIGINT)
    assert [worker.wait() for worker in workers] == [0] * len(workers)
    lines = "\n".join(worker.last_line for worker in workers)
    runs = [int(count) for count in re.findall(r"^pacer worker: stopped by SIGINT after (\d+) run", lines, re.M)]
    assert len(runs) == len(workers)
    assert sum(runs) == calls
    assert sum(count > 0 for count in runs) >= 2


def test_the_lines_of_the_page_make_it_an_application_on_redis(redis: RedisServer, tmp_path: Path) -> None:
    (changed,) = re.findall(r"^\| Redis .* \| `(store=.*?)`, from `(\S+)` \|", PAGE, re.MULTILINE)
    line, module = changed
    store = line.removeprefix("store=").partition("(")[0]
    terminals = Terminals.opened(tmp_path, "")
    main = (tmp_path / "main.py").read_text(encoding="utf-8")
    main = re.sub(r"^from pacer.stores.*$", f"from {module} import {store}", main, flags=re.MULTILINE)
    main = re.sub(r"store=.*\)", line, main)
    (tmp_path / "main.py").write_text(main, encoding="utf-8")
    with terminals.running("pacer worker main:scheduler", "worker.log", PACER_STORE=redis.url) as worker:
        worker.wait_for("tasks: analyse")
        worker.signal(signal.SIGINT)
        assert worker.wait() == 0
    assert f"queue 'default' in {store}(redis://:***@127.0.0.1:{redis.port}/0)" in worker.said
    assert PASSWORD not in worker.said
    assert worker.last_line == "pacer worker: stopped by SIGINT after 0 runs"
