import anyio
import httpx

from pacer import Scheduler
from pacer.demo.upstream import Limits, create_upstream
from pacer.feedback import report_response
from pacer.pacing import ServerGuided

# The same stand-in. It says in x-ratelimit headers what is left of the minute.
stand_in = create_upstream(Limits(requests=20, burst=20))
client = httpx.AsyncClient(
    transport=httpx.ASGITransport(stand_in),
    base_url="http://chat.example/v1",
    headers={"Authorization": "Bearer stand-in"},
    event_hooks={"response": [report_response]},  # this is all that ServerGuided needs
)
scheduler = Scheduler(pacing=ServerGuided(), concurrency=4)


@scheduler.task
async def ask(question: str) -> str:
    message = {"role": "user", "content": question}
    body = {"model": "m", "messages": [message]}
    answer = await client.post("/chat/completions", json=body)
    answer.raise_for_status()
    return str(answer.json()["choices"][0]["message"]["content"])


async def main() -> None:
    async with scheduler:
        for number in range(30):
            await scheduler.enqueue(ask, f"Question {number}")
        await anyio.sleep(60)
        status = await scheduler.status()
        print(f"after a minute: {status.succeeded} succeeded")
        print("waiting for:", status.waiting_for)
        await scheduler.drain()
        status = await scheduler.status()
    print(f"{status.succeeded} succeeded, sent back: {status.throttled}")


if __name__ == "__main__":
    anyio.run(main)
