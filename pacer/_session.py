"""What exists only while a scheduler runs, from its start to its stop."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
import attrs

from pacer import events
from pacer._intake import Intake
from pacer._periodic._ticker import Ticker
from pacer._periodic._timetable import Schedule
from pacer._rules import Rules
from pacer._signals import Announcer
from pacer._tasks import TaskRegistry
from pacer._worker import Worker
from pacer.alerts._alert import Alert
from pacer.alerts._lookout import Lookout
from pacer.protocols import Observer, Store


@attrs.frozen(eq=False)
class Session:
    """The two halves of a running scheduler: jobs come in through one and are worked off by the other."""

    intake: Intake
    worker: Worker


@attrs.frozen(eq=False, kw_only=True)
class Start:
    """All that a session is made of."""

    name: str
    store: Store
    rules: Rules
    registry: TaskRegistry
    observers: Sequence[Observer]
    alerts: Sequence[Alert]
    schedules: Sequence[Schedule]
    slots: int
    stop_timeout: float
    takeover: bool
    guest: bool


@asynccontextmanager
async def session(start: Start) -> AsyncGenerator[Session]:
    """Open the store under a fresh worker id, work for as long as the block lasts, and leave no task behind."""
    worker_id, lookout = os.urandom(8).hex(), Lookout(start.name, start.alerts)
    announce = Announcer((*start.observers, lookout.hear) if start.alerts else tuple(start.observers))
    failure: Exception | None = None
    async with start.store.open(
        start.name, start.rules, worker_id, takeover=start.takeover, guest=start.guest
    ) as ledger:
        worker = Worker(ledger, start.store.codec, start.registry, announce, start.slots)
        try:
            async with anyio.create_task_group() as task_group:
                try:
                    intake = Intake(worker, start.registry, worker_id)
                    ticker = Ticker.of(intake, () if start.guest else start.schedules)
                    await worker.start(task_group, guest=start.guest)
                    ticker.start(task_group)
                    lookout.start(task_group, worker)
                    announce(events.SchedulerStarted(ledger.now(), start.name, worker_id))
                    yield Session(intake, worker)
                    await worker.stop(start.stop_timeout)
                except Exception as error:  # raised below, outside the group, so that it is not wrapped in one
                    failure = error
                finally:
                    task_group.cancel_scope.cancel()
        finally:  # a stop by cancellation is one too
            worker.close()
            announce(events.SchedulerStopped(ledger.now(), start.name, worker_id))
            announce.close()
    if failure is not None:
        raise failure
