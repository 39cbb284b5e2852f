"""The public interface as type checkers see it. mypy reads this file; nobody runs it.

A line with `type: ignore[...]` is a mistake that has to be noticed: mypy warns about ignores that are not needed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, assert_type

import attrs
import httpx
from fastapi import APIRouter, Depends, FastAPI

import pacer
from pacer import (
    BatchProgress,
    BatchReceipt,
    BoundedQueue,
    Call,
    CurrentJob,
    Enqueuer,
    Estimate,
    Every,
    Job,
    JobRecord,
    JobState,
    LoggingObserver,
    MaxWait,
    Outcome,
    OutcomeKind,
    QueueFullError,
    Receipt,
    Retry,
    Scheduler,
    Status,
    Subscription,
    Throttled,
    call,
    current_job,
)
from pacer.alerts import (
    Alert,
    AlertMessage,
    Condition,
    Finding,
    HeldFor,
    JobEnded,
    Look,
    OldestWaiting,
    PausedFor,
    QueueFull,
)
from pacer.backoff import (
    CappedDoublings,
    CircuitBreaker,
    ConstantBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    GiveUpAfter,
    HonourRetryAfter,
    LinearBackoff,
    NoBackoff,
    RetryBudget,
)
from pacer.codecs import InProcessCodec, JsonCodec
from pacer.estimators import MovingAverage
from pacer.events import Event, JobFailed, JobSucceeded
from pacer.fastapi import ReceiptView, SchedulerDep, install_error_handlers, lifespan, queue_router
from pacer.feedback import limits, report_response, report_response_sync, retry_after
from pacer.pacing import (
    AllOf,
    Budget,
    CompletionWindow,
    FixedPause,
    FixedWindow,
    ManualPace,
    MinInterval,
    OpeningHours,
    PerKey,
    SlidingWindow,
    TokenBucket,
    Unpaced,
    WarmUp,
)
from pacer.protocols import (
    NOW,
    Admission,
    BackoffPolicy,
    Codec,
    DurationEstimator,
    Durations,
    Failure,
    JobFacts,
    JobOrder,
    JobQueue,
    LimitReport,
    Observer,
    PacingPolicy,
    Store,
    When,
)
from pacer.queues import EarliestDeadline, FairShare, Fifo, Lifo, Priority, ShortestFirst
from pacer.stores import MemoryStore
from pacer.stores.sqlite import SqliteStore, StatusMirror
from pacer.testing import (
    PACING_CHECKS,
    STORE_CHECKS,
    HeldStore,
    ManualClock,
    Recorder,
    SampleJob,
    StoreFactory,
    VirtualTimeLoop,
    check_backoff_policy,
    check_codec,
    check_duration_estimator,
    check_job_order,
    check_job_queue,
    check_observer,
    check_pacing_policy,
    check_store,
    outside,
    run_virtual,
)

# -- every part fits its seam ----------------------------------------------------------------------------------------

pacing: Sequence[PacingPolicy[Any]] = (
    Unpaced(),
    FixedPause(10),
    MinInterval(timedelta(seconds=10)),
    TokenBucket(90, per=60, burst=5),
    SlidingWindow(100, per=timedelta(minutes=1)),
    CompletionWindow(100, per=60),
    FixedWindow(100, per=60, offset=timedelta(hours=-1)),
    Budget(100_000, per=60, burst=10_000, dimension="tokens", default=500),
    WarmUp(5, per=1, seconds=timedelta(minutes=1), cold_factor=3),
    OpeningHours("22:00", "06:00", days="mon-fri", timezone="Europe/Berlin") | OpeningHours("12:00", "13:00"),
    PerKey(TokenBucket(60, per=60), forget_after=timedelta(hours=1)),
    ManualPace(5),
    AllOf(TokenBucket(600, per=60), Budget(100_000, per=60)),
    TokenBucket(600, per=60) & Budget(100_000, per=60) & OpeningHours("22:00", "06:00"),
)
set_by_hand: float = ManualPace(5).rate_now(ManualPace(5).with_rate(ManualPace(5).initial_state(), 0.0, None))
FixedPause(10) & 3  # type: ignore[operator]
OpeningHours("22:00", "06:00") | FixedPause(10)  # type: ignore[operator]
unpaced: PacingPolicy[None] = Unpaced()
pause: PacingPolicy[float | None] = FixedPause(timedelta(seconds=10))
backoffs: Sequence[BackoffPolicy] = (
    NoBackoff(),
    ConstantBackoff(5),
    LinearBackoff(timedelta(seconds=10), step=5),
    ExponentialBackoff(15, maximum=300, after=2),
    CappedDoublings(10, maximum=timedelta(minutes=5), doublings=3),
    FullJitter(ExponentialBackoff(1)),
    EqualJitter(ExponentialBackoff(1)),
    DecorrelatedJitter(1, maximum=60),
    HonourRetryAfter(FullJitter(ExponentialBackoff(1))),
    GiveUpAfter(ConstantBackoff(5), attempts=3, seconds=timedelta(minutes=10)),
    CircuitBreaker(failures=5, open_for=timedelta(seconds=30)),
    RetryBudget(ExponentialBackoff(1), share=0.1, at_least=20),
)
probing: int | None = CircuitBreaker().most_running(5)
FullJitter(FixedPause(10))  # type: ignore[arg-type]
estimator: DurationEstimator[Any] = MovingAverage(initial=60, weight=0.2)
queue: JobQueue = BoundedQueue(50, "wait", timeout=5, order=Priority())
promise: JobQueue = MaxWait(timedelta(minutes=10), capacity=1000, order=FairShare())
MaxWait(600, 1000)  # type: ignore[call-arg]
orders: Sequence[JobOrder[Any]] = (
    Fifo(),
    Lifo(),
    Priority(ageing=timedelta(minutes=10)),
    EarliestDeadline(patience=timedelta(minutes=10)),
    ShortestFirst(ageing=5),
    FairShare({"tenant-1": 3, None: 0.5}, dimension="tokens", default=500, keys=100),
)
newest_first: JobOrder[float | None] = Lifo()
FairShare({"tenant-1": "3"})  # type: ignore[dict-item]
FairShare(dimension=3)  # type: ignore[arg-type]
mirror = StatusMirror(table="jobs", id="id", status="status", updated_at="updated_at")
stores: Sequence[Store] = (MemoryStore(lease=30), SqliteStore("jobs.db", mirror=mirror), HeldStore(MemoryStore()))
codecs: Sequence[Codec] = (JsonCodec(), InProcessCodec())
observers: Sequence[Observer] = (LoggingObserver(), Recorder(), print)
facts: Sequence[JobFacts] = (SampleJob(cost={"tokens": 900}), JobRecord("id", "task"))


# -- settings --------------------------------------------------------------------------------------------------------

FixedPause("10")  # type: ignore[arg-type]
FixedPause(10).seconds = 5  # type: ignore[misc]
TokenBucket(10, 60)
TokenBucket(rate="10")  # type: ignore[arg-type]
BoundedQueue(50, "explode")  # type: ignore[arg-type]
BoundedQueue(50, timeout="5")  # type: ignore[arg-type]
BoundedQueue()  # type: ignore[call-arg]
SqliteStore("jobs.db", durability="never")  # type: ignore[arg-type]

scheduler = Scheduler(
    queue=BoundedQueue(50),
    pacing=FixedPause(10),
    backoff=ExponentialBackoff(15, maximum=300, after=2),
    estimator=MovingAverage(initial=60, weight=0.2),
    store=SqliteStore("jobs.db"),
    concurrency=1,
    on_crash="stale",
    observers=(LoggingObserver(),),
)
Scheduler(BoundedQueue(50))  # type: ignore[call-arg]
Scheduler(on_crash="shrug")  # type: ignore[arg-type]
Scheduler(pacing=NoBackoff())  # type: ignore[arg-type]
Scheduler(backoff=FixedPause(10))  # type: ignore[arg-type]
Scheduler(store="jobs.db")  # type: ignore[arg-type]


# -- tasks keep their types ------------------------------------------------------------------------------------------


@scheduler.task
async def analyse(document: str, *, pages: int = 1) -> list[str]:
    job = current_job()
    assert_type(job, CurrentJob)
    assert_type(job.attempt, int)
    job.progress(0.5, "half of it")
    job.report(headers={"retry-after": "5"}, limits=[LimitReport(name="tokens", remaining=3)], cost={"tokens": 5})
    job.report({"retry-after": "5"})  # type: ignore[call-arg]
    assert_type(retry_after({"retry-after": "5"}, now=datetime.now(UTC)), float | None)
    assert_type(limits([("retry-after", "5")], now=0.0), tuple[LimitReport, ...])
    httpx.AsyncClient(event_hooks={"response": [report_response]})
    httpx.Client(event_hooks={"response": [report_response_sync]})
    raise Throttled(retry_after=timedelta(seconds=3), reason="429", limits=(LimitReport(name="requests", remaining=0),))


@scheduler.task(name="count", timeout=timedelta(minutes=1), retry=Retry(attempts=3, backoff=ConstantBackoff(5)))
def count(words: Sequence[str]) -> int:
    return len(words)


async def unregistered(number: int) -> float:
    return number / 2


as_async: Callable[[str], Awaitable[list[str]]] = analyse
as_sync: Callable[[Sequence[str]], int] = count
coroutine: Awaitable[list[str]] = analyse("text", pages=2)
analyse(5)  # type: ignore[arg-type, unused-coroutine]


async def enqueue() -> None:
    async with scheduler as running:
        assert_type(running, Scheduler)

        receipt = await scheduler.enqueue(analyse, "text", pages=2)
        assert_type(receipt, Receipt[list[str]])
        assert_type(receipt.job_id, str)
        assert_type(receipt.position, int | None)
        assert_type(receipt.estimate, Estimate | None)
        assert_type(await scheduler.enqueue(count, ["a"]), Receipt[int])
        assert_type(await scheduler.enqueue(unregistered, 5), Receipt[float])

        assert_type(await scheduler.wait(receipt), list[str])
        assert_type(await scheduler.wait(await scheduler.enqueue(count, ["a"])), int)
        assert_type(await scheduler.wait("some id"), Any)

        await scheduler.enqueue(analyse, 5)  # type: ignore[call-overload]
        await scheduler.enqueue(analyse)  # type: ignore[call-overload]
        await scheduler.enqueue(analyse, "text", page=2)  # type: ignore[call-arg]
        await scheduler.enqueue(count, 5)  # type: ignore[call-overload]
        await scheduler.enqueue(unregistered, "5")  # type: ignore[call-overload]
        await scheduler.enqueue(analyse("text"))  # type: ignore[call-overload]


async def options() -> None:
    chosen = scheduler.options(
        job_id="a",
        priority=5,
        key="tenant",
        cost={"requests": 1, "tokens": 1800},
        delay=timedelta(minutes=1),
        timeout=30,
        retry=Retry(3, NoBackoff()),
        unique="report",
        expires=timedelta(minutes=5),
    )
    assert_type(chosen, Enqueuer)
    assert_type(await chosen.enqueue(analyse, "text"), Receipt[list[str]])
    assert_type(await chosen.enqueue(count, ["a"]), Receipt[int])
    await chosen.enqueue(analyse, pages="2")  # type: ignore[call-overload]
    scheduler.options(priority="high")  # type: ignore[arg-type]
    scheduler.options(dealy=5)  # type: ignore[call-arg]


async def transactions(connection: object) -> None:
    using = scheduler.using(connection)
    assert_type(await using.enqueue(analyse, "text"), Receipt[list[str]])
    assert_type(await using.options(priority=5, delay=timedelta(1)).enqueue(count, ["a"]), Receipt[int])
    assert_type(await using.enqueue_many([call(analyse, "a")]), BatchReceipt)
    await using.enqueue(analyse, pages="2")  # type: ignore[call-overload]
    using.options(priority="high")  # type: ignore[arg-type]
    using.options(dealy=5)  # type: ignore[call-arg]


async def batches() -> None:
    calls = [call(analyse, document) for document in ("a", "b")]
    assert_type(calls, list[Call[Any]])
    batch = await scheduler.enqueue_many([*calls, call(count, words=["a"]).named("words")])
    assert_type(batch, BatchReceipt)
    assert_type(await scheduler.batch(batch.batch_id), BatchProgress)
    call(analyse, 5)  # type: ignore[arg-type]
    call(count)  # type: ignore[call-arg]


async def ask_and_steer() -> None:
    status = await scheduler.status()
    assert_type(status, Status)
    assert_type(status.pending, int)
    job = await scheduler.job("id")
    assert_type(job, Job)
    assert_type(job.state, JobState)
    assert_type(job.created_at, datetime)
    assert_type(await scheduler.estimate("id"), Estimate | None)
    assert_type(await scheduler.cancel("id"), bool)
    assert_type(await scheduler.drain(timeout=5), bool)
    await scheduler.pause()
    await scheduler.resume()
    await scheduler.set_rate(2.5)
    await scheduler.set_rate(None)
    with scheduler.subscribe() as subscription:
        assert_type(subscription, Subscription)
        async for event in subscription:
            describe(event)
    try:
        await scheduler.enqueue(count, [])
    except QueueFullError as error:
        assert_type((error.capacity, error.retry_after, error.reason), tuple[int, float, str])


def describe(event: Event) -> str:
    match event:
        case JobSucceeded(duration=duration):
            assert_type(duration, float)
            return f"{duration:g} s"
        case JobFailed():
            return event.error
        case _:
            return type(event).__name__


# -- one's own parts, without a base class ---------------------------------------------------------------------------


@attrs.frozen
class OneAMinute:
    def initial_state(self) -> float:
        return 0.0

    def earliest(self, state: float, now: float, job: JobFacts, running: int) -> When:
        return When(state + 60, reason="one a minute") if state + 60 > now else NOW

    def started(self, state: float, now: float, job: JobFacts, running: int) -> float:
        return now

    def ended(self, state: float, now: float, job: JobFacts, outcome: Outcome, running: int) -> float:
        return state + outcome.hold if outcome.kind is OutcomeKind.THROTTLED else state


@attrs.frozen
class GivesUp:
    def delay(self, failure: Failure, random: Random) -> float | None:
        return None if failure.count > 5 else random.uniform(0, failure.previous * 3)


@attrs.frozen
class Always:
    seconds: float

    def initial_state(self) -> None: ...

    def observed(self, state: None, job: JobFacts, duration: float, outcome: Outcome) -> None: ...

    def predict(self, state: None, job: JobFacts) -> Durations:
        return Durations(self.seconds, 0.0)


@attrs.frozen
class ByTokens:
    """The smallest first; counts how many have gone."""

    def initial_state(self) -> int:
        return 0

    def place(self, state: int, job: JobFacts, expected: Callable[[], float]) -> tuple[float, int]:
        return job.cost.get("tokens", expected()), state

    def started(self, state: int, job: JobFacts, sort_key: float) -> int:
        return state + 1


by_tokens: JobOrder[int] = ByTokens()


@attrs.frozen
class KeyOnly:
    """Not an order: `place` gives no state back."""

    def initial_state(self) -> None: ...

    def place(self, state: None, job: JobFacts, expected: Callable[[], float]) -> float:
        return job.created_at

    def started(self, state: None, job: JobFacts, sort_key: float) -> None: ...


BoundedQueue(50, order=KeyOnly())  # type: ignore[arg-type]


@attrs.frozen
class ShortWaits:
    """A bound by time, not by number."""

    capacity: int = 1000
    order: JobOrder[Any] = attrs.field(factory=Fifo)
    wait_timeout: float | None = 0.0

    def admit(self, incoming: int, waiting: int, expected_wait: Callable[[], float | None]) -> Admission:
        wait = expected_wait()
        return Admission(accepted=wait is not None and wait < 600)


@attrs.frozen
class Half:
    """Not a pacing policy: `earliest` answers with a number."""

    def initial_state(self) -> None: ...

    def earliest(self, state: None, now: float, job: JobFacts, running: int) -> float:
        return now

    def started(self, state: None, now: float, job: JobFacts, running: int) -> None: ...

    def ended(self, state: None, now: float, job: JobFacts, outcome: Outcome, running: int) -> None: ...


def on_event(event: Event) -> None: ...


Scheduler(
    queue=ShortWaits(order=ByTokens()),
    pacing=OneAMinute(),
    backoff=GivesUp(),
    estimator=Always(5),
    observers=[on_event],
)
Scheduler(pacing=Half())  # type: ignore[arg-type]


# -- testing ---------------------------------------------------------------------------------------------------------


async def main(number: int) -> str:
    with outside():
        return str(number)


assert_type(run_virtual(main, 5), str)
assert_type(run_virtual(main, 5, backend="trio"), str)
run_virtual(main, "5")  # type: ignore[arg-type]
run_virtual(main, 5, backend="curio")  # type: ignore[arg-type]
assert_type(VirtualTimeLoop(start=1.7e9).time(), float)

check_pacing_policy(OneAMinute())
check_pacing_policy(GivesUp())  # type: ignore[arg-type]
check_backoff_policy(GivesUp())
check_duration_estimator(Always(5))
check_job_order(ByTokens())
check_job_queue(ShortWaits())
check_codec(JsonCodec())
check_observer(on_event)
for check in PACING_CHECKS:
    check(OneAMinute())


def memory_store(clock: Callable[[], float], lease: float) -> Store:
    return MemoryStore(clock=clock, lease=lease)


factory: StoreFactory = memory_store
clock = ManualClock()
assert_type(clock(), float)


async def check_stores() -> None:
    await check_store(memory_store)
    for check in STORE_CHECKS:
        await check(factory)
    await check_store(MemoryStore)  # type: ignore[arg-type]


# -- FastAPI ---------------------------------------------------------------------------------------------------------

app = FastAPI(lifespan=lifespan(scheduler))
router = queue_router(scheduler, dependencies=[Depends(lambda: None)])
assert_type(router, APIRouter)
install_error_handlers(app)


@app.post("/analyse", status_code=202)
async def post(document: str, scheduler: SchedulerDep) -> ReceiptView:
    return ReceiptView.of(await scheduler.enqueue(analyse, document))


version: str = pacer.__version__
costs: Mapping[str, float] = JobRecord("id", "task").cost


# -- alerts ----------------------------------------------------------------------------------------------------------

conditions: Sequence[Condition] = (
    QueueFull(),
    HeldFor(timedelta(minutes=5)),
    PausedFor(3600),
    OldestWaiting(600),
    JobEnded("dead", JobState.FAILED),
)


class LongWait:
    def check(self, look: Look, before: Finding | None) -> Finding | None:
        return None if look.estimate is None else Finding(text="", since=look.now, fields={"a": 1.5, "b": None})


async def tell(message: AlertMessage) -> None:
    assert_type(message.since, datetime)
    assert_type(message.to_json(), dict[str, Any])


def tell_plainly(message: AlertMessage) -> None: ...


def tell_nothing() -> None: ...


with_alerts = Scheduler(
    alerts=[
        Alert(LongWait(), tell, pacing=MinInterval(1800) & OpeningHours("07:00", "22:00"), remind=True),
        Alert(QueueFull(), tell_plainly, name="full", resolved=False, timeout=timedelta(seconds=5)),
        Alert(QueueFull(), tell_nothing),  # type: ignore[arg-type]
        Alert(600, tell),  # type: ignore[arg-type]
    ]
)

# -- periodic jobs ---------------------------------------------------------------------------------------------------

periodic = Scheduler()
assert_type(periodic.every(60), Every)
assert_type(periodic.every(timedelta(minutes=1), missed="all", name="x", priority=3, retry=None), Every)
assert_type(periodic.every(cron="0 7 * * mon-fri", tz="Europe/Berlin", missed="skip", unique="x"), Every)
periodic.every()  # type: ignore[call-overload]
periodic.every(60, cron="* * * * *")  # type: ignore[call-overload]
periodic.every(60, missed="never")  # type: ignore[call-overload]
periodic.every(60, wrong=1)  # type: ignore[call-overload]


@periodic.every(60)
async def without_arguments() -> int:
    return 1


@periodic.every(60)
async def with_defaults(days: int = 1) -> None: ...


@periodic.every(60)  # type: ignore[type-var]
async def with_arguments(folder: str, *, days: int) -> None: ...


@periodic.every(60)
@periodic.task(name="both")
def in_a_thread() -> None: ...


periodic.every(60).call(with_arguments, "tmp", days=3)
periodic.every(60).call(with_arguments, "tmp")  # type: ignore[call-arg]
periodic.every(60).call(with_arguments, 3, days=3)  # type: ignore[arg-type]


async def uses_periodic() -> None:
    assert_type(await without_arguments(), int)
    assert_type([one.next for one in await periodic.periodic()], list[datetime])
