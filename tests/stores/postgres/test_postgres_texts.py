"""What PostgreSQL's text cannot hold is refused for the job that brings it, and for no other."""

from __future__ import annotations

import anyio
import pytest

from pacer import NotEncodableError, Scheduler
from pacer.stores.postgres import PostgresStore

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]


@pytest.mark.parametrize(
    "options", [{"key": "a\0b"}, {"job_id": "a\0b"}, {"unique": "a\0b"}], ids=lambda one: next(iter(one))
)
async def test_a_nul_character_is_refused_and_named(postgres, postgres_schema, options):
    async with Scheduler(store=PostgresStore(postgres.dsn, schema=postgres_schema)) as scheduler:

        @scheduler.task(name="work")
        async def work(): ...

        async def refused():
            with pytest.raises(NotEncodableError, match="NUL character"):
                await scheduler.options(**options).enqueue(work)

        async def taken():
            await scheduler.wait(await scheduler.enqueue(work))

        async with anyio.create_task_group() as task_group:  # in one commit
            for one in (taken, refused, taken):
                task_group.start_soon(one)
