"""What the scheduler tests share."""

from __future__ import annotations

import pytest

from pacer.testing import Recorder


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()
