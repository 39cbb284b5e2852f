"""What the tests of worker processes share."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import Application


@pytest.fixture
def application(tmp_path: Path) -> Application:
    return Application.copied_to(tmp_path)
