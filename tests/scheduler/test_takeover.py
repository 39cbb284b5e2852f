"""Schedulers with other settings on one queue: refused, or told to take it over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from pacer import JobStaleError, JobState, PartsDifferError, Scheduler, TakenOverError, call, events
from pacer.fastapi import install_error_handlers
from pacer.pacing import FixedPause
from pacer.protocols import Store
from pacer.stores import MemoryStore
from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore, Recorder, run_virtual

LEASE = 3.0

STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda path: MemoryStore(lease=LEASE),
    "sqlite": lambda path: HeldStore(
        SqliteStore(path / "jobs.db", durability="process", clock=asyncio.get_running_loop().time, lease=LEASE)
    ),
}


@pytest.fixture(params=STORES)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    return lambda: STORES[request.param](tmp_path)


def retired(recorder: Recorder) -> int:
    return len(recorder.of(events.QueueTakenOver))


def test_a_scheduler_with_other_settings_does_not_start_beside_others(make_store: Callable[[], Store]) -> None:
    async def main() -> None:
        store = make_store()
        async with Scheduler(store=store, pacing=FixedPause(10)):
            async with Scheduler(store=store, pacing=FixedPause(10), worker_concurrency=1, stop_timeout=5, seed=7):
                pass  # these are its own
            with pytest.raises(PartsDifferError, match=r"FixedPause\(seconds=10\) there, FixedPause\(seconds=5\) here"):
                async with Scheduler(store=store, pacing=FixedPause(5)):
                    pass
        async with Scheduler(store=store, pacing=FixedPause(5)):
            pass

    run_virtual(main)


def test_in_a_rolling_deployment_nothing_is_lost(make_store: Callable[[], Store]) -> None:
    """The old scheduler ends what it runs and says once that it takes no more; the new one goes on with the rest."""

    async def main() -> None:
        store, recorder, ran = make_store(), Recorder(), list[tuple[str, int, float]]()

        def scheduler(name: str, **settings: object) -> tuple[Scheduler, Callable[[int], object]]:
            made = Scheduler(store=store, concurrency=2, **settings)  # type: ignore[arg-type]

            @made.task(name="work")
            async def work(number: int) -> str:
                ran.append((name, number, anyio.current_time()))
                await anyio.sleep(10)
                return name

            return made, work

        old, old_work = scheduler("old", observers=(recorder,))
        new, _ = scheduler("new", takeover=True, max_throttles=7)
        third, third_work = scheduler("third", max_throttles=7)
        async with old:
            receipts = await old.enqueue_many([call(old_work, number) for number in range(6)])
            at_home = await old.options(job_id="home").enqueue(anyio.sleep, 1)
            await anyio.sleep(1)
            async with new, third:
                await anyio.sleep(5)
                with pytest.raises(TakenOverError, match="max_throttles is 7 there, 50 here"):
                    await old.enqueue(old_work, 7)
                with pytest.raises(JobStaleError):
                    await old.wait(at_home)
                await third.enqueue(third_work, 6)
                assert await new.drain()
                assert [await old.wait(job.job_id) for job in receipts.receipts][:2] == ["old", "old"]
                status = await new.status()
                assert (status.pending, status.succeeded, status.failed) == (0, 7, 0)
            assert retired(recorder) == 1, "it says so once, when it would have taken the next job"
            assert not (await old.status()).working
        assert not recorder.of(events.StoreFailed)
        assert sorted(number for _, number, _ in ran) == [*range(7)], "each ran once"
        assert [name for name, _, _ in ran[:2]] == ["old", "old"]
        assert "old" not in {name for name, _, _ in ran[2:]}
        assert (await find(store, "home")) is JobState.STALE

    async def find(store: Store, job_id: str) -> JobState:
        async with Scheduler(store=store, concurrency=2, max_throttles=7) as scheduler:
            return (await scheduler.job(job_id)).state

    run_virtual(main)


def test_a_stop_of_a_scheduler_that_was_taken_over_gives_its_jobs_to_the_others(
    make_store: Callable[[], Store],
) -> None:
    async def main() -> None:
        store, runs = make_store(), list[str]()

        async def work(name: str) -> None:
            runs.append(name)
            await anyio.sleep(2)

        old, new = Scheduler(store=store), Scheduler(store=store, takeover=True, on_crash="stale")
        old_work = old.task(name="work")(partial(work, "old"))
        new.task(name="work")(partial(work, "new"))
        stopping, job_ids = anyio.Event(), list[str]()

        async def run_old() -> None:
            async with old:
                job_ids.append((await old.enqueue(old_work)).job_id)
                await stopping.wait()

        async with anyio.create_task_group() as task_group:
            task_group.start_soon(run_old)
            await anyio.sleep(1)
            async with new:
                stopping.set()
                await new.wait(job_ids[0])
                assert runs == ["old", "new"]

    run_virtual(main)


def test_a_web_application_that_was_taken_over_answers_503() -> None:
    app = FastAPI()
    install_error_handlers(app)

    @app.get("/")
    async def index() -> None:
        raise TakenOverError("mail", {"concurrency": ("1", "2")})

    answer = TestClient(app).get("/")
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
