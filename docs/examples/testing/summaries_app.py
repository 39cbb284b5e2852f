from fastapi import FastAPI
from summaries import summarise

from pacer import BoundedQueue, Scheduler
from pacer.fastapi import (
    ReceiptView,
    install_error_handlers,
    lifespan,
    queue_router,
)
from pacer.pacing import FixedPause
from pacer.protocols import Store


def create_app(store: Store) -> FastAPI:
    scheduler = Scheduler(queue=BoundedQueue(50), pacing=FixedPause(10), store=store)
    scheduler.task(summarise)
    app = FastAPI(lifespan=lifespan(scheduler))
    app.include_router(queue_router(scheduler, include_results=True))
    install_error_handlers(app)

    @app.post("/summaries", status_code=202)
    async def submit(text: str) -> ReceiptView:
        return ReceiptView.of(await scheduler.enqueue(summarise, text))

    return app
