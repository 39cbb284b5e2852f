"""What people and observers are told, and what a bad part does to a queue: nothing that stops it."""

from __future__ import annotations

import logging
import math
from random import Random
from typing import Any

import anyio
import attrs
import pytest

from pacer import BoundedQueue, JobState, LoggingObserver, QueueFullError, Retry, Scheduler, Throttled, events
from pacer.backoff import ConstantBackoff, NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import FixedPause
from pacer.protocols import Durations, Failure, When
from pacer.testing import Recorder

pytestmark = pytest.mark.anyio


async def work(secret: str = "") -> str:
    await anyio.sleep(1)
    return secret


async def fail() -> None:
    raise OSError("no route")


async def test_each_step_of_a_job_is_one_event_in_order(recorder: Recorder) -> None:
    async with Scheduler(observers=(recorder,), backoff=ConstantBackoff(5)) as scheduler:
        await scheduler.wait(await scheduler.enqueue(work))
        await scheduler.enqueue(fail)
        await scheduler.drain()
    assert recorder.names == [
        "SchedulerStarted",
        "JobEnqueued",
        "JobStarted",
        "JobSucceeded",
        "JobEnqueued",
        "JobStarted",
        "JobFailed",
        "QueueHeld",
        "SchedulerStopped",
    ]
    (succeeded,) = recorder.of(events.JobSucceeded)
    assert succeeded.duration == pytest.approx(1)
    assert recorder.of(events.QueueHeld)[0].reason == "backoff of 5 s after 1 failure in a row"


async def test_the_log_has_one_line_an_event_and_nothing_of_a_jobs_arguments(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="pacer")
    async with Scheduler() as scheduler:
        await scheduler.wait(await scheduler.enqueue(work, "hunter2"))
        await scheduler.enqueue(fail)
        await scheduler.drain()
    lines = [record.getMessage() for record in caplog.records if record.name == "pacer"]
    assert [line.split()[0] for line in lines] == [
        "SchedulerStarted",
        "JobEnqueued",
        "JobStarted",
        "JobSucceeded",
        "JobEnqueued",
        "JobStarted",
        "JobFailed",
        "SchedulerStopped",
    ]
    assert not [line for line in lines if "\n" in line]
    assert "hunter2" not in caplog.text
    failed = next(record for record in caplog.records if record.levelno == logging.ERROR)
    assert failed.__dict__["pacer_error"] == "OSError: no route"
    assert failed.__dict__["pacer_event"] == "JobFailed"


async def test_logging_can_be_sent_elsewhere_and_costs_nothing_when_off() -> None:
    logger = logging.getLogger("elsewhere")
    logger.setLevel(logging.CRITICAL)
    observer = LoggingObserver(logger)
    observer(events.QueuePaused(1.0))
    assert observer.logger is logger


async def test_an_observer_that_raises_is_logged_and_harms_nobody(
    recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(event: Any) -> None:
        raise RuntimeError("observer broke")

    async with Scheduler(observers=(broken, recorder)) as scheduler:
        assert await scheduler.wait(await scheduler.enqueue(work, "x")) == "x"
    assert "JobSucceeded" in recorder.names
    assert "observer broke" in caplog.text


async def test_a_slow_reader_of_events_loses_the_oldest_and_slows_nobody_down() -> None:
    read = []

    async def read_slowly(scheduler: Scheduler, *, task_status: Any) -> None:
        with scheduler.subscribe(buffer=3) as subscription:
            task_status.started(subscription)
            async for event in subscription:
                read.append(type(event).__name__)
                await anyio.sleep(1000)

    async with anyio.create_task_group() as group, Scheduler() as scheduler:
        subscription = await group.start(read_slowly, scheduler)
        for _ in range(4):
            await scheduler.wait(await scheduler.enqueue(work))
        assert anyio.current_time() == pytest.approx(4)
    # The first event was read at once; of the other twelve only the newest three were kept.
    assert read == ["JobEnqueued", "JobStarted", "JobSucceeded", "SchedulerStopped"]
    assert subscription.missed == 9


async def test_a_reader_is_done_when_the_scheduler_has_stopped() -> None:
    names = []

    async def read(scheduler: Scheduler, *, task_status: Any) -> None:
        with scheduler.subscribe() as subscription:
            task_status.started()
            names.extend([type(event).__name__ async for event in subscription])

    async with anyio.create_task_group() as group, Scheduler() as scheduler:
        await group.start(read, scheduler)
        await scheduler.wait(await scheduler.enqueue(work))
    assert names == ["JobEnqueued", "JobStarted", "JobSucceeded", "SchedulerStopped"]


async def test_status_says_what_the_queue_is_doing() -> None:
    async with Scheduler(
        queue=BoundedQueue(5), pacing=FixedPause(10), estimator=MovingAverage(initial=30), name="emails"
    ) as scheduler:
        idle = await scheduler.status()
        assert (idle.queue, idle.pending, idle.running, idle.capacity) == ("emails", 0, 0, 5)
        assert (idle.waiting_for, idle.oldest_waiting_seconds, idle.working) == ("", None, True)
        await scheduler.enqueue(work)
        await scheduler.enqueue(work)
        await anyio.sleep(0.5)
        busy = await scheduler.status()
        assert (busy.pending, busy.running, busy.waiting_for) == (1, 1, "1 of 1 running")
        assert busy.next_start_seconds is None
        assert busy.oldest_waiting_seconds == pytest.approx(0.5)
        assert (idle.ready_seconds, busy.ready_seconds) == (None, pytest.approx(0.5))
        await anyio.sleep(1)
        pausing = await scheduler.status()
        assert pausing.waiting_for == "pause of 10 s after the last job"
        assert pausing.next_start_seconds == pytest.approx(9.5)
        assert pausing.succeeded == 1


async def test_an_estimate_can_be_asked_for_anew_while_the_job_waits() -> None:
    async with Scheduler(pacing=FixedPause(10), estimator=MovingAverage(initial=60)) as scheduler:
        await scheduler.enqueue(anyio.sleep, 60)
        receipt = await scheduler.enqueue(anyio.sleep, 60)
        assert receipt.estimate is not None
        assert receipt.estimate.seconds == pytest.approx(70)
        assert receipt.completion is not None
        assert receipt.completion.seconds == pytest.approx(130)
        assert receipt.completion.high > receipt.estimate.high
        await anyio.sleep(65)
        later = await scheduler.estimate(receipt.job_id)
        assert later is not None
        assert later.seconds == pytest.approx(5)
        assert (later.low, later.high) == (later.seconds, later.seconds)  # nothing is left to chance
        await anyio.sleep(10)
        assert await scheduler.estimate(receipt.job_id) is None


async def test_finished_jobs_are_forgotten_beyond_the_limit() -> None:
    from pacer import UnknownJobError
    from pacer.stores import MemoryStore

    async with Scheduler(store=MemoryStore(keep_finished=2)) as scheduler:
        receipts = [await scheduler.enqueue(work, str(n)) for n in range(4)]
        await scheduler.drain()
        with pytest.raises(UnknownJobError):
            await scheduler.job(receipts[1].job_id)
        assert (await scheduler.job(receipts[2].job_id)).state is JobState.SUCCEEDED


@attrs.frozen
class BadPart:
    """A part of every kind whose every answer is what it was built with: a value, or an error to raise."""

    answer: Any

    @property
    def order(self) -> BadPart:
        return self

    capacity: int = 10
    wait_timeout: float | None = 0.0

    def _answer(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def initial_state(self) -> Any:
        return None

    def earliest(self, *facts: Any) -> Any:
        answer = self._answer()
        return When(answer) if isinstance(answer, float) else answer

    def started(self, *facts: Any) -> Any:
        return self._answer()

    def ended(self, *facts: Any) -> Any:
        return self._answer()

    def observed(self, *facts: Any) -> Any:
        return self._answer()

    def predict(self, *facts: Any) -> Any:
        answer = self._answer()
        return Durations(answer, answer) if isinstance(answer, float) else answer

    def delay(self, failure: Failure, random: Random) -> Any:
        return self._answer()

    def place(self, *facts: Any) -> Any:
        return self._answer()

    def admit(self, *facts: Any) -> Any:
        return self._answer()


@pytest.mark.parametrize("answer", [math.nan, -math.inf, "nonsense", None, RuntimeError("part broke")])
@pytest.mark.parametrize("seam", ["pacing", "backoff", "estimator"])
async def test_a_bad_strategy_slows_the_queue_down_but_never_stops_it(
    seam: str, answer: Any, recorder: Recorder
) -> None:
    parts: dict[str, Any] = {seam: BadPart(answer)}
    async with Scheduler(**parts, observers=(recorder,)) as scheduler:
        await scheduler.enqueue(fail)
        await scheduler.enqueue(work, "x")
        await scheduler.options(retry=None).enqueue(work, "y")
        await scheduler.status()
        assert await scheduler.drain(timeout=1000)
        status = await scheduler.status()
    assert (status.succeeded, status.failed) == (2, 1)
    reported = {event.part for event in recorder.of(events.PartMisbehaved)}
    harmless = (seam == "pacing" and answer == -math.inf) or (seam == "backoff" and answer is None)
    assert reported == (set() if harmless else {"BadPart"})


@pytest.mark.parametrize("answer", [math.nan, "nonsense", None, RuntimeError("part broke")])
async def test_a_bad_order_falls_back_to_arrival(answer: Any, recorder: Recorder) -> None:
    ran = []

    async def note(n: int) -> None:
        ran.append(n)

    async with Scheduler(queue=BoundedQueue(10, order=BadPart(answer)), observers=(recorder,)) as scheduler:
        for n in range(4):
            await scheduler.enqueue(note, n)
        await scheduler.drain()
    assert ran == [0, 1, 2, 3]
    # A state may be anything, so `started` has only failed where it raised.
    questions = {"place", "started"} if isinstance(answer, Exception) else {"place"}
    assert {event.question for event in recorder.of(events.PartMisbehaved)} == questions


async def test_a_queue_that_breaks_refuses_and_says_when_to_come_back(recorder: Recorder) -> None:
    async with Scheduler(queue=BadPart(RuntimeError("part broke")), observers=(recorder,)) as scheduler:
        with pytest.raises(QueueFullError):
            await scheduler.enqueue(work)
        assert {event.question for event in recorder.of(events.PartMisbehaved)} == {"admit"}


async def test_a_pacing_policy_that_waits_for_an_end_that_never_comes_is_overruled(recorder: Recorder) -> None:
    @attrs.frozen
    class AfterTheNextEnd(BadPart):
        def earliest(self, *facts: Any) -> When:
            return When(math.inf, on_event=True)

    async with Scheduler(pacing=AfterTheNextEnd(None), observers=(recorder,)) as scheduler:
        assert await scheduler.wait(await scheduler.enqueue(work, "x")) == "x"
    assert recorder.of(events.PartMisbehaved)


async def test_throttled_says_what_it_is() -> None:
    assert str(Throttled(30, "limit_requests")) == "throttled, retry after 30 s: limit_requests"
    assert str(Throttled()) == "throttled"


@pytest.mark.parametrize("tracebacks", [False, True])
async def test_a_failure_comes_with_its_traceback_if_that_was_asked_for(tracebacks: bool) -> None:
    logger, lines = logging.Logger("of this test"), list[logging.LogRecord]()
    logger.addFilter(lambda record: lines.append(record) is not None)
    observer = LoggingObserver(logger, tracebacks=tracebacks)
    scheduler, throttles = Scheduler(observers=(observer,)), iter([True, False])

    @scheduler.task(retry=Retry(2, NoBackoff()))
    async def fetch() -> None:
        if next(throttles, False):
            raise Throttled(1)
        raise OSError("the upstream is away")

    async with scheduler:
        await scheduler.enqueue(fetch)
        await scheduler.drain()
    told = [(line.getMessage().split()[0], line.exc_info[1] if line.exc_info else None) for line in lines]
    failures = [error for name, error in told if name in ("JobRescheduled", "JobFailed")]
    assert [str(error) for error in failures] == ["the upstream is away" if tracebacks else "None"] * 2
    assert [name for name, error in told if error is not None] == ["JobRescheduled", "JobFailed"] * tracebacks
    assert "JobThrottled" in dict(told)
    assert not observer._raised
