import os
from secrets import compare_digest
from typing import Annotated

import anyio
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPBasic, HTTPBasicCredentials

from pacer import BoundedQueue, Scheduler
from pacer.dashboard import dashboard
from pacer.fastapi import ReceiptView, install_error_handlers, lifespan
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore

scheduler = Scheduler(
    queue=BoundedQueue(50), pacing=FixedPause(10), store=SqliteStore("jobs.db")
)


@scheduler.task(name="summarise")
async def summarise(text: str) -> str:
    await anyio.sleep(0.1)  # here you call the service that limits you
    return text.partition(" ")[0]


async def require_operator(
    given: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())],
) -> None:
    password = os.environ["QUEUE_PASSWORD"]
    if not compare_digest(given.password.encode(), password.encode()):
        raise HTTPException(401, "Wrong password.", {"WWW-Authenticate": "Basic"})


app = FastAPI(lifespan=lifespan(scheduler))
app.mount("/queue", dashboard(scheduler, auth=require_operator, title="Summaries"))
install_error_handlers(app)


@app.post("/summaries", status_code=202)
async def submit(text: str) -> ReceiptView:
    return ReceiptView.of(await scheduler.enqueue(summarise, text))
