"""Fixtures of a SQLite file on a manual clock, and of rules to open it with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlite_files import File, job, make_rules

from pacer._job import JobRecord
from pacer._rules import Rules


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "jobs.db")


@pytest.fixture
def make_job() -> Callable[..., JobRecord]:
    return job


@pytest.fixture
def rules() -> Callable[..., Rules]:
    return make_rules
