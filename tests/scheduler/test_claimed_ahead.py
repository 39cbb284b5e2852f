"""Jobs that are claimed a moment ahead of the clock begin on time, at the exact pace, or are given back."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from pacer import BoundedQueue, JobState, Scheduler, Throttled, call, events
from pacer.pacing import FixedPause, ManualPace, MinInterval, TokenBucket
from pacer.protocols import QueueInfo
from pacer.stores.sqlite import SqliteStore
from pacer.testing import HeldStore, Recorder, run_virtual

AHEAD = 0.1


@attrs.frozen(eq=False)
class Distant:
    """A store whose workers are `latency` away from it, there and back, and that gives out start times ahead."""

    store: HeldStore
    latency: float = 0.0
    ahead: float = AHEAD
    claims: list[int] = attrs.field(factory=list)
    """How many jobs each claim has got."""

    @property
    def codec(self) -> Any:
        return self.store.codec

    async def queues(self) -> Sequence[QueueInfo]:
        return await self.store.queues()

    @asynccontextmanager
    async def open(
        self, queue: str, rules: Any, worker: str, *, takeover: bool = False, guest: bool = False
    ) -> AsyncGenerator[Any]:
        async with self.store.open(queue, rules, worker, takeover=takeover, guest=guest) as ledger:
            ledger._ledger._queue.ahead = self.ahead  # type: ignore[attr-defined]  # there is no setting for it
            yield DistantLedger(ledger, self.latency, self.claims)


@attrs.frozen(eq=False)
class DistantLedger:
    """Each call takes half of the latency to get there, and half of it back."""

    ledger: Any
    latency: float
    claims: list[int]

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.ledger, name)
        if not inspect.iscoroutinefunction(found) or not self.latency:
            return found

        async def there_and_back(*args: Any, **how: Any) -> Any:
            await anyio.sleep(self.latency / 2)
            try:
                answer = await found(*args, **how)
            finally:
                await anyio.sleep(self.latency / 2)
            if name == "claim":
                self.claims.append(len(answer.jobs))
            return answer

        return there_and_back


def distant(path: Path, *, poll: float = 0.25, **how: Any) -> Distant:
    clock = asyncio.get_running_loop().time
    return Distant(HeldStore(SqliteStore(path / "jobs.db", durability="process", clock=clock, poll=poll)), **how)


@attrs.define(eq=False)
class Work:
    """Notes when its jobs begin; the first may be throttled."""

    takes: float = 0.02
    throttles: list[float] = attrs.field(factory=list)
    starts: list[float] = attrs.field(factory=list)

    async def __call__(self) -> None:
        self.starts.append(anyio.current_time())
        await anyio.sleep(self.takes)
        if self.throttles:
            raise Throttled(retry_after=self.throttles.pop())


@attrs.frozen(eq=False)
class Station:
    """One of several schedulers on the same file."""

    scheduler: Scheduler
    task: Any

    @classmethod
    def of(cls, path: Path, work: Work, pacing: Any, recorder: Recorder | None = None, **how: Any) -> Station:
        scheduler = Scheduler(
            queue=BoundedQueue(1000),
            pacing=pacing,
            concurrency=how.pop("concurrency", 40),
            store=distant(path, **how),
            observers=() if recorder is None else (recorder,),
        )

        @scheduler.task(name="work")
        async def run() -> None:
            await work()

        return cls(scheduler, run)

    async def enqueue(self, jobs: int) -> None:
        await self.scheduler.enqueue_many([call(self.task) for _ in range(jobs)])


# -- the pace --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pacing",
    [TokenBucket(100), MinInterval(0.01), ManualPace(100), TokenBucket(100) & MinInterval(0.01)],
    ids=["TokenBucket", "MinInterval", "ManualPace", "both"],
)
def test_eight_workers_five_milliseconds_away_keep_a_hundred_a_second_and_lose_none(
    pacing: Any, tmp_path: Path
) -> None:
    jobs, work = 300, Work()

    async def main() -> None:
        async with AsyncExitStack() as stack:
            group = [Station.of(tmp_path, work, pacing, latency=0.005) for _ in range(8)]
            for one in group:
                await stack.enter_async_context(one.scheduler)
            await group[0].enqueue(jobs)
            await group[0].scheduler.drain()

    run_virtual(main)
    starts = sorted(work.starts)
    assert len(starts) == jobs
    assert (jobs - 1) / (starts[-1] - starts[0]) >= 99
    assert max(sum(first <= at <= first + 1 for at in starts) for first in starts) <= 102


def test_a_worker_alone_asks_once_for_several_starts(tmp_path: Path) -> None:
    work, claims = Work(), list[int]()

    async def main() -> None:
        one = Station.of(tmp_path, work, MinInterval(0.01), latency=0.005, claims=claims)
        async with one.scheduler:
            await one.enqueue(200)
            await one.scheduler.drain()

    run_virtual(main)
    # The first was claimed for the moment of the claim, and begins when the answer is there.
    assert work.starts == pytest.approx([work.starts[0] - 0.0025 + 0.01 * number for number in range(200)], abs=0.0026)
    assert work.starts[1:] == pytest.approx([work.starts[1] + 0.01 * number for number in range(199)], abs=1e-6)
    assert sum(claims) == 200
    assert len(claims) <= 60
    assert len([jobs for jobs in claims if jobs >= 4]) >= 30


def test_a_job_begins_at_the_very_time_for_which_it_was_claimed(tmp_path: Path) -> None:
    work, recorder = Work(), Recorder()

    async def main() -> None:
        one = Station.of(tmp_path, work, TokenBucket(4), recorder, latency=0.03)
        async with one.scheduler:
            await one.enqueue(5)
            await one.scheduler.drain()

    run_virtual(main)
    claimed_for = [event.at for event in recorder.of(events.JobStarted)]
    assert claimed_for == pytest.approx([claimed_for[0] + 0.25 * number for number in range(5)], abs=1e-6)
    # The first was claimed for the moment of the claim, and begins when the answer is there.
    assert work.starts == pytest.approx([claimed_for[0] + 0.015, *claimed_for[1:]], abs=1e-6)


def test_a_policy_that_does_not_start_ahead_is_asked_at_the_time_itself(tmp_path: Path) -> None:
    work = Work(takes=0)

    async def main() -> None:
        one = Station.of(tmp_path, work, FixedPause(0.05), latency=0.01, concurrency=1)
        async with one.scheduler:
            await one.enqueue(4)
            await one.scheduler.drain()

    run_virtual(main)
    # The pause, the settle on its way there, and the claim on its way there and back.
    assert all(
        later - sooner >= 0.05 + 0.01 - 1e-6 for sooner, later in zip(work.starts, work.starts[1:], strict=False)
    )


# -- what is given back ----------------------------------------------------------------------------------------------


async def begun(work: Work, jobs: int) -> None:
    """So many have begun, and have ended since."""
    with anyio.fail_after(60):
        while len(work.starts) < jobs:
            await anyio.sleep(0.001)
    await anyio.sleep(2 * work.takes)


def test_at_a_stop_jobs_that_have_not_begun_are_released_and_cost_neither_an_attempt_nor_the_pace(
    tmp_path: Path,
) -> None:
    work, recorder = Work(takes=0.001), Recorder()

    async def main() -> None:
        one = Station.of(tmp_path, work, TokenBucket(1, per=0.08), recorder)
        async with one.scheduler:
            await one.enqueue(4)
            await begun(work, 2)
            await anyio.sleep(0.04)
            stopped_at = anyio.current_time()
        assert [event.at for event in recorder.of(events.JobReleased)] == [pytest.approx(stopped_at, abs=1e-6)]
        assert len(recorder.of(events.JobStarted)) == 2
        two = Station.of(tmp_path, work, TokenBucket(1, per=0.08))
        async with two.scheduler:
            snapshot = await two.scheduler.status()
            assert snapshot.failed == 0
            await two.scheduler.drain()

    run_virtual(main)
    first = work.starts[0]
    assert work.starts == pytest.approx([first, first + 0.08, first + 0.16, first + 0.24], abs=1e-6)


def test_a_pause_gives_back_what_has_not_begun(tmp_path: Path) -> None:
    work, recorder = Work(takes=0.001), Recorder()

    async def main() -> None:
        one = Station.of(tmp_path, work, MinInterval(0.04), recorder)
        async with one.scheduler:
            await one.enqueue(5)
            await begun(work, 1)
            await one.scheduler.pause()
            await anyio.sleep(10)
            assert len(work.starts) == 1
            assert len(recorder.of(events.JobReleased)) >= 1
            await one.scheduler.resume()
            await one.scheduler.drain()

    run_virtual(main)
    assert len(work.starts) == 5
    assert min(later - sooner for sooner, later in zip(work.starts[1:], work.starts[2:], strict=False)) >= 0.04 - 1e-6


@pytest.mark.parametrize("moment", range(4))
def test_nothing_begins_whose_time_had_not_come_before_a_pause_even_if_it_has_just_been_claimed(
    moment: int, tmp_path: Path
) -> None:
    work, recorder = Work(takes=1.0), Recorder()

    async def main() -> None:
        one = Station.of(tmp_path, work, MinInterval(0.01), recorder)
        async with one.scheduler:
            await one.scheduler.pause()
            await one.enqueue(5)
            await one.scheduler.resume()
            for _ in range(moment):
                await anyio.lowlevel.checkpoint()
            await one.scheduler.pause()
            paused_at = one.scheduler._running.worker.ledger.now()
            await anyio.sleep(10)
            assert all(event.at <= paused_at for event in recorder.of(events.JobStarted))
            assert (await one.scheduler.status()).pending == 5 - len(work.starts)

    run_virtual(main)


def test_a_start_that_a_cancelled_job_did_not_use_is_the_next_ones(tmp_path: Path) -> None:
    work = Work(takes=0.001)

    async def main() -> None:
        one = Station.of(tmp_path, work, MinInterval(10), ahead=4.0, poll=60.0)
        async with one.scheduler:
            receipts = [await one.scheduler.enqueue(one.task) for _ in range(3)]
            await anyio.sleep(8.5)
            assert (await one.scheduler.job(receipts[1].job_id)).state is JobState.RUNNING
            assert await one.scheduler.cancel(receipts[1].job_id)
            await one.scheduler.drain()

    run_virtual(main)
    assert work.starts == pytest.approx([work.starts[0], work.starts[0] + 10], abs=0.01)


def test_a_hold_gives_back_what_was_to_start_in_it(tmp_path: Path) -> None:
    work, recorder = Work(takes=0.001, throttles=[5.0]), Recorder()

    async def main() -> None:
        one = Station.of(tmp_path, work, MinInterval(0.04), recorder)
        async with one.scheduler:
            await one.enqueue(3)
            await one.scheduler.drain()

    run_virtual(main)
    assert work.starts[1] - work.starts[0] >= 5
    assert len(work.starts) == 4
    assert len(recorder.of(events.JobReleased)) == 2


def test_a_job_that_is_cancelled_before_its_time_does_not_begin(tmp_path: Path) -> None:
    work, recorder = Work(takes=0.001), Recorder()

    async def main() -> None:
        one = Station.of(tmp_path, work, MinInterval(0.08), recorder)
        async with one.scheduler:
            first, second = [await one.scheduler.enqueue(one.task) for _ in range(2)]
            await begun(work, 1)
            job = await one.scheduler.job(second.job_id)
            assert job.state is JobState.RUNNING
            assert await one.scheduler.cancel(second.job_id)
            await one.scheduler.drain()
            assert (await one.scheduler.job(first.job_id)).state is JobState.SUCCEEDED
            assert (await one.scheduler.job(second.job_id)).state is JobState.CANCELLED

    run_virtual(main)
    assert len(work.starts) == 1
    assert len(recorder.of(events.JobCancelled)) == 1


def test_a_job_that_others_have_taken_over_before_its_time_does_not_begin(tmp_path: Path) -> None:
    work, recorder = Work(), Recorder()

    async def main() -> None:
        one = Station.of(tmp_path, work, MinInterval(2), recorder, ahead=3.0)
        async with one.scheduler:
            await one.enqueue(2)
            await begun(work, 1)
            ledger = one.scheduler._running.worker.ledger.ledger._ledger  # type: ignore[attr-defined]
            for record in ledger._queue.view.running.values():
                record.worker = "another"
            await one.scheduler.drain(timeout=4)

    run_virtual(main)
    assert len(work.starts) == 1
    assert recorder.of(events.OutcomeRefused)
