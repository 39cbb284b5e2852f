"""The commands as people run them: in processes of their own, with and without a terminal."""

from __future__ import annotations

import atexit
import functools
import json
import os
import pty
import select
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs

from pacer.protocols import Store
from pacer.stores._from_url import StoreUrl


@attrs.frozen
class Done:
    """What came of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


_TURN = threading.Lock()


@functools.cache
def _parent() -> subprocess.Popen[str]:
    """A process that has imported the commands, and makes a new one of itself for each that is run."""
    script = Path(__file__).with_name("parent.py")
    process = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8"
    )
    atexit.register(process.communicate)
    return process


def forked(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Done:
    """Run a command in a process of its own, which need not import everything first."""
    with _TURN, tempfile.TemporaryDirectory() as name:
        parent, out, err = _parent(), Path(name, "out"), Path(name, "err")
        request = [list(arguments), dict(environment), str(folder), str(out), str(err)]
        assert parent.stdin is not None
        assert parent.stdout is not None
        parent.stdin.write(json.dumps(request) + "\n")
        parent.stdin.flush()
        code = int(parent.stdout.readline())
        return Done(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


@attrs.frozen
class Place:
    """A store, empty at first, and how the command line names it."""

    kind: str
    url: str
    within: str | None = None
    folder: Path = Path()

    def store(self, **settings: Any) -> Store:
        """As an application would have it."""
        url = StoreUrl.parse(self.url)
        if self.within is not None:
            settings["schema" if self.kind == "postgres" else "prefix"] = self.within
        return url.store(**settings)

    @property
    def environment(self) -> dict[str, str]:
        """In which a command finds it."""
        drop = ("PACER_STORE", "PACER_QUEUE", "PACER_WITHIN", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
        own = {name: value for name, value in os.environ.items() if name not in drop}
        own |= {"PACER_STORE": self.url, **({"PACER_WITHIN": self.within} if self.within else {})}
        return own

    async def pacer(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Done:
        """Run it without a terminal."""
        done = await anyio.to_thread.run_sync(
            forked, arguments, {**self.environment, **(environment or {})}, self.folder
        )
        assert "Traceback" not in done.err, done.err
        return done

    async def on_terminal(
        self, *arguments: str, keys: str = "", when: str = "", environment: Mapping[str, str] | None = None
    ) -> Done:
        """Run it on a terminal of 80 columns, and type `keys` once `when` is shown. All is on one stream."""
        return await anyio.to_thread.run_sync(self._on_terminal, arguments, keys, when, environment or {})

    def _on_terminal(self, arguments: tuple[str, ...], keys: str, when: str, more: Mapping[str, str]) -> Done:
        ours, theirs = pty.openpty()
        environment = {**self.environment, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "30", **more}
        command = [sys.executable, "-m", "pacer", *arguments]
        with subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=self.folder, close_fds=True
        ) as process:
            os.close(theirs)
            shown = _conversation(ours, keys, when)
            code = process.wait(timeout=60)
        os.close(ours)
        return Done(code, shown, "")


def _conversation(terminal: int, keys: str, when: str) -> str:
    shown, left = b"", keys
    while True:
        ready, _, _ = select.select([terminal], [], [], 60)
        assert ready, f"nothing more is shown: {shown!r}"
        try:
            block = os.read(terminal, 4096)
        except OSError:  # so a terminal says that nobody writes to it any more
            block = b""
        if not block:
            return shown.decode()
        shown += block
        if left and when.encode() in shown:
            os.write(terminal, left.encode())
            left = ""
