"""Real worker processes for tests, and the web process that feeds them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import anyio
import attrs
from waiting import until

T = TypeVar("T")
APPLICATION = Path(__file__).with_name("application.py")


# Whoever runs the tests may ignore these signals, as a shell makes its background do, and children inherit that.
_WITH_SIGNALS = (
    sys.executable,
    "-c",
    (
        "import os, signal, sys; [signal.signal(one, signal.SIG_DFL) for one in (signal.SIGHUP, signal.SIGINT)]; "
        "os.execvp(sys.argv[1], sys.argv[1:])"
    ),
)


@attrs.define(eq=False)
class Process:
    """A command that runs, and what it has said so far, on both streams."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    @property
    def last_line(self) -> str:
        return self.said.splitlines()[-1]

    def wait_for(self, text: str) -> None:
        def look() -> bool:
            ended = self.popen.poll() is not None
            assert text in self.said or not ended, f"it ended without {text!r}: {self.said}"
            return text in self.said

        until(look)

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def wait(self) -> int:
        return self.popen.wait(60)


@attrs.frozen(eq=False)
class Application:
    """A directory with the user's application in it."""

    folder: Path

    @classmethod
    def copied_to(cls, folder: Path) -> Application:
        shutil.copy(APPLICATION, folder / "application.py")
        return cls(folder)

    @contextmanager
    def worker(self, *options: str, before: tuple[str, ...] = ()) -> Iterator[Process]:
        """`pacer worker application:scheduler` in this directory; `before` is a command that starts it."""
        command = [*_WITH_SIGNALS, *before, sys.executable, "-m", "pacer", "worker", "application:scheduler", *options]
        log = self.folder / "worker.log"
        # A directory of the user's is not on the path by itself.
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        with (
            log.open("wb") as file,
            subprocess.Popen(
                command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            ) as popen,
        ):
            try:
                yield Process(popen, log)
            finally:
                popen.send_signal(signal.SIGKILL)

    def drain(self) -> str:
        """Work until nothing is left; what was said."""
        with self.worker("--drain") as process:
            assert process.wait() == 0, process.said
            return process.said

    def ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """What the web process answers: its module, with the scheduler running."""
        module = self.module()

        async def main() -> T:
            async with module.scheduler:
                return await question(module)

        return anyio.run(main)

    def module(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("application", self.folder / "application.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def enqueue(self, task: str, *arguments: Any) -> str:
        async def put(module: Any) -> str:
            receipt = await module.scheduler.enqueue(getattr(module, task), *arguments)
            return str(receipt.job_id)

        return self.ask(put)

    def job(self, job_id: str) -> Any:
        return self.ask(lambda module: module.scheduler.job(job_id))

    def tell(self, file: str) -> None:
        """Let a job end that waits for this file."""
        (self.folder / file).touch()
