"""The way into the queue through a transaction of the application's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, ParamSpec, TypeVar, Unpack, overload

import attrs

from pacer import events
from pacer._errors import QueueFullError, StoreError, TaskError
from pacer._intake import Enqueuer, Intake
from pacer._job import JobRecord
from pacer._options import JobOptions, OptionValues
from pacer._receipt import BatchReceipt, Receipt
from pacer._tasks import Call, stable_name
from pacer.protocols import Addition

P = ParamSpec("P")
R = TypeVar("R")

_NO_OPTIONS = JobOptions()


@attrs.frozen(eq=False)
class StagedIntake:
    """Makes jobs of calls and puts them into one transaction."""

    _intake: Intake
    _connection: Any

    async def enqueue(
        self, options: JobOptions, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Receipt[Any]:
        """One job."""
        self._check_registered(function)
        record, _ = self._intake.made(options, function, args, kwargs)
        addition = await self._stage([record])
        return self._intake.receipt(addition, addition.jobs[0])

    async def enqueue_many(self, options: JobOptions, calls: Iterable[Call[Any]]) -> BatchReceipt:
        """A batch, whole or not at all."""
        calls = list(calls)
        for one in calls:
            self._check_registered(one.function)
        batch_id, made = self._intake.made_batch(options, calls)
        addition = await self._stage([record for record, _ in made])
        return BatchReceipt(batch_id, [self._intake.receipt(addition, added) for added in addition.jobs])

    def _check_registered(self, function: Callable[..., Any]) -> None:
        if not self._intake.knows(function):
            name = stable_name(function) if callable(function) else repr(function)
            msg = (
                f"using: {name} is not registered, so that its jobs live in this process only and cannot be part of "
                "a transaction. Register it with @scheduler.task."
            )
            raise TaskError(msg)

    async def _stage(self, records: list[JobRecord]) -> Addition:
        worker = self._intake.worker
        stage = getattr(worker.ledger, "stage", None)
        if stage is None:
            msg = "using: this store cannot be part of a transaction; SqliteStore and PostgresStore can"
            raise StoreError(msg)
        try:
            addition: Addition = await stage(self._connection, records)
        except QueueFullError as error:
            now = worker.ledger.now()
            worker.announce(events.QueueRefused(now, len(records), error.capacity, error.retry_after))
            raise
        finally:
            worker.troubles.report_faults()
        return addition


@attrs.frozen(eq=False)
class TransactionalEnqueuer:
    """A scheduler whose jobs are enqueued in a transaction of yours. Made by `Scheduler.using`."""

    _intake: Callable[[], StagedIntake]

    @overload
    async def enqueue(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Receipt[R]: ...

    @overload
    async def enqueue(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Receipt[R]: ...

    async def enqueue(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Receipt[Any]:
        """Put a job into the transaction: it exists once that is committed, and never if it is rolled back.

        Until then nobody else sees it, and `Scheduler.job` does not find it. The receipt says what was known when this
        was called. Its position is the last that the job can have now, with all that waits ahead of it and all that is
        staged; what its order makes of it, and the time at which you commit, are not known yet. `delay` and `expires`
        count from this call.

        A job with this id or unique key that exists, or that this transaction has enqueued, is given back instead,
        with `created` False. Two open transactions with the same one: the database lets the second wait until the
        first has ended (PostgreSQL; SQLite has one writer at a time). A job that was enqueued elsewhere with the same
        unique key while this transaction was open stands: this one then ends at once as `dropped`.

        Args:
            function: A registered task.
            *args: Its arguments, as the store's codec takes them.
            **kwargs: Its keyword arguments.

        Raises:
            QueueFullError: There is no room now; nothing was written. It is never waited for, and nobody is dropped
                yet. Jobs that others have not committed are not counted, so a few more than the bound may come in.
            TaskError: The function is not registered.
            StoreError: The connection is closed, in no transaction (autocommit) or to another database, or the store
                is none that can be part of a transaction.
            TypeError: It is no connection of a kind that the store knows; the message names them.
            NotEncodableError: An argument cannot be written to the store; the message names it.
            ImpossibleJobError: The pacing policy would never let it start.
            NotRunningError: Outside `async with scheduler:`.

        Errors of the database's driver are left as they are: the transaction is yours.
        """
        return await self._intake().enqueue(_NO_OPTIONS, function, args, kwargs)

    async def enqueue_many(self, calls: Iterable[Call[Any]]) -> BatchReceipt:
        """Put a batch of jobs into the transaction: all of them, or none. Raises what `enqueue` does."""
        return await self._intake().enqueue_many(_NO_OPTIONS, calls)

    def options(self, **options: Unpack[OptionValues]) -> Enqueuer:
        """As `Scheduler.options`: `scheduler.using(connection).options(priority=5).enqueue(analyse, document)`."""
        return Enqueuer(self._intake, JobOptions(**options))
