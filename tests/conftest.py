"""How async tests run: in virtual time, on asyncio and on trio, unless a marker says otherwise. And their servers.

Files are kept in memory where there is room, and gone after the run: databases are told to write each commit to the
disk, and on a disk most of the time would go there. `--basetemp` or TMPDIR takes another place.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from servers import PostgresServer, RedisServer

from pacer.testing import VirtualTimeLoop

# How long an example takes is a matter of the machine, and of what else it does.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "real_time: sockets, subprocesses, threads: the event loop's clock is the real one"
    )
    config.addinivalue_line(
        "markers", "asyncio_only: uses something that does not run on trio (a database driver, uvicorn)"
    )
    # The processes of xdist inherit the place from the one that starts them.
    if not hasattr(config, "workerinput") and not config.option.basetemp and "TMPDIR" not in os.environ:
        keep_files_in_memory(config)


def keep_files_in_memory(config: pytest.Config) -> None:
    """Until the end of the run, if this machine has a file system in memory that is large enough for all tests."""
    memory, room = Path("/dev/shm"), 4e9
    if not memory.is_dir():
        return
    found = os.statvfs(memory)
    # Programs are run from there, too.
    if found.f_flag & os.ST_NOEXEC or not os.access(memory, os.W_OK) or found.f_bavail * found.f_frsize < room:
        return
    os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix="pacer-tests-", dir=memory)
    os.chmod(tempfile.tempdir, 0o755)  # PostgreSQL runs as another user than root
    config.add_cleanup(lambda: shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One process more than there are cores: tests that wait for other processes leave theirs to others."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    return len(os.sched_getaffinity(0)) + 1 if hasattr(os, "sched_getaffinity") else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each async test on both event loops; on asyncio alone where it is marked so."""
    if "anyio_backend" not in metafunc.fixturenames:
        return
    if any("anyio_backend" in str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize")):
        return
    backends = ["asyncio"] if metafunc.definition.get_closest_marker("asyncio_only") else ["asyncio", "trio"]
    metafunc.parametrize("anyio_backend", backends, indirect=True)


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """The event loop of one test; a new clock for each, which starts at 0."""
    name = request.param
    if request.node.get_closest_marker("real_time"):
        return name
    if name == "trio":
        from trio.testing import MockClock

        return name, {"clock": MockClock(autojump_threshold=0)}
    return name, {"loop_factory": VirtualTimeLoop}


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL for all tests that leave it running; each takes a schema of its own (`postgres_schema`)."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """One Redis for all tests that leave it running; each takes a prefix of its own (`redis_prefix`)."""
    with RedisServer() as server:
        yield server


_fresh = itertools.count(1)


@pytest.fixture
def postgres_schema() -> str:
    """The name of a schema that is not there yet; one that works only in quotes."""
    return f'Pacer "{next(_fresh)}"'


@pytest.fixture
def redis_prefix() -> str:
    """A prefix that no key has yet."""
    return f"pacer-{next(_fresh)}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulated run that does not end is given up after fewer steps than the usual ones."""
    from pacer.simulation import _calm, _run

    for module in (_calm, _run):
        monkeypatch.setattr(module, "MOST_STEPS", 5_000)
