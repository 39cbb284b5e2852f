"""`MaxWait` at work: who is let in starts in time, and who is refused is told when to come back."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest
from every_store import MakeStore, on_every_store
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from pacer import MaxWait, QueueFullError, Scheduler, events
from pacer.estimators import MovingAverage
from pacer.fastapi import ReceiptView, SchedulerDep, install_error_handlers, lifespan
from pacer.pacing import FixedPause
from pacer.protocols import Durations
from pacer.queues import FairShare
from pacer.testing import Recorder, run_virtual


class Known(MovingAverage):
    """Jobs take the seconds that they cost."""

    def predict(self, state: Any, job: Any) -> Durations:
        return Durations(job.cost.get("seconds", 10.0), 0.0)


def make_scheduler(**parts: Any) -> Scheduler:
    usual: dict[str, Any] = {"queue": MaxWait(60), "pacing": FixedPause(5), "estimator": Known(), "observers": ()}
    return Scheduler(**{**usual, **parts})


async def work(seconds: float = 10.0) -> None:
    await anyio.sleep(seconds)


async def fill(scheduler: Scheduler, **options: Any) -> QueueFullError:
    """Enqueue until one is refused."""
    while True:
        try:
            await scheduler.options(**options).enqueue(work)
        except QueueFullError as error:
            return error


@on_every_store
async def test_who_comes_back_when_told_to_is_let_in_and_a_moment_before_is_not(make_store: MakeStore) -> None:
    recorder = Recorder()
    async with make_scheduler(store=make_store(), observers=(recorder,)) as scheduler:
        for _ in range(3):
            error = await fill(scheduler)
            assert 0 < error.retry_after <= 15
            assert "no more than 60 s are promised" in error.reason
            await anyio.sleep(error.retry_after - 0.01)
            with pytest.raises(QueueFullError):
                await scheduler.enqueue(work)
            await anyio.sleep(0.02)
            await scheduler.enqueue(work)
        await scheduler.drain()
    started = {event.job_id: event.at for event in recorder.of(events.JobStarted)}
    waited = [started[one.job_id] - one.at for one in recorder.of(events.JobEnqueued) if one.job_id in started]
    assert max(waited) > 55, "the promise is used up"
    assert max(waited) <= 60 + 1e-6, "and kept"


@settings(max_examples=30, deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(st.sampled_from([0.0, 0.0, 1.0, 7.5, 40.0]), st.sampled_from([1.0, 10.0, 33.0])), max_size=40
    ),
    concurrency=st.sampled_from([1, 3]),
)
def test_everybody_who_is_let_in_starts_in_time_whatever_else_comes(
    arrivals: list[tuple[float, float]], concurrency: int
) -> None:
    """With durations that are known, the promise is exact. Nobody is refused who would have started in time."""

    async def main() -> None:
        recorder = Recorder()
        async with make_scheduler(observers=(recorder,), concurrency=concurrency) as scheduler:
            for gap, seconds in arrivals:
                await anyio.sleep(gap)
                before = await scheduler.status()
                try:
                    await scheduler.options(cost={"seconds": seconds}).enqueue(work, seconds)
                except QueueFullError:
                    assert before.estimate is not None
                    assert before.estimate.seconds > 60
            await scheduler.drain()
        started = {event.job_id: event.at for event in recorder.of(events.JobStarted)}
        for one in recorder.of(events.JobEnqueued):
            assert started[one.job_id] - one.at <= 60 + 1e-6

    run_virtual(main)


@on_every_store
async def test_a_tenant_that_floods_is_refused_and_another_is_let_in_at_once(make_store: MakeStore) -> None:
    """The newcomer's place is that which the order gives it."""
    async with make_scheduler(store=make_store(), queue=MaxWait(60, order=FairShare())) as scheduler:
        await fill(scheduler, key="flood")
        receipt = await scheduler.options(key="small").enqueue(work)
        assert receipt.position is not None
        assert receipt.position <= 2
        assert receipt.estimate is not None
        assert receipt.estimate.seconds <= 30
        with pytest.raises(QueueFullError):
            await scheduler.options(key="flood").enqueue(work)


@on_every_store
async def test_a_paused_queue_promises_nothing(make_store: MakeStore) -> None:
    recorder = Recorder()
    async with make_scheduler(store=make_store(), observers=(recorder,)) as scheduler:
        await scheduler.pause()
        with pytest.raises(QueueFullError, match="as while the queue is paused") as refused:
            await scheduler.enqueue(work)
        assert refused.value.retry_after == 60
        assert recorder.of(events.QueueRefused)[0].retry_after == 60
        await scheduler.resume()
        await scheduler.enqueue(work)


@pytest.mark.anyio
async def test_a_job_that_exists_already_is_answered_with_however_long_the_wait() -> None:
    async with make_scheduler() as scheduler:
        await scheduler.options(job_id="known").enqueue(work)
        await fill(scheduler)
        assert not (await scheduler.options(job_id="known").enqueue(work)).created


@pytest.mark.anyio
async def test_in_fastapi_it_is_a_429_that_says_when_the_wait_will_be_short_enough() -> None:
    scheduler = make_scheduler(queue=MaxWait(20), pacing=FixedPause(2.5))
    app = FastAPI(lifespan=lifespan(scheduler))
    install_error_handlers(app)

    @app.post("/jobs", status_code=202)
    async def start(scheduler: SchedulerDep) -> ReceiptView:
        return ReceiptView.of(await scheduler.enqueue(work))

    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        answers = [await client.post("/jobs") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [202, 202, 429]
        assert answers[2].headers["Retry-After"] == "5"
        assert answers[2].json() == {
            "type": "about:blank",
            "title": "Too Many Requests",
            "status": 429,
            "detail": "The queue takes no more jobs: a job would start in about 25 s, and no more than 20 s are "
            "promised. Try again in 5 s.",
            "code": "queue-full",
            "retry_after": 5.0,
            "capacity": 10_000,
        }
        await anyio.sleep(5)
        assert (await client.post("/jobs")).status_code == 202
