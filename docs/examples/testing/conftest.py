"""Of the tests of an application with tables of its own, read through aiosqlite."""

from collections.abc import Iterator

import aiosqlite
import pytest

from pacer.testing import holding


@pytest.fixture(autouse=True)
def database_takes_no_time() -> Iterator[None]:
    with holding(aiosqlite.Connection):
        yield
