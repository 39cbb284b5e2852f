"""The pytest plugin of pacer. Every run of pytest loads it where pacer is installed, and so it imports nothing of it.

It adds one marker, `virtual_time`, and does nothing in runs without it, but for showing what the queue of a rehearsal
did that a test has failed with. It stands beside the package, because importing a module of it would load all of pacer.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Generator, Mapping
from typing import Any

import pytest

_BACKENDS = ("asyncio", "trio")
_MARKER = (
    "virtual_time(*backends): run this async test in virtual time, where waiting takes no time; on asyncio, or on the "
    "event loops that are named: 'asyncio', 'trio' (pacer)"
)


def pytest_configure(config: pytest.Config) -> None:
    """Say what the marker is, and go along with pytest-asyncio."""
    config.addinivalue_line("markers", _MARKER)
    if config.pluginmanager.has_plugin("asyncio"):
        config.pluginmanager.register(_WithPytestAsyncio(), "pacer-with-pytest-asyncio")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Have a marked test run by anyio's plugin, unless pytest-asyncio does."""
    if not collector.istestfunction(obj, name) or not inspect.iscoroutinefunction(_inner(obj)):
        return
    own = {mark.name for mark in getattr(obj, "pytestmark", ())}
    if "virtual_time" not in own and collector.get_closest_marker("virtual_time") is None:
        return
    if "asyncio" in own or collector.get_closest_marker("asyncio") or _asyncio_takes_all(collector.config):
        return
    if not collector.config.pluginmanager.has_plugin("anyio"):
        msg = f"{name} is marked virtual_time, which needs anyio's pytest plugin; do not switch it off (-p no:anyio)"
        raise pytest.UsageError(msg)
    pytest.mark.usefixtures("anyio_backend")(obj)  # as anyio's own marker does


def _inner(obj: Any) -> Any:
    return obj.hypothesis.inner_test if hasattr(obj, "hypothesis") else obj


def _asyncio_takes_all(config: pytest.Config) -> bool:
    if not config.pluginmanager.has_plugin("asyncio"):
        return False
    return "auto" in (config.getoption("asyncio_mode", default=None) or config.getini("asyncio_mode"))


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give marked tests an event loop with a virtual clock, a new one for each."""
    marker = metafunc.definition.get_closest_marker("virtual_time")
    if marker is None:
        return
    backends = _backends(metafunc, marker)
    if "anyio_backend" in metafunc.fixturenames:
        _check_not_parametrized(metafunc)
        values = [_on_asyncio() if name == "asyncio" else _ON_TRIO for name in backends]
        metafunc.parametrize("anyio_backend", values, ids=backends, scope="function")
    elif _run_by_pytest_asyncio(metafunc):
        if backends != ["asyncio"]:
            problem = "is run by pytest-asyncio, which knows asyncio only; mark it with anyio for other event loops"
            _refuse(metafunc, problem)
        if not hasattr(metafunc.config.hook, "pytest_asyncio_loop_factories"):
            _refuse(metafunc, "is run by pytest-asyncio, of which virtual_time needs 1.4 or newer")
    else:
        _check_async(metafunc)


def _backends(metafunc: pytest.Metafunc, marker: pytest.Mark) -> list[str]:
    backends = list(marker.args or ("asyncio",))
    if marker.kwargs or any(name not in _BACKENDS for name in backends):
        given = ", ".join([*map(repr, marker.args), *(f"{name}={value!r}" for name, value in marker.kwargs.items())])
        _refuse(metafunc, f"has the marker virtual_time({given}); it takes the names of event loops: 'asyncio', 'trio'")
    if "trio" in backends and importlib.util.find_spec("trio") is None:
        _refuse(metafunc, "is to run on trio, which is not installed")
    return backends


def _check_not_parametrized(metafunc: pytest.Metafunc) -> None:
    for mark in metafunc.definition.iter_markers("parametrize"):
        if mark.args and "anyio_backend" in mark.args[0]:
            _refuse(metafunc, "is parametrized with anyio_backend; name the event loops in virtual_time(...) instead")


def _check_async(metafunc: pytest.Metafunc) -> None:
    own = {mark.name for mark in metafunc.definition.own_markers}
    if "virtual_time" in own and not inspect.iscoroutinefunction(_inner(metafunc.function)):
        _refuse(
            metafunc,
            "is marked virtual_time but not async, so that none of its time is an event loop's. Make it async, or use "
            "pacer.testing.run_virtual, or pacer.testing.AppClock with a TestClient",
        )


def _refuse(metafunc: pytest.Metafunc, problem: str) -> None:
    pytest.fail(f"{metafunc.definition.nodeid} {problem}.", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Make the clock of a test on trio: it can be used once only, and parameters are shared by tests."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    if params.get("anyio_backend") == _ON_TRIO:
        from trio.testing import MockClock  # noqa: PLC0415 - trio is optional

        params["anyio_backend"] = ("trio", {"clock": MockClock(autojump_threshold=0)})


def _on_asyncio() -> Any:
    from pacer.testing import VirtualTimeLoop  # noqa: PLC0415 - only where it is used

    return "asyncio", {"loop_factory": VirtualTimeLoop}


_ON_TRIO = ("trio", {"clock": "made anew for each test"})


# -- pytest-asyncio --------------------------------------------------------------------------------------------------


def _run_by_pytest_asyncio(metafunc: pytest.Metafunc) -> bool:
    if not inspect.iscoroutinefunction(_inner(metafunc.function)):
        return False
    if not metafunc.config.pluginmanager.has_plugin("asyncio"):
        return False
    marked = metafunc.definition.get_closest_marker("asyncio") is not None
    return marked or _asyncio_takes_all(metafunc.config)


class _WithPytestAsyncio:
    """Is there where pytest-asyncio is."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> Generator[None, None, None]:
        """Say which event loop it is, while a marked test is being collected.

        With such a hook in place for longer, pytest-asyncio would ask it for the event loops of all tests.
        """
        marked = metafunc.definition.get_closest_marker("virtual_time") is not None
        if not (marked and _run_by_pytest_asyncio(metafunc)):
            return (yield)
        plugins, factories = metafunc.config.pluginmanager, _LoopFactories()
        plugins.register(factories)
        try:
            return (yield)
        finally:
            plugins.unregister(factories)


class _LoopFactories:
    @pytest.hookimpl(tryfirst=True)
    def pytest_asyncio_loop_factories(self, config: pytest.Config, item: pytest.Item) -> Mapping[str, Any]:
        from pacer.testing import VirtualTimeLoop  # noqa: PLC0415 - only where it is used

        return {"virtual": VirtualTimeLoop}


# -- what a failure shows --------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With a failure, show what the queues did that are being rehearsed in fixtures."""
    report = yield
    rehearsals = sys.modules.get("pacer.testing._rehearsal")
    if report.when == "call" and report.failed and rehearsals is not None:
        for rehearsal in rehearsals.opened:
            report.sections.append((f"What the queue {rehearsal.name!r} did", str(rehearsal.report)))
    return report
