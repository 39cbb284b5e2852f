import os

import httpx
from fastapi import FastAPI

from pacer import BoundedQueue, Scheduler
from pacer.alerts import (
    Alert,
    AlertMessage,
    HeldFor,
    JobEnded,
    OldestWaiting,
    PausedFor,
    QueueFull,
)
from pacer.fastapi import ReceiptView, lifespan
from pacer.pacing import FixedPause, MinInterval


async def tell_slack(message: AlertMessage) -> None:
    async with httpx.AsyncClient(timeout=5) as client:
        sign = ":red_circle:" if message.firing else ":white_check_mark:"
        answer = await client.post(
            os.environ["ALERT_WEBHOOK"], json={"text": f"{sign} {message.text}"}
        )
        answer.raise_for_status()


scheduler = Scheduler(
    queue=BoundedQueue(50),
    pacing=FixedPause(0.2),
    alerts=[
        Alert(QueueFull(), tell_slack),
        Alert(HeldFor(300), tell_slack),
        Alert(PausedFor(3600), tell_slack, remind=True),
        Alert(OldestWaiting(600), tell_slack, pacing=MinInterval(1800)),
        Alert(JobEnded("dead", "stale", "failed"), tell_slack, pacing=MinInterval(900)),
    ],
)
app = FastAPI(lifespan=lifespan(scheduler))


@scheduler.task(name="analyse")
async def analyse(text: str) -> str:
    if not text:
        raise ValueError("there is no text")
    return text.partition(" ")[0]


@app.post("/papers", status_code=202)
async def submit(text: str) -> ReceiptView:
    return ReceiptView.of(await scheduler.enqueue(analyse, text))
