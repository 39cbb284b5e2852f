"""The in-app queue that pacer generalises: 50 slots, one worker, 10 s pause, 15 s to 300 s backoff, moving average.

The oracle below is that queue's loop worked out as arithmetic, with no pacer in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacer import BoundedQueue, QueueFullError, Scheduler
from pacer.backoff import ExponentialBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause
from pacer.protocols import Store
from pacer.stores import MemoryStore
from pacer.testing import run_virtual

MICROSECOND = 1e-6


@attrs.frozen
class Scripted:
    """A job that arrives `gap` seconds after the one before, runs for `duration` seconds, and fails or not."""

    gap: float
    duration: float
    fails: bool


@attrs.frozen
class Ran:
    start: float
    end: float


def oracle(script: Sequence[Scripted]) -> tuple[list[Ran], float]:
    """When each job runs, and the average at the end, by the rules of the reference queue."""
    arrival = free = 0.0
    average, failures, timeline = 60.0, 0, []
    for job in script:
        arrival += job.gap
        start = max(arrival, free)
        end = start + job.duration
        timeline.append(Ran(start, end))
        backoff = 0.0
        if job.fails:
            failures += 1
            if failures > 1:
                backoff = min(15.0 * 2 ** (failures - 2), 300.0)
        else:
            failures = 0
            average = average * 0.8 + job.duration * 0.2
        free = end + backoff + 10.0
    return timeline, average


def reference(store: Store | None = None) -> Scheduler:
    return Scheduler(
        queue=BoundedQueue(50),
        pacing=FixedPause(10),
        backoff=ExponentialBackoff(15, maximum=300, after=2),
        estimator=MovingAverage(initial=60, weight=0.2),
        store=MemoryStore() if store is None else store,
        observers=(),
    )


async def play(script: Sequence[Scripted], scheduler: Scheduler) -> tuple[list[Ran], float]:
    """The same script through a real scheduler."""
    timeline: list[Ran] = []

    @scheduler.task(name="scripted")
    async def run(duration: float, fails: bool) -> None:
        start = anyio.current_time()
        await anyio.sleep(duration)
        timeline.append(Ran(start - origin, anyio.current_time() - origin))
        if fails:
            raise RuntimeError("as scripted")

    async with scheduler:
        origin = anyio.current_time()
        arrival = 0.0
        for job in script:
            arrival += job.gap
            await anyio.sleep_until(origin + arrival)
            await scheduler.enqueue(run, job.duration, job.fails)
        await scheduler.drain()
        return timeline, (await scheduler.status()).average_duration


def assert_same(ours: tuple[list[Ran], float], theirs: tuple[list[Ran], float]) -> None:
    assert len(ours[0]) == len(theirs[0])
    for mine, expected in zip(ours[0], theirs[0], strict=True):
        assert mine.start == pytest.approx(expected.start, abs=MICROSECOND)
        assert mine.end == pytest.approx(expected.end, abs=MICROSECOND)
    assert ours[1] == pytest.approx(theirs[1], abs=MICROSECOND)


OK, FAIL = False, True

BY_HAND = {
    "successes are a pause apart": (
        [Scripted(0, 60, OK), Scripted(0, 60, OK), Scripted(0, 30, OK)],
        [(0, 60), (70, 130), (140, 170)],
    ),
    "one failure costs only the pause": (
        [Scripted(0, 5, FAIL), Scripted(0, 5, OK), Scripted(0, 5, OK)],
        [(0, 5), (15, 20), (30, 35)],
    ),
    "from the second failure in a row on, the backoff comes before the pause and doubles to 300": (
        [Scripted(0, 0, FAIL)] * 9,
        [(0, 0), (10, 10), (35, 35), (75, 75), (145, 145), (275, 275), (525, 525), (835, 835), (1145, 1145)],
    ),
    "a success ends the row of failures": (
        [Scripted(0, 1, f) for f in (FAIL, FAIL, OK, FAIL, FAIL, OK)],
        [(0, 1), (11, 12), (37, 38), (48, 49), (59, 60), (85, 86)],
    ),
    "the pause runs also while nothing waits, and is over for a late arrival": (
        [Scripted(0, 5, OK), Scripted(7, 5, OK), Scripted(100, 5, OK)],
        [(0, 5), (15, 20), (107, 112)],
    ),
}


@pytest.mark.parametrize(("script", "expected"), BY_HAND.values(), ids=BY_HAND.keys())
def test_the_oracle_itself_is_what_was_worked_out_by_hand(
    script: list[Scripted], expected: list[tuple[float, float]]
) -> None:
    assert [(ran.start, ran.end) for ran in oracle(script)[0]] == expected


@pytest.mark.anyio
@pytest.mark.parametrize("script", [script for script, _ in BY_HAND.values()], ids=BY_HAND.keys())
async def test_a_scheduler_of_the_reference_parts_runs_to_the_same_microsecond(script: list[Scripted]) -> None:
    assert_same(await play(script, reference()), oracle(script))


scripts = st.lists(
    st.builds(
        Scripted,
        gap=st.one_of(st.just(0.0), st.floats(0, 400, allow_subnormal=False)),
        duration=st.floats(0, 300, allow_subnormal=False),
        fails=st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None)
@given(script=scripts)
def test_any_script_runs_to_the_same_microsecond(backend: str, script: list[Scripted]) -> None:
    assert_same(run_virtual(play, script, reference(), backend=backend), oracle(script))


@pytest.mark.anyio
async def test_the_51st_waiting_job_is_refused_and_positions_count_from_one() -> None:
    scheduler = reference()
    async with scheduler:
        await scheduler.enqueue(anyio.sleep, 60)
        await anyio.sleep(1)  # it runs, so it takes none of the 50 slots
        receipts = [await scheduler.enqueue(anyio.sleep, 60) for _ in range(50)]
        assert [receipt.position for receipt in receipts] == list(range(1, 51))
        assert (await scheduler.status()).pending == 50
        with pytest.raises(QueueFullError) as refused:
            await scheduler.enqueue(anyio.sleep, 60)
        assert refused.value.capacity == 50
        # A slot frees when the running job has ended and the pause is over.
        assert refused.value.retry_after > 10


@pytest.mark.anyio
async def test_in_the_plain_case_the_estimate_is_pending_times_average_plus_pause() -> None:
    scheduler = reference()
    async with scheduler:
        for ahead in range(20):
            receipt = await scheduler.enqueue(anyio.sleep, 60)
            assert receipt.estimate is not None
            assert receipt.estimate.seconds == pytest.approx(ahead * (60 + 10))
            assert receipt.estimate.low <= receipt.estimate.seconds <= receipt.estimate.high
        status = await scheduler.status()
        assert status.estimate is not None
        assert status.estimate.seconds == pytest.approx(status.pending * (60 + 10))
