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
    queue=BoundedQueue(50),
    pacing=FixedPause(0.5),
    store=SqliteStore("jobs.db"),
    worker_concurrency=0,  # the processes that serve this application run no jobs
)


@scheduler.task(name="summarise")
async def summarise(text: str) -> str:
    await anyio.sleep(0.1)  # here you call the service that limits you
    return text.partition(" ")[0]


app = FastAPI(lifespan=lifespan(scheduler))
app.include_router(queue_router(scheduler, include_results=True))
install_error_handlers(app)


@app.post("/summaries", status_code=202, responses=problem_responses(429, 503))
async def submit(text: str) -> ReceiptView:
    return ReceiptView.of(await scheduler.enqueue(summarise, text))
