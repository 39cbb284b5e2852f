import httpx
import pytest

from pacer import Scheduler
from pacer.feedback import report_response
from pacer.pacing import ServerGuided
from pacer.testing import rehearse
from pacer.testing.upstream import ScriptedUpstream, ok, throttled


@pytest.mark.virtual_time
async def test_we_keep_to_what_the_headers_say() -> None:
    script = [
        ok(limit=60, remaining=1, reset=30),
        ok(limit=60, remaining=0, reset=30),
        throttled(retry_after=20),
        ok(limit=60, remaining=59, reset=1),
    ]
    scheduler = Scheduler(pacing=ServerGuided())
    with ScriptedUpstream(script) as upstream, rehearse(scheduler) as rehearsal:
        client = httpx.AsyncClient(
            transport=upstream.transport,
            base_url="http://upstream",
            event_hooks={"response": [report_response]},
        )

        async def ask() -> None:
            (await client.get("/")).raise_for_status()

        async with client, scheduler:
            for _ in range(3):
                await scheduler.enqueue(ask)
            report = await rehearsal.drain()
    assert report.outcomes == ["succeeded", "succeeded", "throttled", "succeeded"]
