import anyio
from fastapi import FastAPI

from pacer import BoundedQueue, Scheduler
from pacer.fastapi import (
    ReceiptView,
    install_error_handlers,
    lifespan,
    problem_responses,
    queue_router,
)
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore

scheduler = Scheduler(
    queue=BoundedQueue(50), pacing=FixedPause(10), store=SqliteStore("jobs.db")
)


@scheduler.task
async def summarise(text: str) -> str:
    await anyio.sleep(0.1)  # here you call the service that limits you
    return text.partition(" ")[0]


app = FastAPI(lifespan=lifespan(scheduler))
# GET /queue/status, /queue/jobs/{job_id}, /queue/events
app.include_router(queue_router(scheduler, include_results=True))
install_error_handlers(app)  # a full queue becomes 429 with Retry-After


@app.post("/summaries", status_code=202, responses=problem_responses(429, 503))
async def submit(text: str) -> ReceiptView:
    return ReceiptView.of(await scheduler.enqueue(summarise, text))
