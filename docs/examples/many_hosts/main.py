import os

from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

from pacer import BoundedQueue, Scheduler
from pacer.backoff import ExponentialBackoff
from pacer.estimators import MovingAverage
from pacer.fastapi import (
    ReceiptView,
    install_error_handlers,
    lifespan,
    problem_responses,
    queue_router,
)
from pacer.pacing import TokenBucket
from pacer.stores.postgres import PostgresStore

client = AsyncOpenAI(
    base_url=os.environ.get("LLM_BASE_URL", "http://127.0.0.1:8766/v1"),
    api_key=os.environ.get("LLM_API_KEY", "stand-in"),
    max_retries=0,
)
chat = client.chat.completions
scheduler = Scheduler(
    queue=BoundedQueue(500),
    pacing=TokenBucket(10),  # starts a second, of all processes together
    backoff=ExponentialBackoff(15, maximum=300, after=2),
    estimator=MovingAverage(initial=1),
    store=PostgresStore(os.environ["PACER_STORE"]),
    concurrency=12,  # jobs at once, of all processes together
    worker_concurrency=0,  # this process runs none of them
)
app = FastAPI(lifespan=lifespan(scheduler))
app.include_router(queue_router(scheduler, include_results=True))
install_error_handlers(app)


class Paper(BaseModel):
    number: str
    text: str


@scheduler.task(name="analyse", timeout=120)
async def analyse(text: str) -> str | None:
    completion = await chat.create(
        model="qwen-plus", messages=[{"role": "user", "content": text}]
    )
    return completion.choices[0].message.content


@app.post("/papers", status_code=202, responses=problem_responses(429, 503))
async def submit(paper: Paper) -> ReceiptView:
    job = scheduler.options(job_id=paper.number)
    return ReceiptView.of(await job.enqueue(analyse, paper.text))
