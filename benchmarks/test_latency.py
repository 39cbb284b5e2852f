"""How soon a job starts, and what questions cost when much waits."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

import pytest

from benchmarks.contest import Contest, Figures, quantile
from pacer import BoundedQueue, Scheduler
from pacer._forecast import forecast_start
from pacer._job import JobRecord, Outcome, OutcomeKind
from pacer._rules import Rules
from pacer._snapshot import Running, Snapshot
from pacer._views import make_status
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause, TokenBucket, Unpaced
from pacer.protocols import Ledger, PacingPolicy, Store
from pacer.stores import MemoryStore
from pacer.stores.sqlite import SqliteStore

T = TypeVar("T")
TASKS = frozenset({"work"})
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED)
BATCH = 1000


# -- from enqueue to start --------------------------------------------------------------------------------------------


async def idle_latency(store: Store, jobs: int) -> Figures:
    """An idle scheduler gets one job at a time: from the call of `enqueue` to the first line of the job."""
    waits: list[float] = []
    async with Scheduler(store=store) as scheduler:
        called = 0.0

        @scheduler.task(name="work")
        async def work() -> None:
            waits.append(perf_counter() - called)

        for _ in range(jobs):
            called = perf_counter()
            receipt = await scheduler.enqueue(work)
            await scheduler.wait(receipt)
    assert len(waits) == jobs
    return {f"start_p{level}_us": quantile(waits, level / 100) * 1e6 for level in (50, 99)} | {
        "start_max_us": max(waits) * 1e6
    }


def test_from_enqueue_to_start(contest: Contest, tmp_path: Path) -> None:
    jobs = contest.size(500, 20)

    def in_file(durability: str) -> Figures:
        path = tmp_path / f"{durability}.db"
        path.unlink(missing_ok=True)
        return asyncio.run(idle_latency(SqliteStore(path, durability=durability), jobs))  # type: ignore[arg-type]

    contest.run(
        f"from enqueue to start, idle ({jobs} jobs)",
        {
            "memory": lambda: asyncio.run(idle_latency(MemoryStore(), jobs)),
            "sqlite, process": partial(in_file, "process"),
            "sqlite, power": partial(in_file, "power"),
        },
    )


# -- with much waiting ------------------------------------------------------------------------------------------------


async def add_many(ledger: Ledger, waiting: int) -> None:
    for first in range(0, waiting, BATCH):
        await ledger.add([JobRecord(f"job-{first + number}", "work", "[[],{}]") for number in range(BATCH)])


async def timed(answer: Awaitable[T], took: list[float]) -> T:
    began = perf_counter()
    found = await answer
    took.append(perf_counter() - began)
    return found


async def questions(store: Store, waiting: int, times: int) -> Figures:
    """What a scheduler asks of its store for each job, and what people ask, with so many jobs waiting all the time."""
    rules = Rules(BoundedQueue(waiting + 1), Unpaced(), NoBackoff(), MovingAverage(), concurrency=50)
    took = defaultdict[str, list[float]](list)
    async with store.open("default", rules, "worker") as ledger:
        await ledger.recover(TASKS)
        await add_many(ledger, waiting)
        for number in range(times):
            added = await timed(ledger.add([JobRecord(f"new-{number}", "work", "[[],{}]")]), took["add_us"])
            claimed = await timed(ledger.claim(TASKS, 1), took["claim_us"])
            settled = await timed(ledger.settle(claimed.jobs[0], SUCCEEDED, None), took["settle_us"])
            assert added.jobs[0].position == waiting + 1
            assert settled.record.id == f"job-{number}"
            snapshot = await timed(ledger.snapshot(), took["snapshot_us"])
            assert snapshot.waiting == waiting
            middle, last = f"job-{number + waiting // 2}", f"new-{number}"
            assert await timed(ledger.position(middle), took["position_middle_us"]) == waiting // 2
            assert await timed(ledger.position(last), took["position_last_us"]) == waiting
            began = perf_counter()
            status = make_status("default", rules, await ledger.snapshot(), working=True)
            took["status_us"].append(perf_counter() - began)
            assert status.pending == waiting
    return {question: median(times) * 1e6 for question, times in took.items()}


def in_memory(waiting: int, times: int) -> Figures:
    return asyncio.run(questions(MemoryStore(), waiting, times))


@pytest.mark.parametrize("store", ["memory", "sqlite"])
def test_questions_with_many_jobs_waiting(contest: Contest, tmp_path: Path, store: str) -> None:
    times = contest.size(200, 3)

    def in_file(waiting: int, times: int) -> Figures:
        # Commits that do not wait for the disk: what is asked is whether the work grows, not how fast the disk is.
        path = tmp_path / f"{waiting}.db"
        path.unlink(missing_ok=True)
        return asyncio.run(questions(SqliteStore(path, durability="process"), waiting, times))

    run, depths = (in_memory, [1000, 100_000, 1_000_000]) if store == "memory" else (in_file, [1000, 100_000])
    if contest.short:
        depths = [1000, 2000]
    contest.run(
        f"questions with many jobs waiting, {store}",
        {f"{depth} waiting": partial(run, depth, times) for depth in depths},
        rounds=3,
    )


# -- the forecast -----------------------------------------------------------------------------------------------------


def forecast(pacing: PacingPolicy[Any], slots: int, position: int, times: int) -> Figures:
    """The estimate of a receipt, which is worked out when it is first asked for."""
    rules = Rules(BoundedQueue(position), pacing, NoBackoff(), MovingAverage(), concurrency=slots)
    state, job = rules.initial(), JobRecord("job", "work")
    for number in range(slots):
        state = rules.start(state, 100.0, job, number)
    snapshot = Snapshot(100.0, state, position, tuple(Running(job, 100.0) for _ in range(slots)))
    took, found = [], None
    for _ in range(times):
        began = perf_counter()
        found = forecast_start(rules, snapshot, job, position)
        took.append(perf_counter() - began)
    assert found is not None
    assert 0 < found.low < found.seconds < found.high
    return {f"position_{position}_us": median(took) * 1e6}


def test_an_estimate_by_position(contest: Contest) -> None:
    positions = (1, 10, 50, 1000, 100_000) if not contest.short else (1, 50)

    def all_positions(pacing: PacingPolicy[Any], slots: int) -> Figures:
        return {
            figure: value
            for position in positions
            for figure, value in forecast(pacing, slots, position, contest.size(max(5, 500 // position), 1)).items()
        }

    contest.run(
        "one estimate, by position",
        {
            "reference: pause 10 s, 1 slot": partial(all_positions, FixedPause(10), 1),
            "unpaced, 50 slots": partial(all_positions, Unpaced(), 50),
            "100 a second, 50 slots": partial(all_positions, TokenBucket(rate=100), 50),
        },
        ratios=False,
    )
