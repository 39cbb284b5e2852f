"""An application for uvicorn to serve in a process of its own: a queue, its page, and somebody who sets it to work."""

from __future__ import annotations

import anyio
from fastapi import FastAPI

from pacer import Scheduler
from pacer.dashboard import dashboard
from pacer.fastapi import lifespan

scheduler = Scheduler(name="served")


@scheduler.task(name="nap")
async def nap(seconds: float) -> None:
    await anyio.sleep(seconds)


app = FastAPI(lifespan=lifespan(scheduler))
app.mount("/queue", dashboard(scheduler, auth=lambda: None))


@app.post("/nap", status_code=202)
async def start(job_id: str) -> None:
    await scheduler.options(job_id=job_id).enqueue(nap, 1000)
