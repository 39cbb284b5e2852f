"""A circuit breaker at work: it opens, one probe decides, and a lost probe decides nothing."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outages import Upstream, enqueue, on_disk

from pacer import JobCancelledError, JobFailedError, JobRecord, JobState, Receipt, Scheduler, Status, Throttled, events
from pacer._job import Outcome, OutcomeKind
from pacer.backoff import CircuitBreaker, ExponentialBackoff, GiveUpAfter, HonourRetryAfter, NoBackoff, RetryBudget
from pacer.protocols import BackoffPolicy
from pacer.testing import Recorder, run_virtual

pytestmark = pytest.mark.anyio

MICROSECOND = 1e-6


async def state_of(scheduler: Scheduler, receipt: Receipt) -> JobState:
    return (await scheduler.job(receipt.job_id)).state


# Four at once that fail together are one failure in a row: 20 of them until the circuit opens, 5 s after the start.
FAILING = [float(second) for second in range(5) for _ in range(4)]


@pytest.mark.parametrize(
    "backoff",
    [
        CircuitBreaker(failures=5, open_for=30),
        GiveUpAfter(CircuitBreaker(failures=5, open_for=30), attempts=100),
        HonourRetryAfter(RetryBudget(CircuitBreaker(failures=5, open_for=30))),
        CircuitBreaker(HonourRetryAfter(NoBackoff()), failures=5, open_for=30),
    ],
    ids=["plain", "in one wrapper", "in two wrappers", "around a wrapper"],
)
async def test_after_five_failures_it_opens_and_one_probe_decides(backoff: BackoffPolicy) -> None:
    """The first probe fails and opens it again; the second succeeds, and all four slots are at work at once."""
    upstream = Upstream(up_at=60)
    async with Scheduler(backoff=backoff, concurrency=4) as scheduler:
        await enqueue(scheduler, upstream, 30)
        await scheduler.drain()
        status = await scheduler.status()
    assert upstream.starts == [*FAILING, 35, 66, *[67] * 4, *[68] * 4]
    assert upstream.beside[20:22] == [0, 0]
    assert (status.succeeded, status.failed, status.failures_in_a_row) == (9, 21, 0)


async def test_while_it_is_open_and_half_open_the_status_says_why_nothing_starts(recorder: Recorder) -> None:
    upstream = Upstream(up_at=30)
    scheduler = Scheduler(backoff=CircuitBreaker(failures=5, open_for=30), concurrency=4, observers=(recorder,))
    async with scheduler:
        await enqueue(scheduler, upstream, 30)
        await anyio.sleep(10)
        status = await scheduler.status()
        assert (status.running, status.failures_in_a_row) == (0, 5)
        assert status.hold_seconds == pytest.approx(25)
        assert status.waiting_for == "backoff of 30 s after 5 failures in a row"
        await anyio.sleep(25.5)
        status = await scheduler.status()
        assert status.running == 1
        assert status.waiting_for == "5 failures in a row: 1 at a time until one succeeds"
        await scheduler.drain()
    assert [held.seconds for held in recorder.of(events.QueueHeld)] == [30]


async def test_a_forecast_for_an_open_circuit_expects_the_probe_to_succeed() -> None:
    """Not that one job at a time will run for ever."""
    upstream = Upstream(up_at=30, takes=1)
    async with Scheduler(backoff=CircuitBreaker(failures=5, open_for=30), concurrency=4) as scheduler:
        await enqueue(scheduler, upstream, 20)
        await anyio.sleep(10)
        receipts = await enqueue(scheduler, upstream, 9)
        assert all(receipt.estimate is not None for receipt in receipts)
        waits = [receipt.estimate.seconds for receipt in receipts if receipt.estimate is not None]
        expected = (await scheduler.status()).average_duration
        assert waits[0] == pytest.approx(25)
        # The probe, then four at a time.
        assert waits[1] == pytest.approx(25 + expected, rel=0.1)
        assert waits[8] < 25 + 4 * expected


async def test_what_ran_before_it_opened_neither_closes_it_nor_is_joined_by_a_probe() -> None:
    """A slow job from before the opening succeeds late; only then, and alone, the probe starts."""
    upstream = Upstream(up_at=50)
    async with Scheduler(backoff=CircuitBreaker(failures=5, open_for=30), concurrency=2) as scheduler:
        slow = await scheduler.enqueue(upstream, 100)
        await enqueue(scheduler, upstream, 8)
        await anyio.sleep(99.5)
        assert upstream.starts == [0, 0, 1, 2, 3, 4]
        await scheduler.wait(slow)
        await anyio.sleep(0.5)
        assert upstream.starts == [0, 0, 1, 2, 3, 4, 100]
        assert (await scheduler.status()).failures_in_a_row == 5
        await scheduler.drain()
    assert upstream.starts[6:] == [100, 101, 101]


async def test_a_probe_that_is_cancelled_decides_nothing_and_the_next_job_is_the_probe() -> None:
    upstream = Upstream(up_at=30, takes=1)
    async with Scheduler(backoff=CircuitBreaker(failures=1, open_for=30), concurrency=3) as scheduler:
        first = await scheduler.enqueue(upstream)
        with pytest.raises(JobFailedError):
            await scheduler.wait(first)
        probes = [await scheduler.enqueue(upstream, 50) for _ in range(3)]
        await anyio.sleep(31)
        for probe in probes:
            assert await state_of(scheduler, probe) is JobState.RUNNING
            assert await scheduler.cancel(probe.job_id)
            with pytest.raises(JobCancelledError):
                await scheduler.wait(probe)
            assert (await scheduler.status()).failures_in_a_row == 1
            await anyio.sleep(1)
        receipts = await enqueue(scheduler, upstream, 4)
        await scheduler.drain()
        assert [await state_of(scheduler, receipt) for receipt in receipts] == [JobState.SUCCEEDED] * 4
    # Open from 1 to 31; three probes are lost, the fourth closes it.
    assert upstream.starts == [0, 31, 32, 33, 35, 36, 36, 36]
    assert upstream.beside == [0, 0, 0, 0, 0, 0, 1, 2]


async def test_a_probe_that_times_out_opens_it_again() -> None:
    upstream = Upstream(takes=1000)
    async with Scheduler(backoff=CircuitBreaker(failures=1, open_for=30), concurrency=3) as scheduler:
        for _ in range(4):
            await scheduler.options(timeout=5).enqueue(upstream)
        await scheduler.drain()
    # The first three start together and time out together, which is one failure.
    assert upstream.starts == [0, 0, 0, 35]


async def test_a_probe_that_is_told_to_wait_waits_and_is_still_the_probe() -> None:
    starts: list[float] = []

    async def busy() -> None:
        starts.append(anyio.current_time())
        await anyio.sleep(1)
        if anyio.current_time() < 20:
            raise ConnectionError("down")
        if anyio.current_time() < 50:
            raise Throttled(7)

    async with Scheduler(backoff=CircuitBreaker(failures=2, open_for=30), concurrency=2) as scheduler:
        await enqueue(scheduler, busy, 8)
        await scheduler.drain()
    # Two rounds of two; open from 2 to 32; told to wait at 33, 41 and 49; the success at 57 closes it.
    assert starts == [0, 0, 1, 1, 32, 40, 48, 56, 57, 57, 58]


async def test_below_the_threshold_the_inner_policy_delays() -> None:
    upstream = Upstream(up_at=1000, takes=0)
    backoff = CircuitBreaker(ExponentialBackoff(1), failures=4, open_for=60)
    async with Scheduler(backoff=backoff) as scheduler:
        await enqueue(scheduler, upstream, 6)
        await scheduler.drain()
    assert upstream.starts == [0, 1, 3, 7, 67, 127]


def test_a_row_of_failures_and_an_open_circuit_survive_restarts(tmp_path: Path) -> None:
    """A new scheduler on the file after each failure: the fifth opens it, 30 s hold, one probe, then all."""
    upstream = Upstream(up_at=60)

    async def main() -> None:
        for life in range(9):
            scheduler = Scheduler(
                backoff=CircuitBreaker(failures=5, open_for=30), concurrency=2, store=on_disk(tmp_path), observers=()
            )
            scheduler.task(name="call")(upstream.__call__)
            async with scheduler:
                assert (await scheduler.status()).failures_in_a_row == (life if life < 7 else 0)
                await enqueue(scheduler, upstream.__call__, 1 if life < 7 else 4)
                await scheduler.drain()

    run_virtual(main)
    # Open from 5 to 35 and, after a probe that fails, from 36 to 66; the next one succeeds.
    assert upstream.starts == [0, 1, 2, 3, 4, 35, 66, 67, 67, 68, 68, 69, 69, 70, 70]


def test_a_probe_that_a_shutdown_interrupts_is_run_again_as_the_probe(tmp_path: Path) -> None:
    upstream = Upstream(up_at=20)

    async def main() -> None:
        def make() -> Scheduler:
            scheduler = Scheduler(
                backoff=CircuitBreaker(failures=1, open_for=30), concurrency=2, store=on_disk(tmp_path), observers=()
            )
            scheduler.task(name="call")(upstream.__call__)
            return scheduler

        async with make() as scheduler:
            await enqueue(scheduler, upstream.__call__, 4)
            await anyio.sleep(31.5)
            assert (await scheduler.status()).running == 1
        async with make() as scheduler:
            assert (await scheduler.status()).failures_in_a_row == 1
            await scheduler.drain()

    run_virtual(main)
    # Two fail together; the probe starts at 31 and anew at 31.5; its success at 32.5 lets the last one start.
    assert upstream.starts == [0, 0, 31, 31.5, 32.5]


# -- several processes -----------------------------------------------------------------------------------------------


def sharing(upstream: Upstream, path: Path, breaker: CircuitBreaker) -> Scheduler:
    """One of several schedulers on a file."""
    store = on_disk(path, lease=30, poll=0.1)
    scheduler = Scheduler(backoff=breaker, concurrency=4, store=store, observers=())
    scheduler.task(name="call")(upstream.__call__)
    return scheduler


def test_of_several_processes_one_has_the_probe(tmp_path: Path) -> None:
    upstream = Upstream(up_at=20, takes=5)
    breaker = CircuitBreaker(failures=1, open_for=30)

    async def main() -> None:
        async with sharing(upstream, tmp_path, breaker) as first, sharing(upstream, tmp_path, breaker) as second:
            await enqueue(first, upstream.__call__, 10)
            await first.drain()
            assert (await second.status()).succeeded == 6

    run_virtual(main)
    assert upstream.starts[:4] == [0] * 4
    # Open from 5 to 35; the other process hears of the end of the probe when it looks, a tenth of a second later.
    assert upstream.starts[4:] == pytest.approx([35, *[40] * 4, 45], abs=0.2)
    assert upstream.beside[4] == 0


def test_a_probe_whose_process_vanishes_is_the_probe_again_when_its_lease_has_run_out(tmp_path: Path) -> None:
    upstream = Upstream(takes=5)
    breaker = CircuitBreaker(failures=1, open_for=30)

    async def main() -> None:
        gone = sharing(upstream, tmp_path, breaker)
        # It is cut off from its store, as a stopped process would be.
        block = gone.store.open("default", gone._rules(), "gone")
        ledger = await block.__aenter__()
        await ledger.add([JobRecord(f"j{number}", "call", "[[],{}]") for number in range(4)])
        (first,) = (await ledger.claim(frozenset({"call"}), 1)).jobs
        await ledger.settle(first, Outcome(OutcomeKind.FAILED, error="down"), None)
        await anyio.sleep(30)
        (probe,) = (await ledger.claim(frozenset({"call"}), 4)).jobs
        lost_at = anyio.current_time()
        async with sharing(upstream, tmp_path, breaker) as scheduler:
            await scheduler.wait(probe.id)
            assert (await scheduler.job(probe.id)).recoveries == 1
            await scheduler.drain()
            assert (await scheduler.status()).failures_in_a_row == 0
        waited = (upstream.origin or 0.0) - lost_at
        assert 30 <= waited <= 45
        await block.__aexit__(None, None, None)

    run_virtual(main)
    assert upstream.starts == pytest.approx([0, 5, 5], abs=0.2)


# -- any course of events --------------------------------------------------------------------------------------------

# Sums of square roots of different primes are never equal, so no two things happen at once.
DURATIONS = [math.sqrt(prime) for prime in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53)]


@attrs.define(eq=False)
class Watcher:
    """Works out from the starts and ends of runs what a circuit allows, with no pacer in it."""

    failures: int
    open_for: float
    row: int = 0
    known_at: float = -math.inf
    open_until: float = -math.inf
    running: dict[str, float] = attrs.field(factory=dict)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.JobStarted():
                assert event.at >= self.open_until - MICROSECOND, "it is open"
                assert self.row < self.failures or not self.running, "the probe is alone"
                self.running[event.job_id] = event.at
            case events.JobSucceeded():
                if self.running.pop(event.job_id) >= self.known_at:
                    self.row = 0
            case events.JobFailed():
                if self.running.pop(event.job_id) >= self.known_at:
                    self.row, self.known_at = self.row + 1, event.at
                    self.open_until = event.at + self.open_for * (self.row >= self.failures)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@settings(max_examples=60, deadline=None)
@given(
    durations=st.permutations(DURATIONS),
    fails=st.lists(st.booleans(), min_size=16, max_size=16),
    failures=st.integers(1, 3),
    concurrency=st.integers(1, 4),
)
def test_whatever_happens_nothing_starts_while_it_is_open_and_a_probe_is_alone(
    backend: Any, durations: list[float], fails: list[bool], failures: int, concurrency: int
) -> None:
    watcher = Watcher(failures, open_for=10)

    async def run(duration: float, fail: bool) -> None:
        await anyio.sleep(duration)
        if fail:
            raise ConnectionError("down")

    async def main() -> Status:
        breaker = CircuitBreaker(failures=failures, open_for=10)
        async with Scheduler(backoff=breaker, concurrency=concurrency, observers=(seen.append,)) as scheduler:
            for duration, fail in zip(durations, fails, strict=True):
                await scheduler.enqueue(run, duration, fail)
            await scheduler.drain()
            return await scheduler.status()

    seen: list[events.Event] = []
    status = run_virtual(main, backend=backend)
    for event in seen:
        watcher(event)
    assert (status.failures_in_a_row, status.succeeded, status.failed) == (watcher.row, fails.count(False), sum(fails))
