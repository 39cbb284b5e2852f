"""A scheduler of the application's, as tests use it: looked at, worked off, killed, and put back as it was."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import attrs

from pacer import Scheduler
from pacer._errors import AlreadyRunningError
from pacer._job import JobRecord
from pacer._tasks import stable_name
from pacer.backoff import NoBackoff
from pacer.events import Event, QueueRefused
from pacer.pacing import Unpaced
from pacer.protocols import JobFacts, Store
from pacer.testing._enqueued import EnqueuedJob, Wanted, listing
from pacer.testing._report import Log, Report
from pacer.testing._tapped import START, Calendar, DatedMemoryStore, Tap, TappedStore
from pacer.testing._virtual import virtual_clock

# Seconds for which `drain` waits: a day where it costs nothing, and what people are patient for where it does.
_LONGEST_VIRTUAL_DRAIN = 86400.0
_LONGEST_REAL_DRAIN = 30.0
_MOST_WAITING_SHOWN = 5

opened: list[Rehearsal] = []
"""The rehearsals whose blocks have not ended, for the pytest plugin."""


@attrs.define(eq=False, repr=False)
class Rehearsal:
    """A scheduler in a test. Made by `rehearse` and `fast`.

    It sees every job that comes in, and every run. Its methods that do not wait may be called from any thread.
    """

    _scheduler: Scheduler
    _tap: Tap = attrs.field(init=False)
    _log: Log = attrs.field(init=False, factory=Log)

    def __repr__(self) -> str:
        return f"<Rehearsal of the queue {self.name!r}: {len(self._log.enqueued)} jobs enqueued>"

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._scheduler.name

    # -- what it is told ---------------------------------------------------------------------------------------------

    def __call__(self, event: Event) -> None:
        """One event; it is an observer."""
        self._log.hear(event)

    @contextmanager
    def running(self, job: JobFacts, headers: Mapping[str, str]) -> Generator[None]:
        """Around the function of a job: keeps what it raises."""
        run = self._log.current_run(job.id)
        try:
            yield
        except Exception as error:
            self._log.raised[job.id, run] = error
            raise

    def _note(self, record: JobRecord, now: float, delay: float) -> None:
        args, kwargs = self._arguments(record)
        self._log.enqueued.append(
            EnqueuedJob(
                job_id=record.id,
                task=record.task,
                args=args,
                kwargs=kwargs,
                key=record.key,
                priority=record.priority,
                unique=record.unique,
                cost=record.cost,
                delay=delay,
                batch_id=record.batch_id,
                at=self._log.since_start(now),
            )
        )

    def _arguments(self, record: JobRecord) -> tuple[Sequence[Any], Mapping[str, Any]]:
        session = self._scheduler._session
        local = None if session is None else session.worker.runner.local_calls.get(record.id)
        if local is not None:
            return local.args, local.kwargs
        return self._scheduler.store.codec.decode_call(record.payload)

    # -- what was enqueued -------------------------------------------------------------------------------------------

    @property
    def enqueued(self) -> Sequence[EnqueuedJob]:
        """All jobs that were enqueued, whatever has become of them, oldest first."""
        return tuple(self._log.enqueued)

    def assert_enqueued(
        self,
        task: Callable[..., Any] | str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        times: int | None = None,
        **options: Any,
    ) -> Sequence[EnqueuedJob]:
        """Check that jobs of a task were enqueued, whatever has become of them since. Gives back those that were.

        A job that stood for one that there was already (same `job_id` or `unique`), and one that was refused, were not
        enqueued.

        Args:
            task: The function, or its name.
            args: All arguments of the call. It does not matter which were passed by name.
            kwargs: Without `args`: some of the arguments, by name, however they were passed. With it: those that are
                passed by name in the call that it describes.
            times: How many such jobs; None (default) at least one.
            **options: Other attributes of `EnqueuedJob`: `key`, `priority`, `delay`, `unique`, `job_id`, `batch_id`,
                `cost`.

        Raises:
            AssertionError: There are none, or not as many. It says what was enqueued instead, and what is different.
            TypeError: An attribute that there is not.
        """
        __tracebackhide__ = True  # pytest then shows the line of the test
        wanted = self._wanted(task, args, kwargs, options)
        found = [job for job in self._log.enqueued if wanted.matches(job)]
        if len(found) == times or (times is None and found):
            return found
        number = "a job" if times is None else f"{times} job{'' if times == 1 else 's'}"
        got = f"{len(found)} {'was' if len(found) == 1 else 'were'}" if found else "none was"
        msg = f"expected {number} of {wanted} to be enqueued; {got}.\n{listing(self.enqueued, wanted)}{self._refused()}"
        raise AssertionError(msg)

    def assert_not_enqueued(
        self,
        task: Callable[..., Any] | str | None = None,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """Check that no such job was enqueued. Without a task: none at all.

        Args:
            task: As for `assert_enqueued`; None (default) is any.
            args: As there.
            kwargs: As there.
            **options: As there.

        Raises:
            AssertionError: There are some; it names them.
        """
        __tracebackhide__ = True  # pytest then shows the line of the test
        wanted = self._wanted(task, args, kwargs, options)
        found = [job for job in self._log.enqueued if wanted.matches(job)]
        if found:
            msg = f"expected no job of {wanted} to be enqueued; {len(found)} were.\n{listing(found)}"
            raise AssertionError(msg)

    def _wanted(
        self,
        task: Callable[..., Any] | str | None,
        args: Sequence[Any] | None,
        kwargs: Mapping[str, Any] | None,
        options: Mapping[str, Any],
    ) -> Wanted:
        known = {field.name for field in attrs.fields(EnqueuedJob)}
        if unknown := options.keys() - known:
            msg = f"an enqueued job has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}"
            raise TypeError(msg)
        registry = self._scheduler._registry
        if callable(task):
            registered = registry.of(task)
            name = stable_name(task) if registered is None else registered.name
            return Wanted(task=name, function=task, args=args, kwargs=kwargs, options=options)
        registered = None if task is None else registry.named(task)
        function = None if registered is None else registered.function
        return Wanted(task=task, function=function, args=args, kwargs=kwargs, options=options)

    def _refused(self) -> str:
        count = sum(event.jobs for event in self._log.seen if isinstance(event, QueueRefused))
        return f"\n{count} more were refused, because the queue was full." if count else ""

    def clear(self) -> None:
        """Forget what was enqueued and what has happened so far; waiting jobs still wait."""
        self._log.clear()

    # -- what comes of it --------------------------------------------------------------------------------------------

    @property
    def report(self) -> Report:
        """What has happened so far."""
        return self._log.report()

    async def drain(self, timeout: float | None = None, *, strict: bool = True) -> Report:
        """Run everything that waits, at the scheduler's pace, until no job waits and none runs.

        In virtual time that takes milliseconds, whatever the pauses. A held rehearsal is held again afterwards.

        Args:
            timeout: Seconds; by default a day in virtual time, and 30 in real time.
            strict: Whether to raise the first failure (default), or to give back the report all the same.

        Returns:
            What has happened since the start, or since `clear`.

        Raises:
            AssertionError: Jobs still wait or run when the time is up, or nothing could ever run them; it says why.
            Exception: With `strict`, what the function of the first job that failed for good has raised, with its
                traceback; `JobError` if it has raised nothing (a time-out, a crash); `AssertionError` if a strategy
                misbehaved.
        """
        __tracebackhide__ = True
        if timeout is None:
            timeout = _LONGEST_REAL_DRAIN if virtual_clock() is None else _LONGEST_VIRTUAL_DRAIN
        await self._check_drainable()
        held, self._tap.holding = self._tap.holding, False
        try:
            self._running_worker.wake()
            drained = await self._scheduler.drain(timeout)
        finally:
            self._tap.holding = held
        if not drained:
            raise AssertionError(await self._still_there(timeout))
        report = self.report
        if strict and report.failure is not None:
            raise report.failure
        return report

    async def _check_drainable(self) -> None:
        status = await self._scheduler.status()
        if status.pending and status.paused:
            msg = (
                f"drain: the queue is paused, and {status.pending} jobs wait; resume it, or hold the rehearsal instead"
            )
            raise AssertionError(msg)
        if status.pending and not self._running_worker.slots:
            msg = (
                f"drain: this scheduler runs no jobs (worker_concurrency=0), and {status.pending} wait; set its "
                "worker_concurrency for the test"
            )
            raise AssertionError(msg)

    async def _still_there(self, timeout: float) -> str:
        status = await self._scheduler.status()
        reason = f": {status.waiting_for}" if status.pending and status.waiting_for else ""
        return (
            f"drain: after {timeout:g} s {status.pending} jobs still wait and {status.running} run{reason}. "
            f"What has happened:\n{self.report}"
        )

    @property
    def _running_worker(self) -> Any:
        return self._scheduler._running.worker

    def crash(self) -> None:
        """Be as if the process had been killed just now: nothing of what it does from here on reaches the store.

        Leave the scheduler's block (or the client's) then, and start it again, as whoever restarts the process does.
        What ran is found by that start once its lease is over: with a MemoryStore at once, with a SqliteStore after
        `lease` seconds.

        Raises:
            NotRunningError: The scheduler is not running.
        """
        _ = self._scheduler._running
        for ledger in list(self._tap.open):
            ledger.kill()


@contextmanager
def rehearse(
    scheduler: Scheduler, *, store: Store | None = None, hold: bool = False, start: datetime = START
) -> Generator[Rehearsal]:
    """Use a scheduler of the application in a test: its own parts and pace, on a store of the test's own.

    The scheduler must not run yet: start it inside, with `async with scheduler:`, or through the application's
    lifespan. Afterwards it has its own store again. In virtual time (`run_virtual`, `pytest.mark.virtual_time`,
    `AppClock`) the store is on the virtual clock, a `SqliteStore` too, and the calendar begins at `start`.

        with rehearse(scheduler) as rehearsal:
            async with scheduler:
                await scheduler.enqueue(analyse, "One fish")
                rehearsal.assert_enqueued(analyse, args=("One fish",))
                report = await rehearsal.drain()
        assert report.starts == [0]

    Its alerts are left out, because they tell people. To test one, give it to the scheduler inside the block:
    `scheduler.alerts = (Alert(QueueFull(), messages.append),)`.

    Not for tests of the store's own behaviour on a server, such as several processes: these want the real thing.

    Args:
        scheduler: The scheduler, of the application or of the test.
        store: Where jobs live meanwhile; by default a new `MemoryStore`, where arguments and results are all the same
            written by the codec of the scheduler's own store, and read back.
        hold: Start no jobs until `drain` is called. Unlike `Scheduler.pause`, it leaves forecasts as they are.
        start: What the calendar shows when the scheduler is first started in virtual time, for opening hours and cron
            expressions; by default Monday, 1 January 2024, 12:00 UTC. A `MemoryStore` that the test gives has today's
            date all the same.

    Raises:
        AlreadyRunningError: The scheduler is running already, or still when the block ends.
    """
    with _substituted(scheduler, store, hold, start, paceless=False) as rehearsal:
        yield rehearsal


@contextmanager
def fast(
    scheduler: Scheduler, *, store: Store | None = None, hold: bool = False, start: datetime = START
) -> Generator[Rehearsal]:
    """Use a scheduler of the application in a test that does not care about the pace, in real time too.

    As `rehearse`, but without pacing and backoff; delays of jobs, of retries and of throttles are none. All else is as
    in production: jobs go through the queue with its capacity and order, and run after `enqueue` has returned, as many
    at once as the scheduler says. Arguments are written and read back. A function that raises fails its job, not its
    caller.

    Not for tests of the pace, of waiting times, or of steering their numbers.

    Args:
        scheduler: As for `rehearse`.
        store: As for `rehearse`. With a store on a server the test is in real time.
        hold: As for `rehearse`.
        start: As for `rehearse`.

    Raises:
        AlreadyRunningError: As `rehearse`.
    """
    with _substituted(scheduler, store, hold, start, paceless=True) as rehearsal:
        yield rehearsal


@contextmanager
def _substituted(
    scheduler: Scheduler, store: Store | None, hold: bool, start: datetime, *, paceless: bool
) -> Generator[Rehearsal]:
    _check_stopped(scheduler, "rehearse it before it is started")
    rehearsal = Rehearsal(scheduler)
    rehearsal._tap = Tap(rehearsal._note, paceless, hold)
    own = {name: getattr(scheduler, name) for name in ("store", "observers", "alerts", "pacing", "backoff")}
    calendar = Calendar(start)
    inner = DatedMemoryStore(calendar=calendar) if store is None else store
    codec = scheduler.store.codec if store is None else store.codec
    scheduler.store = TappedStore(inner, codec, rehearsal._tap, calendar)
    scheduler.observers, scheduler.alerts = (*scheduler.observers, rehearsal), ()
    if paceless:
        scheduler.pacing, scheduler.backoff = Unpaced(), NoBackoff()
    opened.append(rehearsal)
    try:
        yield rehearsal
        _check_stopped(scheduler, "stop it before the rehearsal ends")
    except Exception as error:
        if rehearsal._log.seen:
            error.add_note(f"What the queue {scheduler.name!r} did:\n{rehearsal.report}")
        raise
    finally:
        opened.remove(rehearsal)
        for name, part in own.items():
            setattr(scheduler, name, part)


def _check_stopped(scheduler: Scheduler, what_to_do: str) -> None:
    if scheduler._block is not None:
        msg = f"the scheduler of queue {scheduler.name!r} is running; {what_to_do}"
        raise AlreadyRunningError(msg)
