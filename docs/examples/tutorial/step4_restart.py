import os

from fastapi import FastAPI
from openai import AsyncOpenAI, RateLimitError
from pydantic import BaseModel

from pacer import BoundedQueue, Scheduler, Throttled
from pacer.backoff import ExponentialBackoff
from pacer.estimators import MovingAverage
from pacer.fastapi import (
    ReceiptView,
    install_error_handlers,
    lifespan,
    problem_responses,
    queue_router,
)
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore

client = AsyncOpenAI(
    base_url=os.environ.get("LLM_BASE_URL", "http://127.0.0.1:8766/v1"),
    api_key=os.environ.get("LLM_API_KEY", "stand-in"),
    max_retries=0,
)
scheduler = Scheduler(
    queue=BoundedQueue(50),
    pacing=FixedPause(10),
    backoff=ExponentialBackoff(15, maximum=300, after=2),
    estimator=MovingAverage(initial=60, weight=0.2),
    store=SqliteStore("jobs.db"),
    stop_timeout=20,  # a stop lets the running job end, for up to 20 s
)
app = FastAPI(lifespan=lifespan(scheduler))
app.include_router(queue_router(scheduler, include_results=True))
install_error_handlers(app)


class Paper(BaseModel):
    number: str
    text: str


# A name that stays the same when the code moves:
@scheduler.task(name="analyse", timeout=120)
async def analyse(text: str) -> str | None:
    try:
        completion = await client.chat.completions.create(
            model="qwen-plus", messages=[{"role": "user", "content": text}]
        )
    except RateLimitError as error:
        wait = error.response.headers.get("Retry-After")
        reason = error.code or "429"
        raise Throttled(float(wait) if wait else None, reason) from error
    return completion.choices[0].message.content


@app.post("/papers", status_code=202, responses=problem_responses(429, 503))
async def submit(paper: Paper) -> ReceiptView:
    job = scheduler.options(job_id=paper.number)
    return ReceiptView.of(await job.enqueue(analyse, paper.text))
