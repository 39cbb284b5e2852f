"""Where a package of an extra is missing, pacer says which extra to install."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest

from pacer._extras import ExtraMissingError, needed

HERE = Path(__file__).parent
PROJECT = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
FOR_DEVELOPERS = {"bench", "dev", "docs", "test"}
EXTRAS = {name: needs for name, needs in PROJECT["optional-dependencies"].items() if name not in FOR_DEVELOPERS}
# What the packages of an extra need themselves, as far as pacer imports it, too.
BROUGHT = {"fastapi": {"pydantic", "starlette"}}


def packages_of(extra: str) -> set[str]:
    """What can be imported with this extra."""
    found = set(BROUGHT.get(extra, ()))
    for requirement in EXTRAS[extra]:
        if within := re.match(r"pacer-scheduler\[(.*)\]", requirement):
            found |= set().union(*map(packages_of, within[1].split(",")))
        elif name := re.match(r"[\w-]+", requirement):
            found.add(name[0].removesuffix("-api").replace("-", "_"))
    return found


PACKAGES = {extra: packages_of(extra) for extra in EXTRAS}


@pytest.fixture(scope="module")
def refusals() -> list[tuple[list[str], str, str, str | None, str]]:
    """What fails without all of the packages, and without each: which, what, the error's class, name and message."""
    packages = sorted(set().union(*PACKAGES.values()))
    assert [name for name in packages if find_spec(name) is None] == []
    command = [sys.executable, str(HERE / "without_extras.py"), json.dumps(packages)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_whatever_cannot_be_imported_without_an_extra_says_which_one_to_install(refusals):
    silent = []
    for absent, what, kind, name, message in refusals:
        said = re.fullmatch(r"the package '(.*)' is missing; install it with: pip install '(.*)\[(.*)\]'", message)
        told = said and said[1] == name and said[2] == PROJECT["name"] and name in PACKAGES.get(said[3], ())
        if kind != "ExtraMissingError" or name not in absent or not told:
            silent.append((absent, what, kind, name, message))
    assert silent == []


def test_each_extra_is_needed_somewhere(refusals):
    told = {message.rpartition("[")[2].removesuffix("]'") for *_, message in refusals}
    assert told == set(EXTRAS) - {"cli", "plot"}  # of which the command line tells in its own tests


@pytest.mark.parametrize(
    ("what", "extra"),
    [
        ("pacer.fastapi", "fastapi"),
        ("pacer.dashboard", "fastapi"),
        ("pacer.demo.app", "demo"),
        ("pacer.stores.redis", "redis"),
        ("AppClock", "fastapi"),
        ("cron", "cron"),
    ],
)
def test_the_smallest_extra_that_brings_it_is_named(refusals, what, extra):
    told = {message.rpartition("[")[2].removesuffix("]'") for _, one, *_, message in refusals if one == what}
    assert told == {extra}


def test_it_is_a_module_not_found_error_with_the_name_of_the_package():
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'pacer-scheduler\[redis\]'") as raised, needed("redis"):
        raise ModuleNotFoundError(name="redis")
    assert raised.value.name == "redis"


def test_of_two_extras_the_one_that_was_asked_for_first_is_named():
    with pytest.raises(ExtraMissingError, match=r"\[demo\]'"), needed("demo"), needed("fastapi"):
        raise ModuleNotFoundError(name="fastapi")


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("gone", name="pacer.demo._gone"),
        ModuleNotFoundError("another version", name="redis.asyncio.gone"),
        ModuleNotFoundError("raised by hand"),
        ImportError("no pq wrapper available", name="psycopg"),
        ImportError("cannot import name 'gone'", name="fastapi"),
        RuntimeError("it does not work here"),
    ],
    ids=str,
)
def test_errors_of_other_causes_pass(error):
    with pytest.raises(type(error)) as raised, needed("redis"):
        raise error
    assert raised.value is error
