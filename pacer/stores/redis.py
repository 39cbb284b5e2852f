"""Jobs in Redis or Valkey, shared by any number of processes on any number of hosts."""

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
from pacer.stores._from_url import redacted
from pacer.stores._ledger import StoredLedger, check_asyncio
from pacer.stores._server._limited import LimitedCodec
from pacer.stores._server._opening import opened_on_server

with needed("redis"):
    from pacer.stores._redis._backend import RedisBackend
    from pacer.stores._redis._keys import Keys
    from pacer.stores._redis._notices import RedisNotices
    from pacer.stores._redis._queues import queues_on
    from pacer.stores._redis._wire import Wire, check_url

__all__ = ["RedisStore"]


@attrs.frozen
class RedisStore:
    """Keeps jobs in Redis or Valkey: any number of processes on any number of hosts may share one queue.

    All schedulers on one server that name the same queue share its capacity, pace, failures in a row and concurrency.
    Time is the server's. Each commit is one script, atomic, and those that wait at the same time share one; others
    hear of it by pub/sub. `pip install "pacer-scheduler[redis]"` installs the driver.

    What is acknowledged is as safe as the server keeps it. With `appendonly yes` and `appendfsync everysec` a crash of
    its machine loses about a second of acknowledged jobs and outcomes, two while the disk is slow, and a crash of Redis
    alone what it had not handed to the system while the disk was slow; `appendfsync always` loses nothing and is
    slower. Without `appendonly`, or with a `maxmemory-policy` other than `noeviction`, jobs may
    vanish: the scheduler reports it when it starts, with a `StoreAtRisk` event. A failover to a replica loses what
    had not reached it; no worker goes on from what is no longer there.

    Everything is in memory there: count on 1 KB for a job with small arguments. When `maxmemory` is reached, new jobs
    are refused and running ones go on. Redis from 6.2 and Valkey are supported, as one server, or as a primary whose
    address follows it; in a Redis Cluster all keys of a queue are in one slot, and a queue goes as fast as one node.
    Sentinel is not asked: give an address that follows the primary.

    Not for jobs that must not be lost with a machine, unless `appendfsync` is `always`; and not where jobs have to be
    enqueued in the same transaction as other data: use `PostgresStore`.

    Args:
        url: `redis://user:password@host:6379/0`, `rediss://` for TLS, or `unix:///path`. Options of redis-py may follow
            as a query, for example `?socket_timeout=2`: seconds to wait for each answer, 5 by default.
        prefix: With what the names of all keys begin, "pacer" by default. Different prefixes are different queues.
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
        connect_timeout: Seconds to wait for a connection, 5 by default.
        clock: Seconds since the epoch, callable from any thread, for tests; None (default) takes the server's clock.
    """

    url: str = attrs.field(converter=check_url, repr=lambda url: repr(redacted(url)))
    prefix: str = attrs.field(
        default="pacer", validator=(attrs.validators.instance_of(str), attrs.validators.min_len(1)), kw_only=True
    )
    _codec: Codec = attrs.field(factory=JsonCodec, kw_only=True)
    lease: float = attrs.field(default=30.0, converter=seconds, validator=positive, kw_only=True)
    poll: float = attrs.field(default=5.0, converter=seconds, validator=positive, kw_only=True)
    ahead: float = attrs.field(default=0.1, converter=seconds, validator=not_negative, kw_only=True)
    keep_finished_for: float = attrs.field(default=7 * 86400.0, converter=seconds, validator=not_negative, kw_only=True)
    max_payload: int = attrs.field(default=2**20, validator=whole(1), kw_only=True)
    connect_timeout: float = attrs.field(default=5.0, converter=seconds, validator=positive, kw_only=True)
    clock: Callable[[], float] | None = attrs.field(default=None, kw_only=True)

    @property
    def codec(self) -> Codec:
        """The given one, as far as `max_payload` allows."""
        return LimitedCodec(self._codec, self.max_payload)

    async def queues(self) -> Sequence[QueueInfo]:
        """The queues that there are with this prefix, by name; in a cluster, on all nodes.

        The server looks through the names of all keys that it holds, a thousand at a time.

        Raises:
            UnsupportedBackendError: The event loop is not asyncio's.
            StoreError: One of its kinds says why the server cannot be used.
        """
        check_asyncio("RedisStore", "redis-py")
        return await asyncio.get_running_loop().run_in_executor(None, self._queues)

    def _queues(self) -> Sequence[QueueInfo]:
        wire = Wire(self.url, self.connect_timeout)
        try:
            return queues_on(wire, self.prefix)
        finally:
            wire.close()

    @asynccontextmanager
    async def open(
        self, queue: str, rules: Rules, worker: str, *, takeover: bool = False, guest: bool = False
    ) -> AsyncGenerator[StoredLedger]:
        """Open one queue for one worker, or for a guest.

        Raises:
            PartsDifferError: Others have it open with other strategies or settings, and `takeover` is False.
            UnknownQueueError: There is none with this name for a guest.
            OlderSchemaError: It was made by an earlier version, and no worker of this one has opened it yet; for a
                guest.
            UnsupportedBackendError: The event loop is not asyncio's.
            StoreError: One of its kinds says why the server cannot be used; then nothing on it has been changed.
        """
        check_asyncio("RedisStore", "redis-py")
        keys = Keys(self.prefix, queue)
        backend = RedisBackend(Wire(self.url, self.connect_timeout), keys, worker)
        notices = RedisNotices(self.url, keys.channel, self.connect_timeout)
        async with opened_on_server(
            *(backend, notices, self, queue, rules, worker),
            clock=self.clock,
            ahead=self.ahead,
            takeover=takeover,
            guest=guest,
        ) as ledger:
            yield ledger
