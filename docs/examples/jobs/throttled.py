import anyio
import httpx

from pacer import Scheduler, Throttled
from pacer.backoff import ExponentialBackoff
from pacer.pacing import FixedPause

scheduler = Scheduler(pacing=FixedPause(10), backoff=ExponentialBackoff(15))
upstream = httpx.AsyncClient(base_url="http://127.0.0.1:8001")


@scheduler.task
async def fetch(item: int) -> str:
    response = await upstream.get(f"/items/{item}")
    if response.status_code == 429:
        wait = response.headers.get("Retry-After")
        # Without a time, the backoff policy says how long.
        raise Throttled(float(wait) if wait else None, reason="429 from the upstream")
    response.raise_for_status()
    return response.text


async def main() -> None:
    async with scheduler:
        receipts = [await scheduler.enqueue(fetch, item) for item in (1, 2)]
        for receipt in receipts:
            print(await scheduler.wait(receipt), "at", anyio.current_time())
        status = await scheduler.status()
        print(f"{status.succeeded} succeeded, {status.throttled} throttled")
