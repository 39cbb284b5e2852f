"""The scheduler: wires the parts, and is what users talk to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import datetime, timedelta
from random import Random
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

import anyio
import attrs

from pacer import events
from pacer._errors import AlreadyRunningError, NotRunningError, UnknownJobError
from pacer._forecast import forecast_start
from pacer._intake import Enqueuer
from pacer._job import ONE_REQUEST, BatchProgress, Estimate, Job, JobRecord, JobState, Retry
from pacer._logging import LoggingObserver
from pacer._options import JobOptions
from pacer._receipt import BatchReceipt, Receipt
from pacer._rules import OnCrash, Rules
from pacer._session import Session, Start, session
from pacer._signals import Subscription
from pacer._tasks import Call, TaskRegistry
from pacer._transactional import StagedIntake, TransactionalEnqueuer
from pacer._validation import not_negative, optional_seconds, part, seconds, whole
from pacer._views import Status, make_status, result, view
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.protocols import BackoffPolicy, DurationEstimator, JobQueue, Ledger, Observer, PacingPolicy, Store
from pacer.queues._bounded import BoundedQueue
from pacer.stores import MemoryStore

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


_NO_OPTIONS = JobOptions()


@attrs.define(eq=False, kw_only=True)
class Scheduler:
    """Runs jobs one after the other, or a few at a time, at a pace that the upstream bears.

    An async context manager: jobs are taken inside `async with scheduler:`. One object runs once at a time, and can be
    started again after it has stopped.

    Args:
        queue: Which jobs may enter and in what order they leave; `BoundedQueue(50)` by default.
        pacing: When the next job may start; `Unpaced()` by default.
        backoff: How long the whole queue is held after failures in a row; `NoBackoff()` by default.
        estimator: How long jobs take; `MovingAverage()` by default.
        store: Where jobs and learned state live; a `MemoryStore()` of its own by default.
        concurrency: How many jobs of the queue run at once, over all processes; 1 by default.
        worker_concurrency: How many of them in this process; as many as `concurrency` by default. 0: it runs none. It
            enqueues, asks and steers, and the jobs wait for a process that works, such as one of `pacer worker`.
        name: The queue's name in the store; "default" by default. Schedulers with one name share one queue.
        on_crash: What becomes of a job whose worker vanished: "rerun" (default) or "stale".
        max_recoveries: How many crashes a job may be interrupted by before it is dead; 3 by default.
        max_throttles: How often a job may be sent back by the upstream before it fails; 50 by default.
        stop_timeout: Seconds that running jobs get to end at a stop, before they are put back; 0 by default.
        takeover: Take the queue over from schedulers that run with other strategies or settings, which then end what
            they run and take no more jobs; by default (False) starting beside them raises `PartsDifferError`.
        observers: Told of every event; by default one `LoggingObserver()`. Pass your own tuple to replace it.
        seed: Of the random generator that jitter draws from; None (default) takes one from the system.
    """

    queue: JobQueue = attrs.field(factory=lambda: BoundedQueue(50), validator=part(JobQueue, "BoundedQueue(50)"))
    pacing: PacingPolicy[Any] = attrs.field(factory=Unpaced, validator=part(PacingPolicy, "FixedPause(10)"))
    backoff: BackoffPolicy = attrs.field(factory=NoBackoff, validator=part(BackoffPolicy, "ExponentialBackoff(15)"))
    estimator: DurationEstimator[Any] = attrs.field(
        factory=MovingAverage, validator=part(DurationEstimator, "MovingAverage()")
    )
    store: Store = attrs.field(factory=MemoryStore, validator=part(Store, "SqliteStore(path)"))
    concurrency: int = attrs.field(default=1, validator=whole(1))
    worker_concurrency: int | None = attrs.field(default=None, validator=attrs.validators.optional(whole(0)))
    name: str = attrs.field(default="default", validator=attrs.validators.min_len(1))
    on_crash: OnCrash = attrs.field(default="rerun", validator=attrs.validators.in_(("rerun", "stale")))
    max_recoveries: int = attrs.field(default=3, validator=whole(0))
    max_throttles: int = attrs.field(default=50, validator=whole(0))
    stop_timeout: float = attrs.field(default=0.0, converter=seconds, validator=not_negative)
    takeover: bool = False
    observers: Sequence[Observer] = attrs.field(factory=lambda: (LoggingObserver(),))
    seed: int | None = None
    _registry: TaskRegistry = attrs.field(init=False, factory=TaskRegistry, repr=False)
    _session: Session | None = attrs.field(init=False, default=None, repr=False)
    _block: AbstractAsyncContextManager[Session] | None = attrs.field(init=False, default=None, repr=False)

    # -- life --------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        if self._block is not None:
            msg = f"the scheduler of queue {self.name!r} is running already; start it once, for example in the lifespan"
            raise AlreadyRunningError(msg)
        self._block = session(self._start())
        try:
            self._session = await self._block.__aenter__()
        except BaseException:
            self._block = None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if self._block is None:
            raise NotRunningError(self.name)
        try:
            return await self._block.__aexit__(kind, error, traceback)
        finally:
            self._block = self._session = None

    def _start(self) -> Start:
        return Start(
            name=self.name,
            store=self.store,
            rules=self._rules(),
            registry=self._registry,
            observers=self.observers,
            slots=self._slots,
            stop_timeout=self.stop_timeout,
            takeover=self.takeover,
        )

    @property
    def _slots(self) -> int:
        here = self.worker_concurrency
        return self.concurrency if here is None else min(self.concurrency, here)

    def _rules(self) -> Rules:
        return Rules(
            queue=self.queue,
            pacing=self.pacing,
            backoff=self.backoff,
            estimator=self.estimator,
            concurrency=self.concurrency,
            max_throttles=self.max_throttles,
            max_recoveries=self.max_recoveries,
            on_crash=self.on_crash,
            random=Random(self.seed),  # noqa: S311 - jitter, not secrets
        )

    @property
    def _running(self) -> Session:
        if self._session is None:
            msg = f"the scheduler of queue {self.name!r} is not running; use it inside `async with scheduler:`"
            raise NotRunningError(msg)
        return self._session

    # -- tasks -------------------------------------------------------------------------------------------------------

    @overload
    def task(self, function: F, /) -> F: ...

    @overload
    def task(
        self, /, *, name: str | None = None, timeout: float | timedelta | None = None, retry: Retry | None = None
    ) -> Callable[[F], F]: ...

    def task(
        self,
        function: F | None = None,
        /,
        *,
        name: str | None = None,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
    ) -> F | Callable[[F], F]:
        """Register a function, so that its jobs survive this process. Gives back the function, unchanged.

        Args:
            function: A coroutine function, or a plain one, which is run in a thread.
            name: Stable name under which its jobs are stored; `module.qualname` by default.
            timeout: Seconds that a run may take; None (default) has no limit.
            retry: When failed runs are tried again; None (default) never.

        Raises:
            TaskError: The name is taken.
        """

        def register(registered: F) -> F:
            self._registry.register(registered, name, optional_seconds(timeout), retry)
            return registered

        return register if function is None else register(function)

    # -- enqueue -----------------------------------------------------------------------------------------------------

    @overload
    async def enqueue(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Receipt[R]: ...

    @overload
    async def enqueue(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Receipt[R]: ...

    async def enqueue(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Receipt[Any]:
        """Put a job into the queue; it is durable when this returns.

        Args:
            function: A registered task, or any other function, whose jobs then live in this process only; such jobs
                need one that works (`worker_concurrency` is not 0).
            *args: Its arguments. For registered tasks they must be what the store's codec takes (JSON for SQLite).
            **kwargs: Its keyword arguments.

        Raises:
            QueueFullError: There is no room; it says when there is expected to be.
            NotEncodableError: An argument cannot be written to the store; the message names it.
            ImpossibleJobError: The pacing policy would never let it start, as with a cost above its limit.
            TaskError: The function is not registered, and this process runs no jobs.
            NotRunningError: Outside `async with scheduler:`.
        """
        return await self._running.intake.enqueue(_NO_OPTIONS, function, args, kwargs)

    def options(
        self,
        *,
        job_id: str | None = None,
        priority: int = 0,
        key: str | None = None,
        cost: Mapping[str, float] = ONE_REQUEST,
        delay: float | timedelta = 0.0,
        timeout: float | timedelta | None = None,
        retry: Retry | None = None,
        unique: str | None = None,
        expires: float | timedelta | None = None,
    ) -> Enqueuer:
        """Options for jobs: `scheduler.options(priority=5, key="tenant-1").enqueue(analyse, document)`.

        Args:
            job_id: The job's id, 1 to 200 characters; enqueueing an id that exists gives back that job, whatever its
                state. By default a random one.
            priority: Larger is more urgent, for queues whose order looks at it (`pacer.queues.Priority`).
            key: The job's lane, for example a tenant, for policies that tell lanes apart.
            cost: What it is expected to use, by dimension; `{"requests": 1}` by default.
            delay: Seconds before which it does not start.
            timeout: Seconds that a run may take; by default its task's.
            retry: When failed runs are tried again; by default its task's.
            unique: While a job with this value waits or runs, enqueueing another gives back that one.
            expires: Seconds by which it has to have started; a job that still waits then leaves the queue as `expired`.

        Raises:
            ValueError: An impossible value; the message names it.
        """
        chosen = JobOptions(
            job_id=job_id,
            priority=priority,
            key=key,
            cost=cost,
            delay=delay,
            timeout=timeout,
            retry=retry,
            unique=unique,
            expires=expires,
        )
        return Enqueuer(lambda: self._running.intake, chosen)

    async def enqueue_many(self, calls: Iterable[Call[Any]]) -> BatchReceipt:
        """Put a batch of jobs into the queue: all of them, or none.

        Args:
            calls: Made with `pacer.call`: `enqueue_many([call(analyse, document) for document in documents])`.

        Raises:
            QueueFullError: There is no room for all of them.
            ValueError: There never will be, or the batch is empty.
        """
        return await self._running.intake.enqueue_many(_NO_OPTIONS, calls)

    def using(self, connection: Any) -> TransactionalEnqueuer:
        """Enqueue in a transaction of your own: `await scheduler.using(connection).enqueue(analyse, document)`.

        The job exists if you commit, together with all else that you have written, and never if you do not. It needs
        a store in the same database: `SqliteStore` on your file (`share=True`), or `PostgresStore`.

        Args:
            connection: For SQLite one of sqlite3, aiosqlite, or SQLAlchemy on aiosqlite; for PostgreSQL one of psycopg
                or asyncpg, or of SQLAlchemy on either. Of SQLAlchemy, an `AsyncSession` or `AsyncConnection`. A
                connection of sqlite3, or a synchronous one of psycopg, keeps the event loop waiting while it works.
        """
        return TransactionalEnqueuer(lambda: StagedIntake(self._running.intake, connection))

    # -- ask ---------------------------------------------------------------------------------------------------------

    async def status(self) -> Status:
        """The queue now, over all processes."""
        worker = self._running.worker
        return make_status(self.name, worker.rules, await worker.ledger.snapshot(), worker.working)

    async def job(self, job_id: str) -> Job:
        """One job as it is now. Raises UnknownJobError."""
        ledger = self._running.worker.ledger
        record = await _find(ledger, job_id)
        return view(record, await ledger.position(job_id), ledger.utc, self.store.codec)

    async def estimate(self, job_id: str) -> Estimate | None:
        """Time from now until the job starts; None if it does not wait or no time can be named (paused).

        Raises:
            UnknownJobError: No job has this id.
        """
        worker = self._running.worker
        record, position = await _find(worker.ledger, job_id), await worker.ledger.position(job_id)
        if position is None:
            return None
        return forecast_start(worker.rules, await worker.ledger.snapshot(), record, position)

    async def batch(self, batch_id: str) -> BatchProgress:
        """How far a batch is. Raises UnknownJobError."""
        progress = await self._running.worker.ledger.batch(batch_id)
        if progress is None:
            raise UnknownJobError(batch_id)
        return progress

    @overload
    async def wait(self, job: Receipt[R]) -> R: ...

    @overload
    async def wait(self, job: str) -> Any: ...

    async def wait(self, job: Receipt[R] | str) -> R | Any:
        """Wait until a job has ended, and return what its function returned.

        Args:
            job: Its id, or the receipt that `enqueue` gave.

        Raises:
            JobFailedError: It failed for good, or is dead.
            JobCancelledError: It was cancelled, dropped, or has expired.
            JobStaleError: A crash interrupted it and it is not run again.
            ResultUnavailableError: It succeeded, but its result was not kept.
            UnknownJobError: No job has this id.
            NotRunningError: The scheduler stopped before the job ended.
        """
        worker = self._running.worker
        job_id = job if isinstance(job, str) else job.job_id
        while True:
            with worker.ended.waiting(job_id) as ended:
                record = await _find(worker.ledger, job_id)
                if record.state.final:
                    return result(record, self.store.codec)
                with anyio.move_on_after(worker.ledger.poll):
                    await ended.wait()
            worker.check_open()

    def subscribe(self, buffer: int = 1000) -> AbstractContextManager[Subscription]:
        """Events of this process as they happen: `with scheduler.subscribe() as events: async for event in events`.

        A reader that is slow loses the oldest events once `buffer` are waiting for it, and slows nobody down; its
        `missed` counts them. The loop ends when the scheduler stops.
        """
        return self._running.worker.announce.subscribed(buffer)

    def utc(self, at: float) -> datetime:
        """A time on the store's clock, such as an event's `at`, as an aware UTC datetime."""
        return self._running.worker.ledger.utc(at)

    # -- steer -------------------------------------------------------------------------------------------------------

    async def cancel(self, job_id: str) -> bool:
        """Cancel a job, waiting or running. True if it did either; False if it had ended already.

        A running coroutine is cancelled where it waits; a thread cannot be stopped, its result is dropped. A job that
        runs in another process is cancelled at that process's next heartbeat.

        Raises:
            UnknownJobError: No job has this id.
        """
        worker = self._running.worker
        record = await _find(worker.ledger, job_id)  # first: a store may forget what has ended
        found = await worker.ledger.cancel(job_id)
        if found is None:
            raise UnknownJobError(job_id)
        if found is JobState.QUEUED:
            worker.announce(events.JobCancelled(worker.ledger.now(), job_id, record.task))
            worker.forget(attrs.evolve(record, state=JobState.CANCELLED))
        elif found is JobState.RUNNING:
            worker.cancel(job_id)
        return not found.final

    async def pause(self) -> None:
        """Start no more jobs, in any process; those that run go on. Survives a restart."""
        await self._set_paused(True)

    async def resume(self) -> None:
        """Start jobs again."""
        await self._set_paused(False)

    async def set_rate(self, rate: float | None) -> None:
        """Start jobs at this rate from now on, in all processes; waiting jobs are timed anew. Survives a restart.

        Args:
            rate: Starts per `per` seconds of the `ManualPace` that is the pacing policy, or that is combined with
                others by `&`. 0 starts none; None goes back to the rate of the recipe.

        Raises:
            TypeError: The pacing policy has no rate that can be set.
            ValueError: The rate is negative or not finite.
        """
        worker = self._running.worker
        await worker.ledger.set_rate(rate)
        worker.announce(events.RateSet(worker.ledger.now(), rate))
        worker.wake()

    async def drain(self, timeout: float | timedelta | None = None) -> bool:
        """Wait until no job waits and none runs.

        Args:
            timeout: Seconds; None (default) waits as long as it takes.

        Returns:
            True when the queue is empty, False when the time is up.

        Raises:
            NotRunningError: The scheduler stopped before either.
        """
        worker = self._running.worker
        with anyio.move_on_after(optional_seconds(timeout)):
            while True:
                changed = worker.changed.next()
                snapshot = await worker.ledger.snapshot(0)
                if not snapshot.waiting and not snapshot.running:
                    return True
                with anyio.move_on_after(worker.ledger.poll):
                    await changed.wait()
                worker.check_open()
        return False

    async def _set_paused(self, paused: bool) -> None:
        worker = self._running.worker
        await worker.ledger.set_paused(paused)
        now = worker.ledger.now()
        worker.announce(events.QueuePaused(now) if paused else events.QueueResumed(now))
        if paused:
            await worker.withdraw()
        worker.wake()


async def _find(ledger: Ledger, job_id: str) -> JobRecord:
    record = await ledger.job(job_id)
    if record is None:
        raise UnknownJobError(job_id)
    return record
