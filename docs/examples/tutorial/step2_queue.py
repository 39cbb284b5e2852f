import os

from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

from pacer import BoundedQueue, Scheduler
from pacer.estimators import MovingAverage
from pacer.fastapi import ReceiptView, lifespan
from pacer.pacing import FixedPause

client = AsyncOpenAI(
    base_url=os.environ.get("LLM_BASE_URL", "http://127.0.0.1:8766/v1"),
    api_key=os.environ.get("LLM_API_KEY", "stand-in"),
)
scheduler = Scheduler(
    queue=BoundedQueue(50),
    pacing=FixedPause(10),
    estimator=MovingAverage(initial=60, weight=0.2),
)
app = FastAPI(lifespan=lifespan(scheduler))


class Paper(BaseModel):
    number: str
    text: str


async def analyse(text: str) -> str | None:
    completion = await client.chat.completions.create(
        model="qwen-plus", messages=[{"role": "user", "content": text}]
    )
    return completion.choices[0].message.content


@app.post("/papers", status_code=202)
async def submit(paper: Paper) -> ReceiptView:
    job = scheduler.options(job_id=paper.number)
    return ReceiptView.of(await job.enqueue(analyse, paper.text))
