"""An application for uvicorn to serve in a process of its own. JOBS_DB names its SQLite file; in memory without."""

from __future__ import annotations

import os

import anyio
from fastapi import FastAPI

from pacer import BoundedQueue, Scheduler
from pacer.estimators import MovingAverage
from pacer.fastapi import ReceiptView, SchedulerDep, install_error_handlers, lifespan, problem_responses, queue_router
from pacer.pacing import FixedPause
from pacer.stores import MemoryStore
from pacer.stores.sqlite import SqliteStore

path = os.environ.get("JOBS_DB")
scheduler = Scheduler(
    queue=BoundedQueue(50),
    pacing=FixedPause(0.05),
    estimator=MovingAverage(initial=1),
    store=SqliteStore(path, poll=0.02) if path else MemoryStore(),
)


@scheduler.task(name="nap")
async def nap(seconds: float) -> int:
    await anyio.sleep(seconds)
    return os.getpid()


app = FastAPI(lifespan=lifespan(scheduler))
app.include_router(queue_router(scheduler, allow_cancel=True, include_results=True, status_interval=0.1, buffer=10))
install_error_handlers(app)


@app.post("/nap", status_code=202, responses=problem_responses(429, 503))
async def start(seconds: float, scheduler: SchedulerDep) -> ReceiptView:
    return ReceiptView.of(await scheduler.enqueue(nap, seconds))


@app.get("/pid")
async def pid() -> int:
    return os.getpid()
