"""A guest leaves to the workers what they have to tell of."""

from __future__ import annotations

import pytest
from memory_server import MemoryServerStore

from pacer.stores import MemoryStore
from pacer.stores.sqlite import SqliteStore
from pacer.testing._store_desk import ids, set_up

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


@pytest.fixture(params=["memory", "sqlite", "server"])
def factory(request, tmp_path):
    return {
        "memory": lambda clock, lease: MemoryStore(clock=clock, lease=lease),
        "sqlite": lambda clock, lease: SqliteStore(tmp_path / "jobs.db", clock=clock, lease=lease),
        "server": lambda clock, lease: MemoryServerStore(clock, lease=lease, given=True),
    }[request.param]


async def test_jobs_that_have_expired_are_told_of_by_a_worker_whoever_looks_first(factory):
    async with set_up(factory) as desk:
        await desk.add("j1", "j2", expires=5.0)
        async with desk.open("guest", guest=True) as guest:
            desk.clock.advance(6)
            await guest.snapshot()
            await guest.set_paused(True)
            assert await guest.position("j2") in (2, None), "where it is, or that it is gone"
        assert ids((await desk.a.expire()).jobs) == ["j1", "j2"]
