import asyncio
from pathlib import Path

import anyio
import httpx
from summaries_app import create_app

from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore, run_virtual


def test_the_second_summary_is_ready_after_the_pause(tmp_path: Path) -> None:
    async def scenario() -> None:
        clock = asyncio.get_running_loop().time  # the virtual one
        store = HeldStore(SqliteStore(tmp_path / "jobs.db", clock=clock))
        app = create_app(store)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app), base_url="http://app"
            ) as client,
        ):
            await client.post("/summaries", params={"text": "One fish"})
            answer = await client.post("/summaries", params={"text": "Two fish"})
            job = f"/queue/jobs/{answer.json()['job_id']}"
            await anyio.sleep(49)
            assert (await client.get(job)).json()["state"] == "running"
            await anyio.sleep(2)  # 20 s of work, 10 s of pause, 20 s of work
            assert (await client.get(job)).json()["result"] == "Two"

    run_virtual(scenario)
