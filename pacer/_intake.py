"""The way into the queue: from a call to a receipt."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar, overload

import anyio
import attrs

from pacer import events
from pacer._errors import QueueFullError, TaskError
from pacer._job import ONE_REQUEST, JobRecord
from pacer._options import JobOptions
from pacer._receipt import BatchReceipt, Receipt
from pacer._runner import LocalCall
from pacer._signals import Turn
from pacer._snapshot import facts
from pacer._tasks import Call, Task, TaskRegistry, unregistered
from pacer._worker import Worker
from pacer.protocols import Added, Addition

P = ParamSpec("P")
R = TypeVar("R")


@attrs.define(eq=False)
class Intake:
    """Makes jobs of calls and hands them to the store, as one running scheduler does."""

    worker: Worker
    _registry: TaskRegistry
    _worker_id: str
    _turn: Turn = attrs.field(init=False, factory=Turn)
    _random: Iterator[str] = attrs.field(init=False)
    _ordinary_cost_is_possible: bool = attrs.field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self._random = _random_halves()

    async def enqueue(
        self, options: JobOptions, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Receipt[Any]:
        """One job."""
        record, local = self.made(options, function, args, kwargs)
        addition = await self._add([record], [] if local is None else [local])
        return self._created(addition, addition.jobs[0])

    async def enqueue_many(self, options: JobOptions, calls: Iterable[Call[Any]]) -> BatchReceipt:
        """A batch, whole or not at all."""
        batch_id, made = self.made_batch(options, calls)
        addition = await self._add([record for record, _ in made], [local for _, local in made if local is not None])
        self.worker.announce(events.BatchEnqueued(addition.snapshot.now, batch_id, len(made)))
        return BatchReceipt(batch_id, [self._created(addition, added) for added in addition.jobs])

    async def tick(self, name: str, was: float | None, at: float, records: Sequence[JobRecord]) -> bool:
        """As `Ledger.tick`; whether it was done here. Raises QueueFullError."""
        addition = await self.worker.ledger.tick(name, was, at, records)
        if addition is None:
            return False
        if records:
            self._tell_of(addition, records)
            for added in addition.jobs:
                self._created(addition, added)
        return True

    def made_batch(
        self, options: JobOptions, calls: Iterable[Call[Any]]
    ) -> tuple[str, list[tuple[JobRecord, LocalCall | None]]]:
        """The id and the new jobs of a batch."""
        calls, capacity = list(calls), self.worker.rules.queue.capacity
        if options.job_id is not None or options.unique is not None:
            msg = "enqueue_many: job_id and unique name a single job; name jobs of a batch with call(...).named(id)"
            raise ValueError(msg)
        named = [one.job_id for one in calls if one.job_id is not None]
        if len(set(named)) < len(named):
            msg = "enqueue_many: two jobs of one batch have the same id"
            raise ValueError(msg)
        if not 1 <= len(calls) <= capacity:
            msg = f"enqueue_many: a batch has 1 to {capacity} jobs (the queue's capacity), this one has {len(calls)}"
            raise ValueError(msg)
        batch_id = self._new_id()
        made = [self.made(_own(options, one), one.function, one.args, one.kwargs) for one in calls]
        for record, _ in made:
            record.batch_id = batch_id
        return batch_id, made

    def knows(self, function: Callable[..., Any]) -> bool:
        """Whether the function is registered, so that its jobs survive this process."""
        return self._registry.of(function) is not None

    def made(
        self, options: JobOptions, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[JobRecord, LocalCall | None]:
        """A new job; of a function that is not registered, one that lives in this process only, with its call."""
        record, local = self.possible(options, function, args, kwargs)
        record.headers = self.worker.announce.headers()
        return record, local

    def possible(
        self, options: JobOptions, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[JobRecord, LocalCall | None]:
        """The same, of which no observer hears: to see whether it could be made."""
        task = self._registry.of(function)
        if task is not None:
            payload = self.worker.codec.encode_call(task.name, args, kwargs)
            return self._record(options, task, payload, None), None
        task = unregistered(function)
        if not self.worker.slots:
            msg = (
                f"enqueue: {task.name} is not registered, and this process runs no jobs (worker_concurrency=0): nobody "
                "could ever run it. Register it with @scheduler.task, here and in the processes that work."
            )
            raise TaskError(msg)
        record = self._record(options, task, None, self._worker_id)
        return record, LocalCall(record, task, args, kwargs)

    def _record(self, options: JobOptions, task: Task, payload: Any, home: str | None) -> JobRecord:
        """Raises ImpossibleJobError."""
        record = JobRecord(
            options.job_id or self._new_id(),
            task.name,
            payload,
            home,
            options.key,
            options.priority,
            options.cost,
            options.delay,
            options.timeout,
            options.retry,
            options.unique,
            expires=options.expires,
        )
        ordinary = options.cost is ONE_REQUEST
        if not (ordinary and self._ordinary_cost_is_possible):
            self.worker.rules.check_possible(record, self.worker.ledger.now())
            self._ordinary_cost_is_possible |= ordinary
        return record

    def _new_id(self) -> str:
        """Nobody can guess it, and later ones sort behind, which spares an index on disk half of its work."""
        return f"{int(self.worker.ledger.now() * 1000):012x}{next(self._random)}"

    async def _add(self, records: list[JobRecord], calls: list[LocalCall]) -> Addition:
        """Hand the jobs to the store; wait for room where the queue says so."""
        worker = self.worker
        for local in calls:  # before the store has the jobs, because they may be started at once
            worker.runner.local_calls.setdefault(local.record.id, local)
        try:
            if worker.rules.queue.wait_timeout == 0:
                addition = await worker.ledger.add(records)
            else:
                addition = await self._add_in_turn(records)
        except QueueFullError as error:
            self._forget_calls(calls)
            now = worker.ledger.now()
            worker.announce(events.QueueRefused(now, len(records), error.capacity, error.retry_after))
            raise
        except BaseException:
            await self._forget_unless_added(calls)
            raise
        finally:
            worker.troubles.report_faults()
        if calls:
            created = {id(added.record) for added in addition.jobs if added.created}
            self._forget_calls(local for local in calls if id(local.record) not in created)
        self._tell_of(addition, records)
        return addition

    def _tell_of(self, addition: Addition, records: Sequence[JobRecord]) -> None:
        worker = self.worker
        for dropped in addition.dropped:
            worker.announce(events.JobDropped(addition.snapshot.now, dropped.id, dropped.task))
            worker.forget(dropped)
        worker.wake()
        if any(record.expires is not None for record in records):
            worker.expires()

    async def _add_in_turn(self, records: list[JobRecord]) -> Addition:
        """Wait for room, first come, first served; raises QueueFullError when the time is up.

        Only waiting is timed: an `add` that is under way when the time is up must say what has come of it.
        """
        worker = self.worker
        with anyio.move_on_after(worker.rules.queue.wait_timeout):
            await self._turn.take()
            try:
                while True:
                    worker.check_open()
                    changed = worker.changed.next()
                    try:
                        with anyio.CancelScope(shield=True):
                            return await worker.ledger.add(records)
                    except QueueFullError:
                        with anyio.move_on_after(worker.ledger.poll):
                            await changed.wait()
            finally:
                self._turn.give()
        raise worker.rules.refusal(await worker.ledger.snapshot(), records)

    def _forget_calls(self, calls: Iterable[LocalCall]) -> None:
        """No jobs have come of these, so nothing will run them. A job with one of their ids may have its own."""
        for local in calls:
            if self.worker.runner.local_calls.get(local.record.id) is local:
                del self.worker.runner.local_calls[local.record.id]

    async def _forget_unless_added(self, calls: Sequence[LocalCall]) -> None:
        """The same, if it is not known whether the store has taken the jobs: their caller was cancelled, say."""
        with anyio.CancelScope(shield=True):
            for local in calls:
                found = None
                with contextlib.suppress(Exception):  # then the store is closed or away: nothing will run them either
                    found = await self.worker.ledger.job(local.record.id)
                if found is None or found.home != self._worker_id or found.seq != local.record.seq:
                    self._forget_calls([local])

    def _created(self, addition: Addition, added: Added) -> Receipt[Any]:
        if added.created:
            record = added.record
            self.worker.announce(events.JobEnqueued(addition.snapshot.now, record.id, record.task, added.position or 0))
        return self.receipt(addition, added)

    def receipt(self, addition: Addition, added: Added) -> Receipt[Any]:
        """What the caller is told of one job."""
        record = added.record
        return Receipt(
            record.id,
            added.position,
            added.created,
            record.state,
            self.worker.rules,
            addition.snapshot,
            facts(record),
        )


class WayIn(Protocol):
    """What makes jobs of calls: an `Intake`, or one that puts them into a transaction."""

    async def enqueue(
        self, options: JobOptions, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Receipt[Any]:
        """One job."""

    async def enqueue_many(self, options: JobOptions, calls: Iterable[Call[Any]]) -> BatchReceipt:
        """A batch, whole or not at all."""


@attrs.frozen
class Enqueuer:
    """A scheduler with options for the jobs that are enqueued through it. Made by `Scheduler.options`."""

    _intake: Callable[[], WayIn]
    _options: JobOptions

    @overload
    async def enqueue(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Receipt[R]: ...

    @overload
    async def enqueue(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Receipt[R]: ...

    async def enqueue(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Receipt[Any]:
        """As `Scheduler.enqueue`, with these options."""
        return await self._intake().enqueue(self._options, function, args, kwargs)

    async def enqueue_many(self, calls: Iterable[Call[Any]]) -> BatchReceipt:
        """As `Scheduler.enqueue_many`, with these options for all of them; a job_id or unique makes no sense here."""
        return await self._intake().enqueue_many(self._options, calls)


def _random_halves() -> Iterator[str]:
    """Eight random bytes each, in hexadecimal; asked of the system by the hundred: each time lets threads switch."""
    while True:
        block = os.urandom(8 * 128)
        for start in range(0, len(block), 8):
            yield block[start : start + 8].hex()


def _own(options: JobOptions, one: Call[Any]) -> JobOptions:
    return options if one.job_id is None else attrs.evolve(options, job_id=one.job_id)
