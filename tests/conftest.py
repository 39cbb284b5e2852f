"""How async tests run: in virtual time, on asyncio and on trio, unless a marker says otherwise."""

from __future__ import annotations

from typing import Any

import pytest

from pacer.testing import VirtualTimeLoop


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "real_time: sockets, subprocesses, threads: the event loop's clock is the real one"
    )
    config.addinivalue_line(
        "markers", "asyncio_only: uses something that does not run on trio (a database driver, uvicorn)"
    )


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
