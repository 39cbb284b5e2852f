"""The scheduler: wires the parts, and is what users talk to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from random import Random
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, get_args, overload

import attrs
from typing_extensions import Unpack

from pacer._asking import Asking
from pacer._errors import AlreadyRunningError, NotRunningError
from pacer._intake import Enqueuer
from pacer._job import ONE_REQUEST, Retry
from pacer._logging import LoggingObserver
from pacer._options import JobOptions, OptionValues
from pacer._periodic._timetable import Every, Missed, PeriodicJob, Timetable, options_of, plan_of
from pacer._receipt import BatchReceipt, Receipt
from pacer._rules import OnCrash, Rules
from pacer._session import Session, Start, session
from pacer._steering import Steering
from pacer._tasks import Call, TaskRegistry
from pacer._transactional import StagedIntake, TransactionalEnqueuer
from pacer._validation import not_negative, optional_seconds, part, seconds, whole
from pacer.alerts._alert import Alert, named_once
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.protocols import BackoffPolicy, DurationEstimator, JobQueue, Observer, PacingPolicy, Store
from pacer.queues._bounded import BoundedQueue
from pacer.stores import MemoryStore

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


_NO_OPTIONS = JobOptions()


@attrs.define(eq=False, kw_only=True)
class Scheduler(Asking, Steering):
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
        guest: Look at the queue and steer it, without being one of its workers: nothing is made, and the strategies and
            settings given here are written nowhere. It runs no jobs; `worker_concurrency` must not be given.
        observers: Told of every event; by default one `LoggingObserver()`. Pass your own tuple to replace it.
        alerts: Who is called when something is wrong with the queue, as `Alert(OldestWaiting(600), tell_slack)`; nobody
            by default.
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
    guest: bool = False
    observers: Sequence[Observer] = attrs.field(factory=lambda: (LoggingObserver(),))
    alerts: Sequence[Alert] = attrs.field(default=(), converter=named_once)
    seed: int | None = None
    _registry: TaskRegistry = attrs.field(init=False, factory=TaskRegistry, repr=False)
    _timetable: Timetable = attrs.field(init=False, repr=False)
    _session: Session | None = attrs.field(init=False, default=None, repr=False)
    _block: AbstractAsyncContextManager[Session] | None = attrs.field(init=False, default=None, repr=False)

    @_timetable.default
    def _no_schedules(self) -> Timetable:
        return Timetable(self._registry)

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
            alerts=self.alerts,
            schedules=tuple(self._timetable.schedules.values()),
            slots=self._slots,
            stop_timeout=self.stop_timeout,
            takeover=self.takeover,
            guest=self.guest,
        )

    @property
    def _slots(self) -> int:
        here = 0 if self.guest else self.worker_concurrency
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

    @overload
    def every(
        self,
        seconds: float | timedelta,
        /,
        *,
        missed: Missed = "once",
        name: str | None = None,
        **options: Unpack[OptionValues],
    ) -> Every: ...

    @overload
    def every(
        self,
        /,
        *,
        cron: str,
        tz: str = "UTC",
        missed: Missed = "once",
        name: str | None = None,
        **options: Unpack[OptionValues],
    ) -> Every: ...

    def every(
        self,
        seconds: float | timedelta | None = None,
        /,
        *,
        cron: str | None = None,
        tz: str | None = None,
        missed: Missed = "once",
        name: str | None = None,
        **options: Unpack[OptionValues],
    ) -> Every:
        """Enqueue a task again and again: `@scheduler.every(60)`, `scheduler.every(60).call(sweep, "tmp")`.

        One job is enqueued for each time, whichever of the processes that know the schedule is first, also through
        kills and restarts. Its id is made of the schedule's name and the time: "every:sweep:2026-11-24T07:00:00Z". Say
        it before the scheduler starts, in all of its processes.

        Args:
            seconds: From time to time. The first comes so many seconds after a scheduler first ran with this schedule.
            cron: Five fields instead: minute, hour, day, month, day of the week; needs the extra `cron`. A time of day
                comes once on each day, also when summer time begins or ends.
            tz: The time zone of `cron`, such as "Europe/Berlin"; "UTC" by default.
            missed: What becomes of times for which no job could be enqueued, because no process ran or the queue was
                full: "skip" has none made up for, if they are more than a minute ago; "once" (default) one for all of
                them; "all" each of them, of more than 1000 the last 1000.
            name: By which processes and restarts know it again, 1 to 160 characters; the task's name by default.
            **options: For its jobs, as for `options`, without `job_id`. With `unique="sweep"` none is enqueued while
                the one before waits or runs.

        Raises:
            ValueError: A value that cannot be; the message names it.
            ModuleNotFoundError: `cron` without the extra for it.
            AlreadyRunningError: The scheduler runs.
        """
        if self._block is not None:
            msg = f"every: the scheduler of queue {self.name!r} runs already; say it before it starts"
            raise AlreadyRunningError(msg)
        if missed not in get_args(Missed):
            msg = f"every: missed must be one of {', '.join(map(repr, get_args(Missed)))}, got {missed!r}"
            raise ValueError(msg)
        return Every(self._timetable, plan_of(seconds, cron, tz), missed, name, options_of(options))

    async def periodic(self) -> Sequence[PeriodicJob]:
        """The schedules of this scheduler, in the order in which they were said, with their last and next times."""
        ledger = self._running.worker.ledger
        ticks = (await ledger.snapshot(0)).queue.ticks
        return [one.seen(ledger, ticks.get(one.key)) for one in self._timetable.schedules.values()]

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
