import anyio
from fastapi import FastAPI

from pacer import BoundedQueue, Scheduler
from pacer.fastapi import ReceiptView, install_error_handlers, lifespan
from pacer.pacing import FixedPause
from pacer.prometheus import Metrics
from pacer.stores.sqlite import SqliteStore

scheduler = Scheduler(
    queue=BoundedQueue(50), pacing=FixedPause(10), store=SqliteStore("jobs.db")
)
metrics = Metrics()
metrics.watch(scheduler)


@scheduler.task(name="summarise")
async def summarise(text: str) -> str:
    await anyio.sleep(0.1)  # here you call the service that limits you
    return text.partition(" ")[0]


app = FastAPI(lifespan=lifespan(scheduler))
app.mount("/metrics", metrics.app)
install_error_handlers(app)


@app.post("/summaries", status_code=202)
async def submit(text: str) -> ReceiptView:
    return ReceiptView.of(await scheduler.enqueue(summarise, text))
