import anyio
import httpx

from pacer import Scheduler
from pacer.demo.upstream import Limits, create_upstream

# A stand-in for a chat service, in this process: 20 requests in any minute.
stand_in = create_upstream(Limits(requests=20, burst=20))
client = httpx.AsyncClient(
    transport=httpx.ASGITransport(stand_in),
    base_url="http://chat.example/v1",
    headers={"Authorization": "Bearer stand-in"},
)
scheduler = Scheduler(concurrency=4)  # no pace at all: the refusals set it


@scheduler.task
async def ask(question: str) -> str:
    message = {"role": "user", "content": question}
    body = {"model": "m", "messages": [message]}
    answer = await client.post("/chat/completions", json=body)
    answer.raise_for_status()  # the exception for a 429 says "not now" by itself
    return str(answer.json()["choices"][0]["message"]["content"])


async def main() -> None:
    async with scheduler:
        before = anyio.current_time()
        for number in range(30):
            await scheduler.enqueue(ask, f"Question {number}")
        await scheduler.drain()
        status = await scheduler.status()
        took = anyio.current_time() - before
    print(f"{status.succeeded} succeeded, {status.failed} failed in {took:.0f} s")
    print(f"{status.throttled} runs were sent back, and ran again in their turn")


if __name__ == "__main__":
    anyio.run(main)
