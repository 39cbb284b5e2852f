"""`pytest.mark.virtual_time` in projects of users: with anyio's plugin, with pytest-asyncio, and misused."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

SLEEPS = """
    before = anyio.current_time()
    await anyio.sleep(3600)
    assert anyio.current_time() - before == 3600
"""


def test_the_plugin_is_there_after_installation():
    [entry] = importlib.metadata.entry_points(group="pytest11", name="pacer")
    assert entry.load().pytest_configure


def test_loading_the_plugin_loads_nothing_of_pacer():
    code = "import sys, _pacer_pytest; print([one for one in sys.modules if one.partition('.')[0] == 'pacer'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_run_without_the_marker_loads_nothing_of_pacer_and_warns_of_nothing(project):
    project.write(
        test_it="""
import sys

def test_it():
    assert "pacer" not in sys.modules
"""
    )
    assert project.run("-W", "error").counts == {"passed": 1}


def test_the_marker_is_listed_and_known_to_strict_markers(project):
    project.write(test_it=f"import anyio, pytest\n\n@pytest.mark.virtual_time\nasync def test_it():{SLEEPS}")
    assert project.run("--strict-markers").counts == {"passed": 1}
    assert "@pytest.mark.virtual_time(*backends)" in project.run("--markers").out


def test_a_marked_test_runs_in_virtual_time_without_any_other_marker(project):
    project.write(test_it=f"import anyio, pytest\n\n@pytest.mark.virtual_time\nasync def test_it():{SLEEPS}")
    ran = project.run("-v")
    assert ran.counts == {"passed": 1}
    assert "test_it[asyncio] PASSED" in ran.out


def test_it_goes_with_anyios_marker_and_on_trio_too_if_that_is_named(project):
    project.write(
        test_it=f"""
import anyio, pytest, sniffio

pytestmark = pytest.mark.anyio

@pytest.mark.virtual_time("asyncio", "trio")
async def test_both():{SLEEPS}

@pytest.mark.virtual_time("trio")
@pytest.mark.parametrize("turn", [1, 2])
async def test_a_new_clock_for_each(turn):
    assert anyio.current_time() == 0
    await anyio.sleep(5)

async def test_in_real_time(anyio_backend_name):
    import asyncio
    if anyio_backend_name == "asyncio":
        assert "pacer" not in type(asyncio.get_running_loop()).__module__
""".replace(", sniffio", "")
    )
    ran = project.run("-v")
    assert "test_both[trio] PASSED" in ran.out
    assert ran.counts == {"passed": 6}


def test_async_fixtures_are_in_the_same_time(project):
    project.write(
        test_it="""
import anyio, pytest

@pytest.fixture
async def opened():
    await anyio.sleep(100)
    yield anyio.current_time()
    await anyio.sleep(100)

@pytest.mark.virtual_time
class TestClass:
    async def test_it(self, opened):
        assert anyio.current_time() == opened == 100

    def test_that_is_not_async(self):
        pass
"""
    )
    assert project.run().counts == {"passed": 2}


def test_it_needs_no_marker_where_anyio_takes_all_async_tests(project):
    project.ini("filterwarnings = error", "anyio_mode = auto")
    project.write(test_it=f"import anyio, pytest\n\n@pytest.mark.virtual_time\nasync def test_it():{SLEEPS}")
    assert project.run().counts == {"passed": 1}


ASYNCIO = "asyncio_default_fixture_loop_scope = function"


@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_with_pytest_asyncio(project, mode):
    project.ini("filterwarnings = error", ASYNCIO, f"asyncio_mode = {mode}")
    project.write(
        test_it=f"""
import asyncio, anyio, pytest, pytest_asyncio

@pytest_asyncio.fixture
async def opened():
    await asyncio.sleep(100)
    yield asyncio.get_running_loop().time()
    await asyncio.sleep(100)

@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_it(opened):
    assert opened == asyncio.get_running_loop().time() == 100{SLEEPS}

@pytest.mark.asyncio
@pytest.mark.virtual_time
@pytest.mark.parametrize("turn", [1, 2])
async def test_a_new_clock_for_each(turn, opened):
    assert opened == 100

@pytest.mark.asyncio
async def test_in_real_time():
    assert "pacer" not in type(asyncio.get_running_loop()).__module__
"""
    )
    assert project.run("-v", without=()).counts == {"passed": 4}


def test_in_auto_mode_of_pytest_asyncio_no_marker_of_its_own_is_needed(project):
    project.ini("filterwarnings = error", ASYNCIO, "asyncio_mode = auto")
    project.write(test_it=f"import anyio, pytest\n\n@pytest.mark.virtual_time\nasync def test_it():{SLEEPS}")
    assert project.run(without=()).counts == {"passed": 1}


def test_in_strict_mode_of_pytest_asyncio_a_test_without_its_marker_is_anyios(project):
    project.ini("filterwarnings = error", ASYNCIO)
    project.write(test_it=f"import anyio, pytest\n\n@pytest.mark.virtual_time\nasync def test_it():{SLEEPS}")
    ran = project.run("-v", without=())
    assert "test_it[asyncio] PASSED" in ran.out


def test_loop_factories_of_the_project_are_for_the_other_tests(project):
    project.ini("filterwarnings = error", ASYNCIO)
    project.write(
        conftest="""
import asyncio

class Ours(asyncio.SelectorEventLoop):
    pass

def pytest_asyncio_loop_factories(config, item):
    return {"ours": Ours}
""",
        test_it=f"""
import asyncio, anyio, pytest

@pytest.mark.asyncio
async def test_ours():
    assert type(asyncio.get_running_loop()).__name__ == "Ours"

@pytest.mark.asyncio
@pytest.mark.virtual_time
async def test_virtual():{SLEEPS}
""",
    )
    assert project.run(without=()).counts == {"passed": 2}


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (
            "@pytest.mark.virtual_time\ndef test_it(): pass",
            "is marked virtual_time but not async, so that none of its time is an event loop's",
        ),
        (
            "@pytest.mark.virtual_time('curio')\nasync def test_it(): pass",
            "has the marker virtual_time('curio'); it takes the names of event loops: 'asyncio', 'trio'",
        ),
        (
            "@pytest.mark.virtual_time(start=5)\nasync def test_it(): pass",
            "has the marker virtual_time(start=5); it takes the names of event loops",
        ),
        (
            "@pytest.mark.virtual_time\n@pytest.mark.parametrize('anyio_backend', ['trio'])\nasync def test_it(): pass",
            "is parametrized with anyio_backend; name the event loops in virtual_time(...) instead",
        ),
    ],
)
def test_a_misused_marker_is_an_error_that_says_what_to_do(project, test, message):
    project.write(test_it=f"import pytest\n\n{test}\n")
    ran = project.run()
    assert ran.code != 0
    assert message in ran.out
    assert ran.counts == {"error": 1}


def test_without_anyios_plugin_it_says_so(project):
    project.write(test_it="import pytest\n\n@pytest.mark.virtual_time\nasync def test_it(): pass\n")
    ran = project.run("-p", "no:anyio")
    assert ran.code != 0
    assert "test_it is marked virtual_time, which needs anyio's pytest plugin" in ran.out


def test_a_loop_on_which_nothing_can_happen_any_more_is_a_failure_not_a_hang(project):
    project.write(
        test_it="""
import anyio, pytest

@pytest.mark.virtual_time
async def test_it():
    await anyio.Event().wait()
"""
    )
    ran = project.run()
    assert ran.code == 1
    assert "VirtualTimeError: nothing can happen any more at virtual time 0" in ran.out
