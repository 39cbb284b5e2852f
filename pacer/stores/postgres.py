"""Jobs in PostgreSQL, shared by any number of processes on any number of hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs

from pacer._extras import needed
from pacer._overview import QueueInfo
from pacer._rules import Rules
from pacer._validation import not_negative, positive, seconds, whole
from pacer.codecs import JsonCodec
from pacer.protocols import Codec
from pacer.stores._ledger import StoredLedger, check_asyncio
from pacer.stores._server._limited import LimitedCodec
from pacer.stores._server._opening import opened_on_server

with needed("postgres"):
    import psycopg

    from pacer.stores._postgres._backend import PostgresBackend, channel_of
    from pacer.stores._postgres._migrate import bring_up_to_date, migration_sql
    from pacer.stores._postgres._notices import PostgresNotices
    from pacer.stores._postgres._privileges import grants_advice
    from pacer.stores._postgres._queues import queues_in
    from pacer.stores._postgres._session import Session
    from pacer.stores._postgres._stage import PostgresDoor
    from pacer.stores._postgres._target import Target, dsn_text, redacted

__all__ = ["PostgresStore", "migrate", "migration_sql"]

_CONNECT_TIMEOUT = 5.0
_TIMEOUT = 10.0


def _schema(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not value or "\0" in value or len(value.encode()) > 63:
        msg = f"PostgresStore: schema must be a name of 1 to 63 bytes, got {value!r}"
        raise ValueError(msg)


@attrs.frozen
class PostgresStore:
    """Keeps jobs in PostgreSQL: any number of processes on any number of hosts may share one queue.

    All schedulers on one database and schema that name the same queue share its capacity, pace, failures in a row and
    concurrency. Time is the server's. Each commit is one statement, and those that wait at the same time share one;
    others hear of it by NOTIFY. What is acknowledged is as safe as the server's `synchronous_commit` makes it.
    `pip install "pacer-scheduler[postgres]"` installs the driver.

    Each open queue uses two connections. The tables are made when a queue is first opened, by a role that may; for one
    that may not, have the owner run `pacer migrate`. It needs USAGE on the schema, SELECT on `pacer_migrations`, and
    SELECT, INSERT, UPDATE and DELETE on the other tables. A guest that only looks needs SELECT on all of them; one that
    steers UPDATE on `pacer_queues`, and INSERT and UPDATE on `pacer_jobs` and `pacer_workers`, too.

    Tables of an earlier version are migrated then, which stops the queues for a few seconds with a million jobs. Start
    all workers anew after that: those of the earlier version go on, and are refused when they start again.

    A transaction that is open for long anywhere in the database, a dump for example, keeps PostgreSQL from clearing
    away old versions of rows: a busy queue slows down until it ends.

    Not for more than one queue can do: all of its commits go through one row, one after another. Spread the work over
    several queues then.

    Args:
        dsn: As libpq has it: `postgresql://user:password@host:5432/database`, or `host=... dbname=...`. What it does
            not say comes from the environment (`PGHOST`, `PGPASSWORD` and so on), `~/.pgpass`, or a service file.
        schema: Where the tables are, "pacer" by default; made if it is missing. Other tables may be in it.
        codec: How arguments and results are written; JSON by default.
        lease: Seconds after which a worker that is not heard of is taken to be gone, 30 by default. Each worker calls
            at least every second, so this can be short if the event loop is never blocked for long.
        poll: Seconds after which a worker looks at the queue even if it has heard nothing, 5 by default. While there is
            no connection for notices, it looks at least every half second.
        ahead: Seconds ahead of the clock for which start times are given out, 0.1 by default, where the pacing policy
            allows it: a worker then gets several with one commit, and jobs start on time although commits take some.
            What is given out is not called back by a pause or a throttle. 0: each job starts when it is claimed.
        keep_finished_for: Seconds for which finished jobs can still be asked about, a week by default.
        max_payload: Bytes that the arguments or the result of one job may take, 1 MiB by default. More of them raise
            NotEncodableError; of a job with a larger result, the result is not kept.
        connect_timeout: Seconds to wait for a connection to one host, 5 by default, 2 at least.
        timeout: Seconds to wait for an answer of the server, 10 by default. It has to be well below `lease`.
        pooled: Whether the connection goes through a pooler that gives each transaction another session, as PgBouncer
            does in transaction mode. Then nothing is prepared, no session is set up, and nobody listens: other
            workers' jobs are seen when the queue is looked at, every half second.
        clock: Seconds since the epoch, callable from any thread, for tests; None (default) takes the server's clock.
    """

    dsn: str = attrs.field(converter=dsn_text, repr=lambda dsn: repr(redacted(dsn)))
    schema: str = attrs.field(default="pacer", validator=_schema, kw_only=True)
    _codec: Codec = attrs.field(factory=JsonCodec, kw_only=True)
    lease: float = attrs.field(default=30.0, converter=seconds, validator=positive, kw_only=True)
    poll: float = attrs.field(default=5.0, converter=seconds, validator=positive, kw_only=True)
    ahead: float = attrs.field(default=0.1, converter=seconds, validator=not_negative, kw_only=True)
    keep_finished_for: float = attrs.field(default=7 * 86400.0, converter=seconds, validator=not_negative, kw_only=True)
    max_payload: int = attrs.field(default=2**20, validator=whole(1), kw_only=True)
    connect_timeout: float = attrs.field(default=_CONNECT_TIMEOUT, converter=seconds, validator=positive, kw_only=True)
    timeout: float = attrs.field(default=_TIMEOUT, converter=seconds, validator=positive, kw_only=True)
    pooled: bool = attrs.field(default=False, validator=attrs.validators.instance_of(bool), kw_only=True)
    clock: Callable[[], float] | None = attrs.field(default=None, kw_only=True)

    @property
    def codec(self) -> Codec:
        """The given one, as far as `max_payload` allows."""
        return LimitedCodec(self._codec, self.max_payload)

    @property
    def _target(self) -> Target:
        return Target(self.dsn, self.schema, self.connect_timeout, self.timeout, self.pooled)

    async def queues(self) -> Sequence[QueueInfo]:
        """The queues that there are, by name; none if there are no tables."""
        check_asyncio("PostgresStore", "psycopg")
        return await asyncio.get_running_loop().run_in_executor(None, queues_in, self._target)

    @asynccontextmanager
    async def open(
        self, queue: str, rules: Rules, worker: str, *, takeover: bool = False, guest: bool = False
    ) -> AsyncGenerator[StoredLedger]:
        """Open one queue for one worker, or for a guest.

        Raises:
            PartsDifferError: Others have it open with other strategies or settings, and `takeover` is False.
            UnknownQueueError: There is none with this name for a guest.
            OlderSchemaError: A guest finds tables of an earlier version.
            UnsupportedBackendError: The event loop is not asyncio's.
            StoreError: One of its kinds says why the database cannot be used; then nothing in it has been changed.
        """
        check_asyncio("PostgresStore", "psycopg")
        target = self._target
        backend = PostgresBackend(target, queue, worker, guest=guest)
        channel = channel_of(self.schema, queue)
        notices = None if self.pooled else PostgresNotices(target, channel)
        door = PostgresDoor(
            *(self.schema, queue, worker, channel, target.name),
            timed=self.clock is not None,
            where=lambda: backend.where,
        )
        async with opened_on_server(
            *(backend, notices, self, queue, rules, worker),
            clock=self.clock,
            ahead=self.ahead,
            takeover=takeover,
            guest=guest,
            door=door,
        ) as ledger:
            yield ledger


def migrate(dsn: str, schema: str = "pacer") -> tuple[int, int]:
    """Make the tables, or bring them to this version, as a role that may.

    Stores do so themselves where they may. Any number of processes may call it at once; what is done, is done once.

    Args:
        dsn: As of `PostgresStore`.
        schema: As of `PostgresStore`.

    Returns:
        The versions of the tables before (0: there were none) and after.

    Raises:
        StoreError: One of its kinds says why that cannot be done; then nothing has been changed.
    """
    target = Target(dsn_text(dsn), schema, _CONNECT_TIMEOUT, _TIMEOUT, pooled=False)
    session = Session(target, grants_advice(schema))
    try:
        connection = session.connect()
        with session.errors():
            return bring_up_to_date(connection, schema, session.name)
    except psycopg.Error as error:  # leaving a transaction
        raise session.failed(error) from error
    finally:
        session.close()
