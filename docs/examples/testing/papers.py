import httpx
from fastapi import FastAPI

from pacer import BoundedQueue, Scheduler
from pacer.backoff import ExponentialBackoff
from pacer.estimators import MovingAverage
from pacer.fastapi import (
    ReceiptView,
    install_error_handlers,
    lifespan,
    queue_router,
)
from pacer.pacing import FixedPause
from pacer.stores.sqlite import SqliteStore

model = httpx.AsyncClient(base_url="https://model.example", timeout=300)

scheduler = Scheduler(
    queue=BoundedQueue(50),
    pacing=FixedPause(10),
    # 0, 15, 30, 60, 120, 240, 300 s after failures in a row
    backoff=ExponentialBackoff(15, maximum=300, after=2),
    estimator=MovingAverage(initial=60, weight=0.2),
    store=SqliteStore("jobs.db"),
    on_crash="stale",
)


@scheduler.task(name="analyse")
async def analyse(text: str) -> str:
    answer = await model.post("/analyse", json={"text": text})
    answer.raise_for_status()
    return str(answer.json()["analysis"])


app = FastAPI(lifespan=lifespan(scheduler))
app.include_router(queue_router(scheduler, include_results=True))
install_error_handlers(app)


@app.post("/papers", status_code=202)
async def submit(text: str, tenant: str | None = None) -> ReceiptView:
    queue = scheduler.options(key=tenant)
    return ReceiptView.of(await queue.enqueue(analyse, text))
