"""What the SQL of SQLite has to be for every Python that pacer runs on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pacer.stores

MODULES = sorted(Path(pacer.stores.__path__[0]).glob("*sqlite*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_placeholders_have_no_numbers(module: Path) -> None:
    """Python 3.12 warns of `?1` with a sequence of values, and 3.14 refuses it."""
    assert not re.findall(r"\?\d", module.read_text(encoding="utf-8"))


def test_there_is_something_to_look_at() -> None:
    assert len(MODULES) > 5
