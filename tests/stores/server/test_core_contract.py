"""What PostgreSQL and Redis have in common keeps the store's contract."""

from __future__ import annotations

import pytest
from memory_server import MemoryServerStore

from pacer.testing import STORE_CHECKS


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_a_queue_on_a_server_keeps_the_contract(check):
    await check(MemoryServerStore)
