import os

import anyio
from openai import AsyncOpenAI

from pacer import Scheduler, current_job
from pacer.pacing import Budget, TokenBucket

client = AsyncOpenAI(
    base_url=os.environ.get("LLM_BASE_URL", "http://127.0.0.1:8766/v1"),
    api_key=os.environ.get("LLM_API_KEY", "stand-in"),
    max_retries=0,  # the queue tries again, for all jobs at once
)
# 60 requests and 100,000 tokens in any minute: half of the tokens, see Budget.
scheduler = Scheduler(
    pacing=TokenBucket(60, per=60) & Budget(50_000, per=60), concurrency=20
)


@scheduler.task
async def ask(text: str) -> str | None:
    completion = await client.chat.completions.create(
        model="qwen-plus", messages=[{"role": "user", "content": text}]
    )
    if usage := completion.usage:  # what it really was instead of what was expected
        current_job().report(cost={"requests": 1, "tokens": usage.total_tokens})
    return completion.choices[0].message.content


async def main() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 100
    expected = {"requests": 1, "tokens": len(text) / 4 + 500}  # a rough guess will do
    async with scheduler:
        before = anyio.current_time()
        for number in range(50):
            job = scheduler.options(cost=expected)
            await job.enqueue(ask, f"{number}. {text}")
        await scheduler.drain()
        took = anyio.current_time() - before
        status = await scheduler.status()
    print(f"{status.succeeded} succeeded, sent back: {status.throttled}, {took:.0f} s")


if __name__ == "__main__":
    anyio.run(main)
