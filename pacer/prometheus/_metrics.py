"""The metrics of all schedulers of one registry."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator, MutableMapping, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

import anyio
import attrs
from prometheus_client import REGISTRY, CollectorRegistry, make_asgi_app
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

from pacer import AlreadyRunningError, NotRunningError, Scheduler
from pacer._validation import positive, seconds
from pacer.prometheus._gauges import families, read_at_family, running_family
from pacer.prometheus._instruments import Instruments, made_in
from pacer.prometheus._watching import Watching

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_WAITS = (
    *(0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(_MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    *(_HOUR, 3 * _HOUR, 12 * _HOUR, _DAY),
)
_DURATIONS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, _MINUTE, 2 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, _HOUR)


def _increasing(instance: object, attribute: attrs.Attribute[Any], value: Sequence[float]) -> None:
    positive_numbers = value and all(isfinite(bound) and bound > 0 for bound in value)
    if not positive_numbers or any(low >= high for low, high in pairwise(value)):
        msg = f"Metrics: {attribute.name} must be numbers above 0, each larger than the one before, got {value!r}"
        raise ValueError(msg)


@attrs.define(eq=False)
class Metrics:
    """Metrics of one or more schedulers in a registry of `prometheus-client`.

    Counters and histograms tell what this process did. Gauges are read from the store at each scrape, on the
    scheduler's own event loop, and speak for all processes. A queue whose scheduler does not run here has no gauges
    but `pacer_scheduler_running`, which is 0.

    A scrape by any thread (`prometheus_client.start_http_server`, a plain function of FastAPI) or through `app` reads
    them anew. One that is made on the scheduler's event loop itself, as by `prometheus_client.make_asgi_app`, cannot
    wait for the store and shows what was read last; `pacer_status_read_timestamp_seconds` says when that was.

    With `PROMETHEUS_MULTIPROC_DIR` set, `exposed` sums up what all processes did, and its gauges are read by the
    process that answers.

    Args:
        registry: Where they are registered; the registry of `prometheus_client` by default. One has room for one
            `Metrics`, which may watch many schedulers.
        wait_buckets: Upper bounds, in seconds, for how long jobs wait and by how much forecasts err; from 0.1 s to a
            day by default.
        duration_buckets: Upper bounds, in seconds, for how long runs take; from 0.1 s to an hour by default.
        read_timeout: Seconds that a scrape waits for the store; 5 by default. Then it shows what was read last.

    Raises:
        ValueError: The registry has such metrics already, or a setting is impossible.
    """

    registry: CollectorRegistry = attrs.field(factory=lambda: REGISTRY)
    wait_buckets: Sequence[float] = attrs.field(default=_WAITS, kw_only=True, validator=_increasing)
    duration_buckets: Sequence[float] = attrs.field(default=_DURATIONS, kw_only=True, validator=_increasing)
    read_timeout: float = attrs.field(default=5.0, kw_only=True, converter=seconds, validator=positive)
    exposed: CollectorRegistry = attrs.field(init=False)
    """What to scrape: the registry itself, or with `PROMETHEUS_MULTIPROC_DIR` one over all processes."""
    _instruments: Instruments = attrs.field(init=False, repr=False)
    _watched: dict[str, Watching] = attrs.field(init=False, factory=dict, repr=False)
    _answer: Callable[..., Awaitable[None]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        try:
            self._instruments = made_in(self.registry, self.wait_buckets, self.duration_buckets)
        except ValueError as error:
            msg = (
                "Metrics: this registry has pacer's metrics already. Make one Metrics for all schedulers, and let it "
                "watch each of them; or give this one a CollectorRegistry() of its own."
            )
            raise ValueError(msg) from error
        self.exposed = self.registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            self.exposed = CollectorRegistry()
            MultiProcessCollector(self.exposed)  # type: ignore[no-untyped-call] # it is without annotations
        self.exposed.register(self)
        self._answer = make_asgi_app(self.exposed)

    def watch(self, scheduler: Scheduler) -> None:
        """Count what this scheduler does from its next start on, and read its queue at each scrape.

        It becomes one more of the scheduler's observers, and stays one however often that is stopped and started.

        Raises:
            AlreadyRunningError: The scheduler runs already.
            ValueError: A scheduler of a queue with this name is watched already.
        """
        if scheduler.name in self._watched:
            msg = (
                f"Metrics: a queue named {scheduler.name!r} is watched already, and the name is what tells them apart. "
                "Give the scheduler another name=, or other Metrics with a registry of their own."
            )
            raise ValueError(msg)
        if _runs(scheduler):
            msg = f"the scheduler of queue {scheduler.name!r} is running already; let Metrics watch it before it starts"
            raise AlreadyRunningError(msg)
        watching = Watching(scheduler, self._instruments, self.read_timeout)
        scheduler.observers = (*scheduler.observers, watching)
        self._watched[scheduler.name] = watching

    async def app(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """An ASGI application that answers a scrape: `app.mount("/metrics", metrics.app)`.

        Who may ask is for you to say, as everywhere: it shows names of queues and tasks, and numbers.
        """
        async with anyio.create_task_group() as task_group:
            for watching in self._watched.values():
                task_group.start_soon(watching.read)
        await self._answer(scope, receive, send)

    def collect(self) -> Iterator[Metric]:
        """The gauges. Called by a registry at each scrape."""
        watched = [*self._watched.values()]
        for watching in watched:
            watching.read_from_thread()
        yield from self._families(watched)

    def describe(self) -> Iterator[Metric]:
        """The gauges' names. Called by a registry when it is told of them."""
        return self._families([])

    def _families(self, watched: Sequence[Watching]) -> Iterator[Metric]:
        yield from families(watched)
        yield read_at_family(watched)
        yield running_family(watched)


def _runs(scheduler: Scheduler) -> bool:
    try:
        scheduler.utc(0.0)
    except NotRunningError:
        return False
    return True
