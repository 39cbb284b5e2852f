"""Every store keeps the store's contract."""

from __future__ import annotations

import pytest

from pacer.stores import MemoryStore
from pacer.testing import STORE_CHECKS, HeldStore, check_store


def memory(clock, lease):
    return MemoryStore(clock=clock, lease=lease)


@pytest.mark.anyio
@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_memory_store_keeps_the_contract(check):
    await check(memory)


@pytest.mark.anyio
async def test_a_held_memory_store_keeps_the_contract():
    await check_store(lambda clock, lease: HeldStore(memory(clock, lease)))
